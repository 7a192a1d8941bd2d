// SPDX-License-Identifier: GPL-2.0-or-later
// Shared by the enumerations: booking one case.
#pragma once

#include <utility>

#include "sim/enumerate.h"
#include "sim/life.h"

namespace dmr::sim {

inline void take(Enumeration& all, Life& life, std::string where) {
  ++all.cases;
  if (!life.machine.oracle.broken() || !all.ok()) return;
  all.violation = life.machine.oracle.violation();
  all.where = std::move(where);
  all.history = life.machine.world.history(120);
}

// Events of the whole workload; the life must go well when nothing is done to it.
[[nodiscard]] u64 count_events(Enumeration& all, u64 seed, u32 spares);

}  // namespace dmr::sim

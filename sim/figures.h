// SPDX-License-Identifier: GPL-2.0-or-later
// The names of what is counted in the runs, in the order in which it is shown.
#pragma once

#include <span>

#include "sim/run.h"

namespace dmr::sim {

struct Figure {
  const char* key;    // in JSON
  const char* title;  // in the table
  u64 Totals::* value;
};

[[nodiscard]] std::span<const Figure> figures();

}  // namespace dmr::sim

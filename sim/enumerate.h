// SPDX-License-Identifier: GPL-2.0-or-later
// Not at random but all of it: one small workload, with the power cut at every event, and with
// every I/O failing in turn.
#pragma once

#include <string>

#include "sim/run.h"

namespace dmr::sim {

struct Enumeration {
  u64 cases = 0;   // lives played
  u64 points = 0;  // events or I/Os of the workload, each of which was tried
  Violation violation;
  std::string where;  // which case broke it
  std::string history;

  [[nodiscard]] bool ok() const { return violation.rule == Rule::none; }
  [[nodiscard]] std::string text() const;
};

// Every event x `subsets` choices of what of the caches survives: nothing, everything, then random
// ones. The opening after the cut is cut, too, in every second case.
[[nodiscard]] Enumeration enumerate_power_cuts(u64 seed, u32 spares, u32 subsets);

// Every I/O of the workload fails, alone or with the two that follow it, with each kind of status.
[[nodiscard]] Enumeration enumerate_failures(u64 seed, u32 spares);

}  // namespace dmr::sim

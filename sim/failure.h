// SPDX-License-Identifier: GPL-2.0-or-later
// What to tell about a run that failed: the shortest form of it that was found, its history, and
// the command that repeats it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sim/shrink.h"

namespace dmr::sim {

struct Failure {
  Plan plan;  // its `only` and `trace` are not set
  Outcome outcome;
  // The repetition went well: the run does not hang on its seed alone.
  bool is_repeatable = true;
  std::optional<Steps> steps = {};        // those that are enough
  bool shortest = false;                  // none of them can be left out
  std::vector<std::string> history = {};  // of the shortest form, its last kMostLines lines
  u64 lines_before = 0;                   // that were left out

  static constexpr u64 kMostLines = 80;

  [[nodiscard]] std::string command() const;
};

// `plan` ended with `outcome`, which is not ok. With plan.only set it is not made any shorter.
[[nodiscard]] Failure explain(const Plan& plan, const Outcome& outcome, const ShrinkLimits& limits,
                              const std::function<bool()>& stop);

}  // namespace dmr::sim

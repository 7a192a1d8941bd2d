// SPDX-License-Identifier: GPL-2.0-or-later
// Makes a failing run short: leaves out steps of its scenario as long as it still fails in the same
// way (delta debugging).
#pragma once

#include <functional>

#include "sim/isolated.h"

namespace dmr::sim {

struct ShrinkLimits {
  u32 attempts = 600;
  u32 seconds = 60;
};

struct Shrunk {
  Steps steps;
  u32 attempts = 0;
  bool finished = false;  // no single step can be left out any more
};

// `plan` failed as `failure` says. `stop` is asked between attempts.
[[nodiscard]] Shrunk shrink(const Plan& plan, const Outcome& failure, const ShrinkLimits& limits,
                            const std::function<bool()>& stop);

}  // namespace dmr::sim

// SPDX-License-Identifier: GPL-2.0-or-later
// Many runs, by several child processes at once. It ends with the first one that fails.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sim/isolated.h"

namespace dmr::sim {

struct BatchRequest {
  u64 first_seed = 1;  // run i has seed first_seed + i
  u64 runs = 0;
  // Taken in turn, by the seed: so the seed alone decides a run.
  std::vector<const Profile*> profiles = {};
  u32 jobs = 1;
  u64 seconds = 0;  // no run begins after that; 0: no such limit

  [[nodiscard]] Plan plan(u64 run) const;
};

struct Progress {
  u64 runs = 0;
  u64 power_cuts = 0;
  double seconds = 0;
};

struct BatchResult {
  Totals totals;  // of the runs that went well
  double seconds = 0;
  std::optional<u64> failed_run;
  bool interrupted = false;
};

// `interrupted` is asked several times a second, and `progress` told. Throws when no process can be
// started. The calling process must have no other thread.
[[nodiscard]] BatchResult run_batch(const BatchRequest& request,
                                    const std::function<bool()>& interrupted,
                                    const std::function<void(const Progress&)>& progress);

}  // namespace dmr::sim

// SPDX-License-Identifier: GPL-2.0-or-later
// One run in a child process: an assertion that fails, a crash or an endless loop in it becomes a
// finding like any other, and the caller lives on.
#pragma once

#include <sys/types.h>

#include <cstdio>
#include <string>

#include "sim/run.h"

namespace dmr::sim {

// A run takes milliseconds; one that computes for so long does not end.
inline constexpr u32 kRunLimit_s = 60;

enum class End : u8 {
  well,
  violation,  // the oracle saw a rule broken
  crash,      // a signal: most often a failed assertion of the engine
  endless,    // killed at kRunLimit_s
};

struct Outcome {
  End end = End::well;
  Rule rule = Rule::none;
  std::string text = {};  // what was seen; of a crash the signal, and the last words on stderr
  u32 last_step = 0;      // that was played; 0 when it is not known
  Totals totals = {};     // nothing in them after a crash

  [[nodiscard]] bool ok() const { return end == End::well; }
  // The same rule, or the same assertion.
  [[nodiscard]] bool same_kind(const Outcome& other) const {
    return end == other.end && rule == other.rule && (end != End::crash || text == other.text);
  }
  // "rule 4 flush means flush is broken: ...", "the engine crashed: ..."
  [[nodiscard]] std::string summary() const;
};

// Forks. The calling process must have no other thread. plan.trace is written to by the child.
[[nodiscard]] Outcome run_isolated(const Plan& plan);

// In the child of a fork: it ends with its parent, and by itself after `limit_s`.
void tie_to_parent(pid_t parent, u32 limit_s);
// What a signal means for the run.
[[nodiscard]] End end_of_signal(int signal);

}  // namespace dmr::sim

// SPDX-License-Identifier: GPL-2.0-or-later
// One simulated life of a volume: clients at work, trouble as the profile says, the oracle
// watching. The seed decides everything.
#pragma once

#include <cstdio>
#include <string>

#include "sim/oracle.h"
#include "sim/profile.h"
#include "sim/steps.h"

namespace dmr::sim {

inline constexpr u32 kDefaultSteps = 300;

// Everything that decides a run.
struct Plan {
  u64 seed = 0;
  const Profile* profile = nullptr;
  u32 steps = kDefaultSteps;
  const Steps* only = nullptr;  // the steps that are played; null: all
  std::FILE* trace = nullptr;   // gets the whole history, one line an event
};

struct Totals {
  u64 runs = 0;
  u64 requests = 0;
  u64 slow_requests = 0;
  u64 power_cuts = 0;
  u64 torn_blocks = 0;
  u64 opens = 0;
  u64 repaired_opens = 0;
  u64 refused_opens = 0;  // of a set that was damaged beyond repair
  u64 media_errors = 0;
  u64 device_errors = 0;
  u64 bit_flips = 0;
  u64 bad_sectors = 0;  // faults put under data, by kind; transient and growing ones among them
  u64 transient_sectors = 0;
  u64 growing_sectors = 0;
  u64 bad_metadata_sectors = 0;
  u64 device_outages = 0;
  u64 slow_ios = 0;
  u64 lost_metadata_writes = 0;
  u64 corrupt_metadata_writes = 0;
  u64 misdirected_metadata_writes = 0;
  u64 refused_journal_writes = 0;
  u64 journal_gaps = 0;
  u64 absent_members = 0;
  u64 commits = 0;
  u64 checkpoints = 0;
  u64 remapped_blocks = 0;
  u64 lost_sectors = 0;
  u64 sectors_compared = 0;
  u64 events = 0;

  void add(const Totals& other);
};

struct Report {
  u64 seed = 0;
  const char* profile = "";
  u32 last_step = 0;  // that was played, counted from 1
  Violation violation;
  std::string history;  // the last events before it, one line each
  Totals totals;

  [[nodiscard]] bool ok() const { return violation.rule == Rule::none; }
  // What to print about a failure: the seed, the rule, the history.
  [[nodiscard]] std::string text() const;
};

[[nodiscard]] Report run(const Plan& plan);
[[nodiscard]] Report run(u64 seed, const Profile& profile, u32 steps = kDefaultSteps);

}  // namespace dmr::sim

// SPDX-License-Identifier: GPL-2.0-or-later
// Running scenarios from seeds, and the report of what they met.
#include "sim/run.h"

#include <fmt/format.h>

#include "sim/scenario.h"

namespace dmr::sim {

void Totals::add(const Totals& other) {
  runs += other.runs;
  requests += other.requests;
  slow_requests += other.slow_requests;
  power_cuts += other.power_cuts;
  torn_blocks += other.torn_blocks;
  opens += other.opens;
  repaired_opens += other.repaired_opens;
  refused_opens += other.refused_opens;
  media_errors += other.media_errors;
  device_errors += other.device_errors;
  bit_flips += other.bit_flips;
  bad_sectors += other.bad_sectors;
  transient_sectors += other.transient_sectors;
  growing_sectors += other.growing_sectors;
  bad_metadata_sectors += other.bad_metadata_sectors;
  device_outages += other.device_outages;
  slow_ios += other.slow_ios;
  lost_metadata_writes += other.lost_metadata_writes;
  corrupt_metadata_writes += other.corrupt_metadata_writes;
  misdirected_metadata_writes += other.misdirected_metadata_writes;
  refused_journal_writes += other.refused_journal_writes;
  journal_gaps += other.journal_gaps;
  absent_members += other.absent_members;
  commits += other.commits;
  checkpoints += other.checkpoints;
  remapped_blocks += other.remapped_blocks;
  lost_sectors += other.lost_sectors;
  sectors_compared += other.sectors_compared;
  events += other.events;
}

std::string Report::text() const {
  if (ok()) return fmt::format("profile {}, seed {}: no violation\n", profile, seed);
  return fmt::format("profile {}, seed {}: rule {} is broken: {}\n{}", profile, seed,
                     rule_name(violation.rule), violation.text, history);
}

Report run(const Plan& plan) {
  Scenario scenario(plan);
  scenario.play();
  return scenario.report();
}

Report run(u64 seed, const Profile& profile, u32 steps) {
  return run(Plan{.seed = seed, .profile = &profile, .steps = steps});
}

}  // namespace dmr::sim

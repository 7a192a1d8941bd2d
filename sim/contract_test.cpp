// SPDX-License-Identifier: GPL-2.0-or-later
// One test for each rule of the contract that a volume keeps while it runs. The engine keeps it;
// with a deliberate bug that breaks it the simulator must say so. A buggy life runs in a child
// process: the bug may also trip an assertion of the engine, which counts as found.
#include <gtest/gtest.h>

#include "sim/bug_hunt.h"
#include "sim/enumerate.h"
#include "sim/machine.h"

namespace dmr::sim {
namespace {

constexpr u32 kSteps = 250;
constexpr u64 kMostRuns = 150;

const Profile& profile_of(const char* name) {
  const Profile* profile = find_profile(name);
  DMR_ASSERT(profile != nullptr);
  return *profile;
}

void expect_kept(const char* name, u64 runs = 4) {
  for (u64 seed = 1; seed <= runs; ++seed) {
    const Report report = run(seed, profile_of(name), kSteps);
    EXPECT_TRUE(report.ok()) << report.text();
  }
}

void expect_found(Bug bug, const char* name) {
  set_bug(bug, true);
  u64 runs = 1;
  const auto play = [&] { return run(runs, profile_of(name), kSteps).ok(); };
  while (runs <= kMostRuns && goes_well(play)) ++runs;
  set_bug(bug, false);
  EXPECT_LE(runs, kMostRuns) << "bug " << static_cast<u32>(bug) << " went unnoticed in " << name;
  testing::Test::RecordProperty("bug_" + std::to_string(static_cast<u32>(bug)),
                                static_cast<int>(runs));
}

TEST(Contract, Rule1NeverWrongData) {
  expect_kept("marks");
  expect_found(Bug::skip_drain, "marks");
  expect_found(Bug::no_second_lookup, "marks");
  expect_found(Bug::first_sector_route, "marks");
  expect_found(Bug::zeros_for_unreadable, "marks");
}

TEST(Contract, Rule2LostMeansLostPrecisely) {
  expect_kept("clustered");
  expect_found(Bug::lost_mask_dropped, "clustered");
  expect_found(Bug::neighbours_lost, "clustered");
  expect_found(Bug::lost_not_cleared, "clustered");
}

TEST(Contract, Rule3WritesSurvive) {
  expect_kept("bad-sectors");
  expect_found(Bug::skip_commit, "bad-sectors");
  expect_found(Bug::replay_one_short, "marks");
}

TEST(Contract, Rule4FlushMeansFlush) {
  expect_kept("power-cuts", 2);
  expect_found(Bug::skip_spare_flush, "marks");
  expect_found(Bug::skip_flush_of_spare, "marks");
  expect_found(Bug::fua_dropped_on_retry, "power-cuts");
  expect_found(Bug::return_before_flush, "marks");
  expect_found(Bug::journal_without_fua, "power-cuts");
}

TEST(Contract, Rule4AFlushThatAMemberRefusesIsAnError) {
  expect_kept("two-spares");
  expect_found(Bug::flush_error_swallowed, "flaky-transport");
}

TEST(Contract, Rule5OneHomePerBlock) {
  expect_kept("tiny-spare");
  expect_found(Bug::shared_spare_block, "marks");
}

TEST(Contract, Rule6DamagedMetadataIsNoticed) {
  expect_kept("bit-rot", 8);
  expect_found(Bug::checkpoint_header_first, "marks");
  const auto damaged_journal = [] { return enumerate_long_journal(7).ok(); };
  set_bug(Bug::damage_ignored, true);
  EXPECT_FALSE(goes_well(damaged_journal));
  set_bug(Bug::damage_ignored, false);
  EXPECT_TRUE(goes_well(damaged_journal));
}

TEST(Contract, Rule7OnlyMediumErrorsRemap) {
  expect_kept("flaky-transport");
  expect_found(Bug::error_class_ignored, "flaky-transport");
}

// A set with a member missing starts only when told to.
bool missing_member_is_refused() {
  Shape shape;
  shape.spare_sectors = {1700, 1700};
  Machine machine(1, shape);
  if (machine.format() != Status::ok || machine.open() != Status::ok) return false;
  if (machine.close() != Status::ok) return false;
  machine.absent = 1U << 2U;
  if (machine.open() != Status::member_missing) return false;
  return machine.open(false, true) == Status::ok && machine.close() == Status::ok;
}

TEST(Contract, Rule8TheRightDisksOrNone) {
  EXPECT_TRUE(missing_member_is_refused());
  set_bug(Bug::stale_member_alone, true);
  EXPECT_FALSE(goes_well(missing_member_is_refused));
  set_bug(Bug::stale_member_alone, false);
}

// On a healthy disk no request ever meets the executor.
TEST(Contract, Rule9AHealthyBlockCostsNothing) {
  for (u64 seed = 1; seed <= 4; ++seed) {
    const Report report = run(seed, profile_of("quiet"), kSteps);
    EXPECT_TRUE(report.ok()) << report.text();
    EXPECT_GT(report.totals.requests, 0U);
    EXPECT_EQ(report.totals.slow_requests, 0U);
    EXPECT_EQ(report.totals.commits, 0U);
  }
  expect_found(Bug::healthy_detour, "quiet");
}

TEST(Contract, Rule10NothingHangsForEver) {
  expect_kept("scarce-memory");
  expect_found(Bug::request_lost, "marks");
}

}  // namespace
}  // namespace dmr::sim

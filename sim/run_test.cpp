// SPDX-License-Identifier: GPL-2.0-or-later
// Many lives in every profile, and all of the small ones. A failure prints the seed that repeats
// it.
#include "sim/run.h"

#include <cstdio>
#include <string>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "sim/enumerate.h"

namespace dmr::sim {
namespace {

// 24 profiles x 4 parts x 220 runs: more than 20,000. A sanitizer makes them ten times slower, and
// looks for other things.
#if defined(DMR_SANITIZER_address)
constexpr u64 kRuns = 5;
constexpr u32 kSubsets = 1;
constexpr u32 kTimings = 4;
constexpr u64 kStride = 1000;
constexpr u64 kStrideOfLosses = 50;
constexpr u64 kStrideOfScrubs = 20;
constexpr u64 kFirstOfOpenings = 8;
#else
constexpr u64 kRuns = 220;
constexpr u32 kSubsets = 4;
constexpr u32 kTimings = 16;
constexpr u64 kStride = 13;
constexpr u64 kStrideOfLosses = 3;
constexpr u64 kStrideOfScrubs = 1;
constexpr u64 kFirstOfOpenings = 7;
#endif
constexpr u64 kParts = 4;
constexpr u64 kFirstSeed = 1000;

std::vector<std::string> profile_names() {
  std::vector<std::string> names;
  for (const Profile& profile : profiles()) names.emplace_back(profile.name);
  return names;
}

class EveryProfile : public testing::TestWithParam<std::tuple<std::string, u64>> {};

TEST_P(EveryProfile, KeepsTheContract) {
  const auto& [name, part] = GetParam();
  const Profile* profile = find_profile(name);
  ASSERT_NE(profile, nullptr);
  Totals totals;
  for (u64 i = 0; i < kRuns; ++i) {
    const Report report = run(kFirstSeed + part * kRuns + i, *profile);
    ASSERT_TRUE(report.ok()) << report.text();
    totals.add(report.totals);
  }
  EXPECT_EQ(totals.runs, kRuns);
  EXPECT_GT(totals.power_cuts, 0U);
  EXPECT_GT(totals.sectors_compared, kRuns * 1000);
  std::printf("  %s: %llu runs, %llu power cuts\n", name.c_str(),
              static_cast<unsigned long long>(totals.runs),
              static_cast<unsigned long long>(totals.power_cuts));
}

INSTANTIATE_TEST_SUITE_P(Sim, EveryProfile,
                         testing::Combine(testing::ValuesIn(profile_names()),
                                          testing::Range<u64>(0, kParts)),
                         [](const auto& test) {
                           std::string name = std::get<0>(test.param);
                           for (char& c : name) {
                             if (c == '-') c = '_';
                           }
                           return name + "_" + std::to_string(std::get<1>(test.param));
                         });

// What a profile is for happens in it.
TEST(Run, TheTroublesOfEachProfileHappen) {
  Totals totals;
  for (const Profile& profile : profiles()) {
    for (u64 seed = 1; seed <= 3; ++seed) totals.add(run(seed, profile).totals);
  }
  for (const u64 count :
       {totals.bad_sectors, totals.transient_sectors, totals.growing_sectors,
        totals.bad_metadata_sectors, totals.device_outages, totals.slow_ios,
        totals.lost_metadata_writes, totals.corrupt_metadata_writes,
        totals.misdirected_metadata_writes, totals.refused_journal_writes, totals.absent_members,
        totals.bit_flips, totals.torn_blocks, totals.media_errors, totals.device_errors}) {
    EXPECT_GT(count, 0U);
  }
}

TEST(Run, OneSeedRepeatsARunToTheLastStep) {
  const Profile& profile = *find_profile("power-cuts");
  const Report first = run(42, profile, 100);
  const Report second = run(42, profile, 100);
  const Report other = run(43, profile, 100);
  EXPECT_EQ(first.totals.events, second.totals.events);
  EXPECT_EQ(first.totals.sectors_compared, second.totals.sectors_compared);
  EXPECT_NE(first.totals.events, other.totals.events);
}

// The number of spares.
class Enumerate : public testing::TestWithParam<u32> {
 protected:
  static void expect_ok(const Enumeration& all, u64 least_points) {
    EXPECT_TRUE(all.ok()) << all.text();
    EXPECT_GE(all.points, least_points);
    std::printf("  %s", all.text().c_str());
  }
};

class EnumerateLosses : public Enumerate {};

TEST_P(Enumerate, EveryPowerCut) { expect_ok(enumerate_power_cuts(7, GetParam(), kSubsets), 500); }

TEST_P(Enumerate, EveryTornWriteOfMetadata) {
  const Enumeration all = enumerate_torn_metadata(7, GetParam());
  expect_ok(all, 15);
  EXPECT_GT(all.masks, 100'000U);
}

#if !defined(DMR_SANITIZER_address)  // too slow with it
TEST_P(Enumerate, EveryPowerCutDuringTheRecoveryFromAPowerCut) {
  expect_ok(enumerate_recovery_cuts(7, GetParam()), 15);
}
#endif

TEST_P(Enumerate, EveryFailingIo) {
  expect_ok(enumerate_failing_calls(7, GetParam(), HostCall::io), 100);
}

TEST_P(Enumerate, EveryRefusedFlush) {
  expect_ok(enumerate_refused_flushes(7, GetParam(), kTimings), kTimings * 500 / 16);
}

TEST_P(Enumerate, EveryRefusedFlushBeforeARestart) {
  expect_ok(enumerate_restarts_after_refusals(8, GetParam()), 40);
}

// Of an even seed, no disk has FUA of its own; of an odd one all have.
TEST_P(Enumerate, EveryFailingIoOfAnOpening) {
  for (u64 seed = kFirstOfOpenings; seed <= 8; ++seed) {
    expect_ok(enumerate_failing_openings(seed, GetParam(), kStride), 100);
  }
}

TEST_P(Enumerate, EveryCutAndFailureOfAScrub) {
  for (const u64 seed : {7U, 8U})
    expect_ok(enumerate_scrubs(seed, GetParam(), kStrideOfScrubs), 40);
}

TEST_P(EnumerateLosses, AfterEachOpening) {
  for (const u64 seed : {7U, 8U}) {
    expect_ok(enumerate_losses(seed, GetParam(), kStrideOfLosses), 30);
  }
}

INSTANTIATE_TEST_SUITE_P(Spares, EnumerateLosses, testing::Values(1U, 2U, 3U));

TEST_P(Enumerate, EveryFailingAllocationOfAnOpening) {
  expect_ok(enumerate_failing_calls(7, GetParam(), HostCall::memory), 10);
}

TEST_P(Enumerate, EveryPageThatNeverComes) {
  expect_ok(enumerate_failing_calls(7, GetParam(), HostCall::page), 10);
}

TEST_P(Enumerate, EveryTimerThatIsLate) {
  expect_ok(enumerate_failing_calls(7, GetParam(), HostCall::timer), 1);
}

TEST_P(Enumerate, EveryMetadataBlockThatCannotBeRead) {
  expect_ok(enumerate_bad_metadata(7, GetParam(), BadBlock::read_error), 60);
}

TEST_P(Enumerate, EveryMetadataBlockThatTakesNoWrite) {
  expect_ok(enumerate_bad_metadata(7, GetParam(), BadBlock::write_error), 60);
}

TEST_P(Enumerate, EveryMetadataBlockThatLosesItsWritesInSilence) {
  expect_ok(enumerate_bad_metadata(7, GetParam(), BadBlock::lost_write), 60);
}

TEST_P(Enumerate, EveryMetadataBlockWithAFlippedBit) {
  expect_ok(enumerate_bad_metadata(7, GetParam(), BadBlock::bit_flip), 60);
}

TEST_P(Enumerate, EveryMetadataBlockWithStaleContent) {
  expect_ok(enumerate_bad_metadata(7, GetParam(), BadBlock::stale), 60);
}

INSTANTIATE_TEST_SUITE_P(Spares, Enumerate, testing::Values(1U, 2U));

TEST(EnumerateMore, AJournalThatHasGoneRoundNeedsOneCheckpointAndNoGap) {
  const Enumeration all = enumerate_long_journal(7);
  EXPECT_TRUE(all.ok()) << all.text();
  EXPECT_GE(all.points, 50U);
  std::printf("  %s", all.text().c_str());
}

TEST(EnumerateMore, ASpareBlockThatRefusedDataIsNotTriedAgain) {
  const Enumeration all = enumerate_bad_spare_blocks(7);
  EXPECT_TRUE(all.ok()) << all.text();
  std::printf("  %s", all.text().c_str());
}

}  // namespace
}  // namespace dmr::sim

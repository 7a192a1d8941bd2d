// SPDX-License-Identifier: GPL-2.0-or-later
// The health of a volume as one number.
#include "core/volume/health.h"

#include <gtest/gtest.h>

namespace dmr {
namespace {

VolumeStats well() {
  VolumeStats stats;
  stats.members = 2;
  stats.member[0].state = format::MemberState::live;
  stats.member[1].state = format::MemberState::live;
  stats.member[0].present = stats.member[1].present = true;
  stats.member[1].data_blocks = 1000;
  stats.member[1].free_blocks = 1000;
  return stats;
}

HealthFacts facts(const VolumeStats& stats) { return facts_of(stats, false); }
u32 score(const VolumeStats& stats) { return health_score(facts(stats)); }

TEST(Health, AVolumeWithoutTroubleHasAllPoints) {
  EXPECT_EQ(score(well()), 100U);
  EXPECT_EQ(grade_of(100), HealthGrade::healthy);
}

TEST(Health, UsedSparesCostPointsButStayHealthyUntilTheyAreLow) {
  VolumeStats stats = well();
  u32 before = 100;
  for (u64 left = 1000; left >= 125; --left) {
    stats.member[1].free_blocks = left;
    EXPECT_LE(score(stats), before);
    EXPECT_EQ(grade_of(score(stats)), HealthGrade::healthy) << left;
    before = score(stats);
  }
  EXPECT_LT(before, 85U);
  stats.member[1].free_blocks = 124;
  EXPECT_EQ(grade_of(score(stats)), HealthGrade::attention);
  stats.member[1].free_blocks = 0;
  EXPECT_EQ(grade_of(score(stats)), HealthGrade::failing);
}

TEST(Health, OnlyLiveSparesCount) {
  VolumeStats stats = well();
  stats.members = 3;
  stats.member[2] = stats.member[1];
  stats.member[2].state = format::MemberState::removed;
  stats.member[1].free_blocks = 0;
  EXPECT_TRUE(has(facts(stats), Trouble::spare_exhausted));
}

TEST(Health, EachTroubleHasItsGrade) {
  VolumeStats weak = well();
  weak.weak_blocks = 1;
  EXPECT_EQ(grade_of(score(weak)), HealthGrade::attention);
  VolumeStats refusing = well();
  refusing.failed_writes = 1;
  EXPECT_EQ(grade_of(score(refusing)), HealthGrade::attention);
  VolumeStats lost = well();
  lost.lost_sectors = 1;
  EXPECT_EQ(grade_of(score(lost)), HealthGrade::failing);
  VolumeStats broken = well();
  broken.member[0].breaker_open = true;
  EXPECT_EQ(grade_of(score(broken)), HealthGrade::failing);
  VolumeStats missing = well();
  missing.member[1].state = format::MemberState::missing;
  EXPECT_TRUE(has(facts(missing), Trouble::member_missing));
  VolumeStats retired = well();
  retired.member[1].state = format::MemberState::failed;
  EXPECT_TRUE(has(facts(retired), Trouble::spare_retired));
}

// One that was opened read-only has not recorded who is there.
TEST(Health, ALiveSpareThatIsNotThereIsMissing) {
  VolumeStats stats = well();
  stats.member[1].present = false;
  EXPECT_TRUE(has(facts(stats), Trouble::member_missing));
  EXPECT_TRUE(has(facts(stats), Trouble::spare_exhausted)) << "what is not there has no room";
  stats.member[1].state = format::MemberState::removed;
  EXPECT_FALSE(has(facts(stats), Trouble::member_missing));
}

TEST(Health, AMapThatMayBeOlderThanTheDataIsTheWorst) {
  VolumeStats stats = well();
  stats.restored_older = true;
  EXPECT_EQ(score(stats), 0U);
}

TEST(Health, AHostThatTakesNoWritesAfterARefusedFlushIsFailing) {
  EXPECT_TRUE(has(facts_of(well(), true), Trouble::flush_refused));
  EXPECT_EQ(grade_of(health_score(facts_of(well(), true))), HealthGrade::failing);
}

// What the next bad block costs is less than what a write has cost already.
TEST(Health, AFailedWriteIsGraverThanLittleSpare) {
  VolumeStats stats = well();
  stats.member[1].free_blocks = 100;
  const u32 low = score(stats);
  stats.failed_writes = 1;
  EXPECT_LT(score(stats), low);
  stats.lost_sectors = 1;
  EXPECT_EQ(score(stats), kScoreOfTrouble[static_cast<u32>(Trouble::sectors_lost)]);
}

TEST(Health, TheGravestTroubleDecides) {
  VolumeStats stats = well();
  stats.weak_blocks = 1;
  stats.lost_sectors = 8;
  EXPECT_EQ(score(stats), kScoreOfTrouble[static_cast<u32>(Trouble::sectors_lost)]);
  stats.read_only_by_failure = true;
  EXPECT_EQ(score(stats), 0U);
}

}  // namespace
}  // namespace dmr

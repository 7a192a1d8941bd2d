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
  stats.member[1].data_blocks = 1000;
  stats.member[1].free_blocks = 1000;
  return stats;
}

u32 score(const VolumeStats& stats) { return health_score(facts_of(stats)); }

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
  EXPECT_TRUE(has(facts_of(stats), Trouble::spare_exhausted));
}

TEST(Health, EachTroubleHasItsGrade) {
  VolumeStats weak = well();
  weak.weak_blocks = 1;
  EXPECT_EQ(grade_of(score(weak)), HealthGrade::attention);
  VolumeStats lost = well();
  lost.lost_sectors = 1;
  EXPECT_EQ(grade_of(score(lost)), HealthGrade::failing);
  VolumeStats broken = well();
  broken.member[0].breaker_open = true;
  EXPECT_EQ(grade_of(score(broken)), HealthGrade::failing);
  VolumeStats missing = well();
  missing.member[1].state = format::MemberState::missing;
  EXPECT_TRUE(has(facts_of(missing), Trouble::member_missing));
  VolumeStats retired = well();
  retired.member[1].state = format::MemberState::failed;
  EXPECT_TRUE(has(facts_of(retired), Trouble::spare_retired));
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

// SPDX-License-Identifier: GPL-2.0-or-later
// Many lives in every profile, and all of the small ones. A failure prints the seed that repeats
// it.
#include "sim/run.h"

#include <gtest/gtest.h>

#include "sim/enumerate.h"

namespace dmr::sim {
namespace {

constexpr u64 kRuns = 100;

class EveryProfile : public testing::TestWithParam<Profile> {};

TEST_P(EveryProfile, KeepsTheContract) {
  Totals totals;
  for (u64 seed = 1000; seed < 1000 + kRuns; ++seed) {
    const Report report = run(seed, GetParam());
    ASSERT_TRUE(report.ok()) << report.text();
    totals.add(report.totals);
  }
  EXPECT_EQ(totals.runs, kRuns);
  EXPECT_GT(totals.power_cuts, 0U);
  EXPECT_GT(totals.sectors_compared, 100'000U);
}

INSTANTIATE_TEST_SUITE_P(Sim, EveryProfile, testing::ValuesIn(profiles()), [](const auto& test) {
  std::string name = test.param.name;
  for (char& c : name) {
    if (c == '-') c = '_';
  }
  return name;
});

TEST(Run, OneSeedRepeatsARunToTheLastStep) {
  const Profile& profile = *find_profile("power-cuts");
  const Report first = run(42, profile, 100);
  const Report second = run(42, profile, 100);
  const Report other = run(43, profile, 100);
  EXPECT_EQ(first.totals.events, second.totals.events);
  EXPECT_EQ(first.totals.sectors_compared, second.totals.sectors_compared);
  EXPECT_NE(first.totals.events, other.totals.events);
}

TEST(Enumerate, EveryPowerCutOfASmallWorkload) {
  for (u32 spares = 1; spares <= 2; ++spares) {
    const Enumeration all = enumerate_power_cuts(7, spares, 4);
    EXPECT_TRUE(all.ok()) << all.text();
    EXPECT_GT(all.points, 200U);
  }
}

TEST(Enumerate, EveryFailingIoOfASmallWorkload) {
  for (u32 spares = 1; spares <= 2; ++spares) {
    const Enumeration all = enumerate_failures(7, spares);
    EXPECT_TRUE(all.ok()) << all.text();
    EXPECT_GT(all.points, 50U);
  }
}

}  // namespace
}  // namespace dmr::sim

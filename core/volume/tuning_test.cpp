// SPDX-License-Identifier: GPL-2.0-or-later
// Limits that can be changed while a volume runs.
#include "core/volume/tuning.h"

#include <gtest/gtest.h>

namespace dmr {
namespace {

TEST(Tuning, EachLimitTakesItsRangeAndNothingElse) {
  for (u32 i = 0; i < kTunables; ++i) {
    const auto which = static_cast<Tunable>(i);
    const TunableRange& range = kTunableRange[i];
    VolumeConfig config;
    EXPECT_GE(get(config, which), range.lowest) << range.name;
    EXPECT_LE(get(config, which), range.highest) << range.name;
    for (const u64 value : {u64{range.lowest}, u64{range.highest}}) {
      EXPECT_EQ(set(config, which, value), Status::ok) << range.name;
      EXPECT_EQ(get(config, which), value) << range.name;
    }
    for (const u64 value : {u64{range.lowest} - 1, u64{range.highest} + 1, ~u64{0}}) {
      EXPECT_EQ(set(config, which, value), Status::invalid) << range.name;
      EXPECT_EQ(get(config, which), range.highest) << range.name;
    }
  }
}

TEST(Tuning, ChangesOneLimitOnly) {
  for (u32 i = 0; i < kTunables; ++i) {
    VolumeConfig config;
    const VolumeConfig before;
    const auto changed = static_cast<Tunable>(i);
    ASSERT_EQ(set(config, changed, kTunableRange[i].highest), Status::ok);
    for (u32 other = 0; other < kTunables; ++other) {
      const auto which = static_cast<Tunable>(other);
      if (other == i) continue;
      EXPECT_EQ(get(config, which), get(before, which)) << kTunableRange[i].name;
    }
  }
}

}  // namespace
}  // namespace dmr

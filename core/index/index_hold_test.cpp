// SPDX-License-Identifier: GPL-2.0-or-later
// Holds: what they stop, where they cut, and that nothing of them is left behind.
#include <vector>

#include <gtest/gtest.h>

#include "core/index/index.h"
#include "core/testing/index_fixture.h"

namespace dmr {
namespace {

using testing::IndexFixture;
using testing::on_spare;

constexpr u64 kHeldBlocks = 4 * kRegionBlocks;
constexpr u32 kBlockSectors = 8;

class IndexHold : public ::testing::Test, public IndexFixture {
 protected:
  IndexHold() : IndexFixture(kHeldBlocks * kBlockSectors, kBlockSectors) {}
  Route route_blocks(u64 block, u32 blocks) {
    return index.route(Sector(block * kBlockSectors), blocks * kBlockSectors);
  }
  static Route device(u64 block, u32 blocks) {
    return {RouteKind::device, kMain, blocks * kBlockSectors, Sector(block * kBlockSectors)};
  }
  static Route held(u64 block, u32 blocks) {
    return {RouteKind::held, kMain, blocks * kBlockSectors, Sector(block * kBlockSectors)};
  }
};

TEST_F(IndexHold, CutsAnExtentBeforeAndBehindIt) {
  const HoldId id = index.hold(Block(100), 10).value();
  EXPECT_EQ(route_blocks(90, 30), device(90, 10));
  EXPECT_EQ(route_blocks(100, 30), held(100, 10));
  EXPECT_EQ(route_blocks(109, 1), held(109, 1));
  EXPECT_EQ(route_blocks(110, 30), device(110, 30));
  // In the middle of a block.
  EXPECT_EQ(index.route(Sector(109 * 8 + 3), 20),
            (Route{RouteKind::held, kMain, 5, Sector(109 * 8 + 3)}));
  index.release(id);
  EXPECT_EQ(route_blocks(90, 30), device(90, 30));
}

TEST_F(IndexHold, ComesBeforeWhatTheLeafSays) {
  ASSERT_EQ(index.set(Block(50), 4, on_spare(1, 900)), Status::ok);
  const HoldId id = index.hold(Block(50), 1).value();
  EXPECT_EQ(route_blocks(50, 4), held(50, 1));
  EXPECT_EQ(route_blocks(51, 3).member, 1);
  EXPECT_EQ(index.lookup(Block(50)).home, on_spare(1, 900));  // the executor looks through it
  index.release(id);
  EXPECT_EQ(route_blocks(50, 4), (Route{RouteKind::device, 1, 32, Sector(900 * 8)}));
}

TEST_F(IndexHold, IsSeenInACleanRegionAndLeavesItCleanAgain) {
  EXPECT_FALSE(index.touched(1));
  const HoldId id = index.hold(Block(kRegionBlocks + 5), 2).value();
  EXPECT_TRUE(index.touched(1));
  EXPECT_TRUE(index.any_hold());
  index.release(id);
  EXPECT_FALSE(index.touched(1));
  EXPECT_FALSE(index.any_hold());
}

TEST_F(IndexHold, CoversBothRegionsThatItTouches) {
  const u64 begin = 2 * kRegionBlocks - 500;
  const HoldId id = index.hold(Block(begin), kMaxHoldBlocks).value();
  EXPECT_TRUE(index.touched(1));
  EXPECT_TRUE(index.touched(2));
  EXPECT_EQ(route_blocks(begin + 499, 1), held(begin + 499, 1));
  EXPECT_EQ(route_blocks(begin + 500, 1), held(begin + 500, 1));
  EXPECT_EQ(route_blocks(begin + 1022, 2), held(begin + 1022, 1));
  index.release(id);
  EXPECT_FALSE(index.touched(1));
  EXPECT_FALSE(index.touched(2));
}

TEST_F(IndexHold, KeepsTheRegionMarkedWhileItsLastRunGoesHome) {
  ASSERT_EQ(index.set(Block(7), 1, on_spare(2, 70)), Status::ok);
  const HoldId id = index.hold(Block(7), 1).value();
  ASSERT_EQ(index.set(Block(7), 1, Home{}), Status::ok);
  EXPECT_EQ(route_blocks(7, 1), held(7, 1));
  EXPECT_TRUE(index.touched(0));
  index.release(id);
  EXPECT_FALSE(index.touched(0));
  EXPECT_EQ(route_blocks(7, 1), device(7, 1));
}

TEST_F(IndexHold, KeepsTheRegionMarkedForARunThatWasPublishedUnderIt) {
  const HoldId id = index.hold(Block(7), 1).value();
  ASSERT_EQ(index.set(Block(7), 1, on_spare(2, 70)), Status::ok);
  index.release(id);
  EXPECT_TRUE(index.touched(0));
  EXPECT_EQ(route_blocks(7, 1).member, 2);
}

TEST_F(IndexHold, OfAnotherRequestKeepsTheRegionMarked) {
  const HoldId first = index.hold(Block(10), 1).value();
  const HoldId second = index.hold(Block(20), 1).value();
  index.release(first);
  EXPECT_TRUE(index.touched(0));
  EXPECT_EQ(route_blocks(10, 20), device(10, 10));
  EXPECT_EQ(route_blocks(20, 1), held(20, 1));
  index.release(second);
  EXPECT_FALSE(index.touched(0));
}

TEST_F(IndexHold, SaysAgainWhenTheTableIsFull) {
  std::vector<HoldId> ids;
  for (u32 i = 0; i < kMaxHolds; ++i) ids.push_back(index.hold(Block(3 * i), 1).value());
  EXPECT_EQ(index.hold(Block(5000), 1).status(), Status::again);
  EXPECT_EQ(route_blocks(5000, 1), device(5000, 1));
  EXPECT_EQ(route_blocks(3 * 127, 1), held(3 * 127, 1));
  index.release(ids[60]);
  EXPECT_EQ(route_blocks(180, 1), device(180, 1));
  EXPECT_EQ(index.hold(Block(5000), 1).value(), ids[60]);
  for (const HoldId id : ids) index.release(id);
  EXPECT_FALSE(index.touched(0));
}

using IndexHoldDeathTest = IndexHold;

TEST_F(IndexHoldDeathTest, IsReleasedOnce) {
  const HoldId id = index.hold(Block(1), 1).value();
  index.release(id);
  EXPECT_DEATH(index.release(id), "assertion failed");
}

}  // namespace
}  // namespace dmr

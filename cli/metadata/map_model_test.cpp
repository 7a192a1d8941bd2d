// SPDX-License-Identifier: GPL-2.0-or-later
// The map of a stopped volume: later records win, runs are cut where they do, and one spare block
// never has two owners unnoticed.
#include "cli/metadata/map_model.h"

#include <gtest/gtest.h>

namespace dmr::cli {
namespace {

constexpr u32 kBlockSectors = 8;

Geometry geometry() {
  return *Geometry::make(8003, kBlockSectors);
}  // the last block has 3 sectors

format::Record mapping(u64 block, u32 length, Member member, u64 home) {
  return format::encode_mapping({.block = Block(block),
                                 .length = length,
                                 .member = member,
                                 .home = SpareBlock(home),
                                 .lost_all = false,
                                 .lost = {}},
                                geometry());
}

format::Record lost(u64 block, u32 length) {
  return format::encode_mapping({.block = Block(block),
                                 .length = length,
                                 .member = kMain,
                                 .home = {},
                                 .lost_all = true,
                                 .lost = {}},
                                geometry());
}

TEST(MapModel, ALaterRecordCutsARun) {
  MapModel map;
  ASSERT_EQ(map.snapshot(mapping(10, 10, 1, 100)), Status::ok);
  ASSERT_EQ(map.replay(mapping(13, 2, kMain, 0)), Status::ok);  // home again
  const auto runs = map.mappings();
  ASSERT_EQ(runs.size(), 2U);
  EXPECT_EQ(runs[0].block, Block(10));
  EXPECT_EQ(runs[0].length, 3U);
  EXPECT_EQ(runs[1].block, Block(15));
  EXPECT_EQ(runs[1].length, 5U);
  EXPECT_EQ(runs[1].home, SpareBlock(105));
  EXPECT_EQ(map.summary(geometry()).remapped_blocks, 8U);
}

TEST(MapModel, LostSectorsAreCountedToTheEndOfAShortLastBlock) {
  MapModel map;
  ASSERT_EQ(map.snapshot(lost(999, 2)), Status::ok);
  EXPECT_EQ(map.summary(geometry()).lost_sectors, 11U);
}

TEST(MapModel, AnotherCheckpointBeginsAnew) {
  MapModel map;
  ASSERT_EQ(map.snapshot(mapping(10, 1, 1, 100)), Status::ok);
  map.reset();
  EXPECT_EQ(map.summary(geometry()).runs, 0U);
}

TEST(MapModel, ABlockWithTwoOwnersIsFound) {
  MapModel map;
  ASSERT_EQ(map.snapshot(mapping(10, 4, 1, 100)), Status::ok);
  ASSERT_EQ(map.snapshot(mapping(50, 4, 2, 102)), Status::ok);  // another spare
  EXPECT_FALSE(map.shared_block().has_value());
  ASSERT_EQ(map.snapshot(mapping(90, 4, 1, 103)), Status::ok);
  const auto shared = map.shared_block();
  ASSERT_TRUE(shared.has_value());
  EXPECT_EQ(shared->member, 1);
  EXPECT_EQ(shared->block, SpareBlock(103));
}

}  // namespace
}  // namespace dmr::cli

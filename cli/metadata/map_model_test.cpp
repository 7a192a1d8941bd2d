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

TEST(MapModel, TheRecordsSayTheSameInAsFewAsCanBe) {
  MapModel map;
  for (u64 i = 0; i < 5; ++i) ASSERT_EQ(map.replay(mapping(10 + i, 1, 1, 100 + i)), Status::ok);
  ASSERT_EQ(map.replay(mapping(15, 1, 1, 200)), Status::ok);  // next to it, but not on the spare
  ASSERT_EQ(map.replay(lost(16, 1)), Status::ok);
  ASSERT_EQ(map.replay(lost(17, 3)), Status::ok);
  const format::Record bad = format::encode_bad_spare(1, SpareBlock(300), 4);
  ASSERT_EQ(map.replay(bad), Status::ok);
  ASSERT_EQ(map.replay(bad), Status::ok);
  const std::vector<format::Record> records = map.records(geometry());
  ASSERT_EQ(records.size(), 4U);
  EXPECT_EQ(u64{records[0].block}, 10U);
  EXPECT_EQ(u32{records[0].length}, 5U);
  EXPECT_EQ(u64{records[1].home}, 200U);
  EXPECT_EQ(u32{records[2].length}, 4U);
  EXPECT_EQ(u32{records[2].flags}, u32{format::kRecordLostAll});
  EXPECT_EQ(u32{records[3].type}, u32{static_cast<u8>(format::RecordType::bad_spare)});
  MapModel again;
  for (const format::Record& record : records) ASSERT_EQ(again.snapshot(record), Status::ok);
  EXPECT_EQ(again.summary(geometry()).remapped_blocks, 6U);
  EXPECT_EQ(again.summary(geometry()).lost_sectors, map.summary(geometry()).lost_sectors);
  again.reset();
  EXPECT_TRUE(again.records(geometry()).empty());
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

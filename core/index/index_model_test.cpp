// SPDX-License-Identifier: GPL-2.0-or-later
// The index against a model that keeps one home for each block, over many random changes.
#include <ostream>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "core/index/index.h"
#include "core/testing/index_fixture.h"

namespace dmr {
namespace {

using testing::home_behind;
using testing::IndexFixture;
using testing::Model;

struct Case {
  u32 block_sectors;
  u64 blocks;
  u32 short_by;  // sectors that the last block lacks
  u64 seed;
  friend void PrintTo(const Case& one, std::ostream* out) {
    *out << one.blocks << " blocks of " << one.block_sectors << " sectors";
  }
};

class IndexModel : public ::testing::TestWithParam<Case>, public IndexFixture {
 protected:
  IndexModel()
      : IndexFixture(GetParam().blocks * GetParam().block_sectors - GetParam().short_by,
                     GetParam().block_sectors),
        model(geometry),
        random(GetParam().seed) {}

  u64 up_to(u64 limit) { return std::uniform_int_distribution<u64>(0, limit)(random); }
  bool one_in(u64 n) { return up_to(n - 1) == 0; }

  // Most changes are near each other, so that they meet.
  u64 some_block() {
    const u64 last = geometry.blocks() - 1;
    switch (up_to(5)) {
      case 0:
        return up_to(last);
      case 1:
        return last - up_to(std::min<u64>(last, 40));
      case 2:
        return std::min(last, kRegionBlocks - 20 + up_to(40));  // a border
      case 3:
        return std::min(last, u64{kRegionBlocks} + up_to(700));
      default:
        return up_to(std::min<u64>(last, 1500));
    }
  }
  u64 some_length(u64 begin) {
    const u64 left = geometry.blocks() - begin;
    u64 wanted = 1;
    if (one_in(6)) wanted = 1 + up_to(20);
    if (one_in(40)) wanted = 1 + up_to(1022);
    if (one_in(400)) wanted = 1 + up_to(20000);
    return std::min(left, wanted);
  }
  Home some_home(u64 block, u64 length) {
    Home home;
    home.member = static_cast<Member>(up_to(3));
    // Often consecutive to others, so that runs join.
    if (home.member != kMain) home.spare = SpareBlock(one_in(2) ? 50'000 + block : up_to(90'000));
    const u64 kind = up_to(9);
    if (kind == 0) home.lost = LostKind::all;
    if (kind <= 2 && length == 1) {
      home.lost = LostKind::some;
      const u32 sectors = geometry.sectors_in(Block(block));
      for (u32 i = 0; i < sectors; ++i) {
        if (one_in(2)) home.mask.set(i);
      }
    }
    if (one_in(4)) home = {};
    return home;
  }

  void change() {
    const u64 begin = some_block();
    const u64 length = some_length(begin);
    const Home home = some_home(begin, length);
    ASSERT_EQ(index.set(Block(begin), length, home), Status::ok);
    model.set(begin, length, home);
    if (one_in(3)) host.end_grace();
  }

  void check_lookup(u64 block) {
    const dmr::Run run = index.lookup(Block(block));
    ASSERT_LE(run.begin.value, block);
    ASSERT_GT(run.begin.value + run.length, block);
    ASSERT_LE(run.begin.value + run.length, geometry.blocks());
    ASSERT_EQ(run.begin.value / kRegionBlocks, (run.begin.value + run.length - 1) / kRegionBlocks);
    for (const u64 at : {run.begin.value, block, run.begin.value + run.length - 1}) {
      ASSERT_EQ(home_behind(run.home, at - run.begin.value), model.at(at)) << "block " << at;
    }
  }
  void check_route() {
    const u64 block = some_block();
    const u64 sector =
        std::min(geometry.volume_sectors - 1,
                 geometry.first_sector(Block(block)).value + up_to(geometry.block_sectors - 1));
    const u64 most = std::min<u64>(geometry.volume_sectors - sector, 3 * geometry.block_sectors);
    const u32 sectors = static_cast<u32>(1 + up_to(most - 1));
    ASSERT_EQ(index.route(Sector(sector), sectors), model.route(sector, sectors))
        << sector << "+" << sectors;
  }
  // Iteration and counters agree with the model, run by run and in total.
  void check_all() {
    u64 visited = 0;
    Index::Cursor cursor;
    dmr::Run run;
    u64 before = 0;
    while (index.next(cursor, run)) {
      ASSERT_GE(run.begin.value, before);
      before = run.begin.value + run.length;
      ASSERT_EQ(cursor.next, Block(before));
      for (u64 i = 0; i < run.length; ++i) {
        ASSERT_EQ(home_behind(run.home, i), model.at(run.begin.value + i));
      }
      visited += run.length;
    }
    ASSERT_EQ(visited, model.homes().size());
    const Index::Counters expected = model.counters();
    ASSERT_EQ(index.counters().remapped_blocks, expected.remapped_blocks);
    ASSERT_EQ(index.counters().lost_sectors, expected.lost_sectors);
  }

  Model model;
  std::mt19937_64 random;
};

TEST_P(IndexModel, AnswersAsABlockByBlockMapDoes) {
  for (int step = 0; step < 6000; ++step) {
    ASSERT_NO_FATAL_FAILURE(change());
    for (int i = 0; i < 4; ++i) {
      ASSERT_NO_FATAL_FAILURE(check_lookup(some_block()));
      ASSERT_NO_FATAL_FAILURE(check_route());
    }
    if (step % 500 == 0) {
      ASSERT_NO_FATAL_FAILURE(check_all());
    }
  }
  check_all();
}

TEST_P(IndexModel, GivesAllMemoryBackWhenEverythingIsHome) {
  for (int step = 0; step < 1500; ++step) ASSERT_NO_FATAL_FAILURE(change());
  ASSERT_EQ(index.set(Block(0), geometry.blocks(), Home{}), Status::ok);
  host.end_all_grace();
  EXPECT_EQ(index.counters().runs, 0U);
  EXPECT_EQ(index.counters().remapped_blocks, 0U);
  EXPECT_EQ(index.counters().lost_sectors, 0U);
  const u64 pages = (index.bytes_held() - index.bytes_used()) / kIndexPageBytes;
  EXPECT_GT(pages, 0U);
  EXPECT_EQ(host.bytes_held + sizeof(Index), index.bytes_held());
  Index::Cursor cursor;
  dmr::Run run;
  EXPECT_FALSE(index.next(cursor, run));
}

// Every second block, so that no two runs join: a region passes 256 runs on the way up and 128 on
// the way down, in an order that has nothing to do with the addresses.
TEST_P(IndexModel, PassesToFanOutAndBack) {
  std::vector<u64> blocks;
  for (u64 block = 0; block < std::min<u64>(geometry.blocks(), kRegionBlocks + 600); block += 2) {
    blocks.push_back(block);
  }
  std::shuffle(blocks.begin(), blocks.end(), random);
  for (const u64 block : blocks) {
    Home home = some_home(block, 1);
    if (home.is_plain()) home = testing::on_spare(2, 7 * block);
    ASSERT_EQ(index.set(Block(block), 1, home), Status::ok);
    model.set(block, 1, home);
  }
  ASSERT_NO_FATAL_FAILURE(check_all());
  for (int i = 0; i < 3000; ++i) {
    ASSERT_NO_FATAL_FAILURE(check_route());
    ASSERT_NO_FATAL_FAILURE(check_lookup(some_block()));
  }
  std::shuffle(blocks.begin(), blocks.end(), random);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    ASSERT_EQ(index.set(Block(blocks[i]), 1, Home{}), Status::ok);
    model.set(blocks[i], 1, Home{});
    if (i % 512 == 0) {
      ASSERT_NO_FATAL_FAILURE(check_all());
    }
    if (i % 64 == 0) host.end_grace();
  }
  EXPECT_EQ(index.counters().runs, 0U);
}

INSTANTIATE_TEST_SUITE_P(Geometries, IndexModel,
                         ::testing::Values(Case{8, 30'000, 3, 1}, Case{1, 20'000, 0, 2},
                                           Case{128, 17'000, 127, 3}, Case{16, 8192, 1, 4},
                                           Case{2, 100, 1, 5}, Case{64, 16'385, 60, 6}),
                         [](const auto& case_info) {
                           return "Block" + std::to_string(case_info.param.block_sectors) + "x" +
                                  std::to_string(case_info.param.blocks);
                         });

}  // namespace
}  // namespace dmr

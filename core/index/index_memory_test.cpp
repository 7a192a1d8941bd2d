// SPDX-License-Identifier: GPL-2.0-or-later
// The index's memory: bulk load, bytes for each remap, reserves that hold, and a host without
// pages.
#include <algorithm>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "core/index/index.h"
#include "core/index/leaf.h"
#include "core/testing/index_fixture.h"

namespace dmr {
namespace {

using testing::home_behind;
using testing::IndexFixture;
using testing::lost_in_place;
using testing::Model;
using testing::on_spare;

std::vector<u64> scattered(u64 blocks, u64 count, u64 seed) {
  std::mt19937_64 random(seed);
  std::vector<u64> list(count + count / 50);
  for (u64& block : list) block = random() % blocks;
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
  std::shuffle(list.begin(), list.end(), random);
  list.resize(count);
  return list;
}

Home some_home(u64 block) { return on_spare(1, 1000 + block * 7 % 1'000'003); }

Home masked(u64 block) {
  Home home = on_spare(2, 3 * block);
  home.lost = LostKind::some;
  home.mask.set(static_cast<u32>(block % 8));
  return home;
}

void check_against(const Index& index, const Model& model) {
  u64 visited = 0;
  Index::Cursor cursor;
  Run run;
  while (index.next(cursor, run)) {
    for (u64 i = 0; i < run.length; ++i) {
      ASSERT_EQ(home_behind(run.home, i), model.at(run.begin.value + i));
    }
    visited += run.length;
  }
  ASSERT_EQ(visited, model.homes().size());
}

// 1,000,000 remaps over 2^28 blocks, all that the index holds counted.
TEST(IndexMemory, ScatteredRemapsTakeAtMost24BytesAfterALoad) {
  constexpr u64 kBlocks = u64{1} << 28;
  constexpr u64 kRemaps = 1'000'000;
  IndexFixture fixture(kBlocks * 8, 8);
  Index& index = fixture.index;
  std::vector<u64> blocks = scattered(kBlocks, kRemaps, 1);
  std::sort(blocks.begin(), blocks.end());
  index.begin_load();
  Loader loader(index);
  ASSERT_EQ(loader.open(), Status::ok);
  for (const u64 block : blocks) {
    ASSERT_EQ(loader.add({Block(block), 1, some_home(block)}), Status::ok);
  }
  ASSERT_EQ(loader.finish(), Status::ok);
  loader.close();
  index.end_load();
  EXPECT_EQ(index.counters().remapped_blocks, kRemaps);
  EXPECT_LE(index.bytes_held(), 24 * kRemaps);
  RecordProperty("bytes_held", static_cast<int>(index.bytes_held()));
  for (u64 i = 0; i < kRemaps; i += 97) {
    ASSERT_EQ(index.lookup(Block(blocks[i])).home, some_home(blocks[i]));
  }
}

// The same density, grown in random order through every size of leaf: spans of many sizes are freed
// and taken again. What lies in limbo and what fragmentation costs is counted too.
TEST(IndexMemory, ScatteredRemapsTakeAtMost24BytesAfterRandomInserts) {
  constexpr u64 kBlocks = u64{1} << 25;
  constexpr u64 kRemaps = 125'000;
  IndexFixture fixture(kBlocks * 8, 8);
  u64 changes = 0;
  for (const u64 block : scattered(kBlocks, kRemaps, 2)) {
    ASSERT_EQ(fixture.index.set(Block(block), 1, some_home(block)), Status::ok);
    if (++changes % 64 == 0) fixture.host.end_grace();
  }
  EXPECT_LE(fixture.index.bytes_held(), 24 * kRemaps);
  RecordProperty("bytes_held", static_cast<int>(fixture.index.bytes_held()));
}

// 64 KiB blocks: as many remaps in a sixteenth of the regions, so that each has a fan-out.
TEST(IndexMemory, DenseRemapsTakeAtMost24BytesInFanOuts) {
  constexpr u64 kBlocks = u64{1} << 21;
  constexpr u64 kRemaps = 125'000;
  IndexFixture fixture(kBlocks * 128, 128);
  u64 changes = 0;
  for (const u64 block : scattered(kBlocks, kRemaps, 3)) {
    ASSERT_EQ(fixture.index.set(Block(block), 1, some_home(block)), Status::ok);
    if (++changes % 64 == 0) fixture.host.end_grace();
  }
  ASSERT_GT(kRemaps / (kBlocks / kRegionBlocks), u64{kLeafRuns});
  EXPECT_LE(fixture.index.bytes_held(), 24 * kRemaps);
}

TEST(IndexMemory, ALongRunTakesNextToNothing) {
  IndexFixture fixture(64 * u64{kRegionBlocks} * 8, 8);
  ASSERT_EQ(fixture.index.set(Block(5), 60 * kRegionBlocks, on_spare(1, 9)), Status::ok);
  EXPECT_EQ(fixture.index.counters().runs, 61U);
  EXPECT_EQ(fixture.index.bytes_held(), fixture.host.bytes_held + sizeof(Index));
  EXPECT_LE(fixture.index.bytes_used(),
            sizeof(Index) + Scratch::bytes(kLeafRuns + 8) + 64 * 16 + 8 + kIndexPageBytes);
}

TEST(IndexLoad, LoadsRunsOfEveryKind) {
  IndexFixture fixture(6 * u64{kRegionBlocks} * 8 - 3, 8);
  Index& index = fixture.index;
  Model model(fixture.geometry);
  std::vector<dmr::Run> runs;
  for (u64 block = 0; block < 200; block += 2) runs.push_back({Block(block), 1, masked(block)});
  runs.push_back({Block(300), 2 * kRegionBlocks, on_spare(4, 77)});             // over two borders
  for (u64 block = 3 * kRegionBlocks; block < 4 * kRegionBlocks; block += 3) {  // a fan-out
    runs.push_back({Block(block), 2, block % 2 == 0 ? lost_in_place() : on_spare(1, 9 * block)});
  }
  runs.push_back({Block(4 * kRegionBlocks + 5), 1, Home{}});  // plain: nothing to store
  const u64 last = fixture.geometry.blocks() - 1;
  runs.push_back({Block(last), 1, lost_in_place()});
  index.begin_load();
  Loader loader(index);
  ASSERT_EQ(loader.open(), Status::ok);
  for (const dmr::Run& run : runs) {
    ASSERT_EQ(loader.add(run), Status::ok);
    model.set(run.begin.value, run.length, run.home);
  }
  ASSERT_EQ(loader.finish(), Status::ok);
  loader.close();
  check_against(index, model);
  EXPECT_EQ(index.counters().lost_sectors, model.counters().lost_sectors);
  EXPECT_EQ(index.counters().remapped_blocks, model.counters().remapped_blocks);
  // The journal follows, without a grace period.
  for (u64 block = 0; block < 5 * kRegionBlocks; block += 7) {
    ASSERT_EQ(index.set(Block(block), 1, some_home(block)), Status::ok);
    model.set(block, 1, some_home(block));
  }
  EXPECT_TRUE(fixture.host.grace.empty());
  index.end_load();
  check_against(index, model);
}

TEST(IndexLoad, RefusesRunsOutOfOrderOrOutsideTheVolume) {
  IndexFixture fixture(2 * u64{kRegionBlocks} * 8, 8);
  Index& index = fixture.index;
  index.begin_load();
  Loader loader(index);
  ASSERT_EQ(loader.open(), Status::ok);
  ASSERT_EQ(loader.add({Block(100), 10, on_spare(1, 5)}), Status::ok);
  EXPECT_EQ(loader.add({Block(109), 1, on_spare(1, 50)}), Status::invalid);
  EXPECT_EQ(loader.add({Block(5), 1, on_spare(1, 50)}), Status::invalid);
  EXPECT_EQ(loader.add({Block(110), 0, on_spare(1, 50)}), Status::invalid);
  EXPECT_EQ(loader.add({Block(110), 2 * kRegionBlocks, on_spare(1, 50)}), Status::invalid);
  EXPECT_EQ(loader.add({Block(2 * kRegionBlocks), 1, on_spare(1, 50)}), Status::invalid);
  EXPECT_EQ(loader.add({Block(110), ~u64{0}, on_spare(1, 50)}), Status::invalid);
  EXPECT_EQ(loader.add({Block(110), 1, on_spare(1, 50)}), Status::ok);
  ASSERT_EQ(loader.finish(), Status::ok);
  loader.close();
  index.end_load();
  EXPECT_EQ(index.counters().remapped_blocks, 11U);
}

TEST(IndexLoad, WaitsForPagesAndGoesOn) {
  IndexFixture fixture(40 * u64{kRegionBlocks} * 8, 8);
  Index& index = fixture.index;
  Model model(fixture.geometry);
  fixture.host.pages_left = 0;
  index.begin_load();
  Loader loader(index);
  ASSERT_EQ(loader.open(), Status::ok);
  u64 refused = 0;
  const auto persist = [&](const auto& call) {
    for (int attempt = 0; attempt < 1000; ++attempt) {
      const Status status = call();
      if (status != Status::again) return status;
      ++refused;
      index.give_page(fixture.host.allocate_page());
    }
    return Status::timed_out;
  };
  for (u64 block = 0; block < fixture.geometry.blocks(); block += 20) {
    ASSERT_EQ(persist([&] { return loader.add({Block(block), 1, masked(block)}); }), Status::ok);
    model.set(block, 1, masked(block));
  }
  ASSERT_EQ(persist([&] { return loader.finish(); }), Status::ok);
  loader.close();
  index.end_load();
  EXPECT_GT(refused, 10U);
  check_against(index, model);
}

TEST(IndexMemory, OpenLeavesNothingBehindWithoutMemory) {
  testing::FakeHost host;
  const Geometry geometry = Geometry::make(u64{1} << 24, 8).value();
  for (i64 allocations = 0; allocations < 3; ++allocations) {
    Index index;
    host.allocations_left = allocations;
    EXPECT_EQ(index.open(host, geometry), Status::no_memory);
    EXPECT_EQ(host.bytes_held, 0U);
  }
}

TEST(IndexMemory, ChangesNothingWhenTheHostGivesNoPage) {
  IndexFixture fixture(3 * u64{kRegionBlocks} * 8, 8);
  Index& index = fixture.index;
  Model model(fixture.geometry);
  std::mt19937_64 random(4);
  fixture.host.pages_left = 0;
  u64 refused = 0;
  for (int step = 0; step < 8000; ++step) {
    const u64 begin = random() % fixture.geometry.blocks();
    const u64 left = fixture.geometry.blocks() - begin;
    const u64 length = std::min(left, step % 50 == 0 ? random() % 12'000 + 1 : 1);
    const Home home = length == 1 ? masked(begin) : on_spare(1, random() % 9999);
    const Index::Counters before = index.counters();
    const u64 asked = fixture.host.pages_requested;
    const Status status = index.set(Block(begin), length, home);
    if (status == Status::ok) {
      model.set(begin, length, home);
    } else {
      ASSERT_EQ(status, Status::again);
      ASSERT_GT(fixture.host.pages_requested, asked);
      ASSERT_EQ(index.counters().runs, before.runs);
      if (++refused % 16 == 0) {
        ASSERT_NO_FATAL_FAILURE(check_against(index, model));
      }
      if (refused % 4 == 0) fixture.host.end_grace();
      if (refused % 8 == 0) index.give_page(fixture.host.allocate_page());
    }
  }
  EXPECT_GT(refused, 20U);
  EXPECT_GT(index.counters().runs, 2 * kLeafRuns);
  check_against(index, model);
}

// A reserve is good for any changes, on the worst ground: leaves that are about to become fan-outs,
// full leaves below fan-outs, masks everywhere, and no memory that comes back meanwhile.
TEST(IndexMemory, AReserveLastsForTheWorstChanges) {
  constexpr u64 kRegions = 40;
  constexpr u32 kChanges = 82;
  IndexFixture fixture(kRegions * u64{kRegionBlocks} * 8, 8);
  Index& index = fixture.index;
  std::mt19937_64 random(5);
  for (int round = 0; round < 6; ++round) {
    fixture.host.pages_left = -1;
    for (u64 region = 0; region < kRegions; ++region) {
      const u64 base = region * kRegionBlocks;
      ASSERT_EQ(index.set(Block(base), kRegionBlocks, Home{}), Status::ok);
      // 256 runs at even blocks all over the region; or every block of some 256, and some more.
      const bool leaf = (region + static_cast<u64>(round)) % 2 == 0;
      for (u64 i = 0; i < 256; ++i) {
        const u64 block = leaf ? base + i * 32 : base + kRegionBlocks - 512 + i * 2;
        ASSERT_EQ(index.set(Block(block), 1, masked(block)), Status::ok);
        if (leaf) continue;
        ASSERT_EQ(index.set(Block(block + 1), 1, masked(block + 1)), Status::ok);
        ASSERT_EQ(index.set(Block(base + i), 1, masked(base + i)), Status::ok);
      }
      fixture.host.end_all_grace();
    }
    ASSERT_EQ(index.reserve(kChanges), Status::ok);
    fixture.host.pages_left = 0;
    for (u32 i = 0; i < kChanges; ++i) {
      // Over the border of two regions, or in the middle of one.
      const u64 region = 1 + random() % (kRegions - 2);
      const u64 length = i % 3 == 0 ? 1 : 1 + random() % kMaxHoldBlocks;
      const u64 begin = region * kRegionBlocks + (i % 4 == 0 ? random() % 7000 : 0) -
                        (i % 4 == 0 ? 0 : random() % length);
      const Home home = length == 1 ? masked(begin) : on_spare(3, random() % 99'999);
      ASSERT_EQ(index.set(Block(begin), length, home), Status::ok) << "change " << i;
    }
    fixture.host.end_all_grace();
  }
}

// Each change meets two fan-outs whose leaves at the common border are full and masked.
TEST(IndexMemory, AReserveLastsForChangesOverFullBorders) {
  constexpr u32 kChanges = 40;
  IndexFixture fixture((kChanges + 2) * u64{kRegionBlocks} * 8, 8);
  Index& index = fixture.index;
  const auto fill = [&](u64 begin) {
    for (u64 block = begin; block < begin + kSubBlocks; ++block) {
      ASSERT_EQ(index.set(Block(block), 1, masked(block)), Status::ok);
    }
  };
  for (u64 region = 0; region <= kChanges; ++region) {
    const u64 base = region * kRegionBlocks;
    ASSERT_NO_FATAL_FAILURE(fill(base));
    ASSERT_NO_FATAL_FAILURE(fill(base + kRegionBlocks - kSubBlocks));
    fixture.host.end_all_grace();
  }
  // Uses up what is left, so that only reserves count: no grace period ends from here on.
  fixture.host.pages_left = 0;
  const Block elsewhere((kChanges + 1) * u64{kRegionBlocks});
  for (u64 i = 0; index.set(elsewhere, 1, on_spare(1, i)) == Status::ok; ++i) {
    ASSERT_LT(i, 1'000'000U);
  }
  u64 border = 0;
  for (const u32 at_once : {1U, kChanges - 1}) {
    for (;;) {
      const u64 asked = fixture.host.pages_requested;
      if (index.reserve(at_once) == Status::ok) break;
      for (u64 i = asked; i < fixture.host.pages_requested; ++i) {
        index.give_page(fixture.host.allocate_page());
      }
    }
    for (u32 i = 0; i < at_once; ++i) {
      ++border;
      ASSERT_EQ(index.set(Block(border * kRegionBlocks - 1), 2, on_spare(1, 50)), Status::ok);
    }
  }
}

TEST(IndexMemory, AReserveThatCannotBeMetAsksAndSaysAgain) {
  IndexFixture fixture(u64{kRegionBlocks} * 8, 8);
  fixture.host.pages_left = 0;
  EXPECT_EQ(fixture.index.reserve(1), Status::again);
  const u64 asked = fixture.host.pages_requested;
  EXPECT_GT(asked, 0U);
  for (u64 i = 0; i < asked; ++i) fixture.index.give_page(fixture.host.allocate_page());
  EXPECT_EQ(fixture.index.reserve(1), Status::ok);
}

}  // namespace
}  // namespace dmr

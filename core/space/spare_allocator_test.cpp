// SPDX-License-Identifier: GPL-2.0-or-later
// No spare block has two owners, none of metadata is given out, and the counts are right.
#include "core/space/spare_allocator.h"

#include <map>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "core/testing/fake_host.h"

namespace dmr {
namespace {

SpareLayout layout_of(u64 sectors, u32 block_sectors) {
  return SpareLayout::make(sectors, block_sectors, kMinJournalSlots, 4).value();
}

class SpareAllocatorTest : public ::testing::Test {
 protected:
  ~SpareAllocatorTest() override {
    spares.close(host);
    EXPECT_EQ(host.bytes_held, 0U);
  }
  void add(Member member, const SpareLayout& layout) {
    ASSERT_EQ(spares.add_member(host, member, layout), Status::ok);
  }
  // Every block that can be had, one by one.
  std::set<std::pair<u32, u64>> take_all(u32 wanted) {
    std::set<std::pair<u32, u64>> blocks;
    for (;;) {
      const Result<SpareExtent> extent = spares.allocate(wanted);
      if (!extent) break;
      EXPECT_GE(extent->blocks, 1U);
      EXPECT_LE(extent->blocks, wanted);
      for (u32 i = 0; i < extent->blocks; ++i) {
        EXPECT_TRUE(blocks.insert({extent->member, extent->begin.value + i}).second);
      }
    }
    return blocks;
  }

  testing::FakeHost host;
  SpareAllocator spares;
};

TEST_F(SpareAllocatorTest, GivesEachDataBlockOnceAndNoMetadata) {
  for (const u32 wanted : {1U, 7U, 64U, 5000U}) {
    const SpareLayout layout = layout_of(300'000, 8);
    add(3, layout);
    const auto blocks = take_all(wanted);
    EXPECT_EQ(blocks.size(), layout.data_blocks);
    for (const auto& [member, block] : blocks) {
      EXPECT_EQ(member, 3U);
      ASSERT_TRUE(layout.is_data(SpareBlock(block), 1)) << block;
    }
    EXPECT_EQ(spares.allocate(1).status(), Status::no_space);
    EXPECT_EQ(spares.counters(3).used, layout.data_blocks);
    EXPECT_EQ(spares.counters(3).free, 0U);
    spares.remove_member(host, 3);
  }
}

TEST_F(SpareAllocatorTest, GivesConsecutiveBlocksWhereItCan) {
  add(1, layout_of(1 << 20, 8));
  const SpareExtent first = spares.allocate(100).value();
  EXPECT_EQ(first.blocks, 100U);
  const SpareExtent second = spares.allocate(100).value();
  EXPECT_EQ(second.begin, first.begin + 100);
  // Next fit: what was just given back is not the next to be used.
  spares.release(1, first.begin, 100);
  EXPECT_EQ(spares.allocate(1)->begin, second.begin + 100);
}

TEST_F(SpareAllocatorTest, PrefersTheSpareWithMuchMoreRoomAndStaysThere) {
  add(1, layout_of(1 << 18, 8));
  add(2, layout_of(1 << 20, 8));
  for (int i = 0; i < 50; ++i) EXPECT_EQ(spares.allocate(10)->member, 2);
  spares.set_open(2, false);
  EXPECT_EQ(spares.allocate(10)->member, 1);
  EXPECT_EQ(spares.free_blocks(), spares.counters(1).free);
  spares.set_open(2, true);
  EXPECT_EQ(spares.allocate(10)->member, 2);
}

TEST_F(SpareAllocatorTest, UsesEverySpareBeforeItSaysNoSpace) {
  add(1, layout_of(100'000, 8));
  add(2, layout_of(200'000, 8));
  add(8, layout_of(90'000, 8));
  const u64 all = spares.free_blocks();
  EXPECT_EQ(take_all(33).size(), all);
}

TEST_F(SpareAllocatorTest, GivesBlocksOfTheVerySpareThatIsAskedFor) {
  const SpareLayout small = layout_of(100'000, 8);
  add(1, small);
  add(2, layout_of(1 << 20, 8));
  for (u64 left = small.data_blocks; left > 0;) {
    const Result<SpareExtent> extent = spares.allocate_on(1, 1000);
    ASSERT_TRUE(extent.has_value());
    ASSERT_EQ(extent->member, 1);
    left -= extent->blocks;
  }
  EXPECT_EQ(spares.allocate_on(1, 1).status(), Status::no_space);
  EXPECT_EQ(spares.counters(2).used, 0U);
}

TEST_F(SpareAllocatorTest, RefusesASecondOwner) {
  const SpareLayout layout = layout_of(1 << 20, 8);
  add(1, layout);
  const SpareBlock begin = layout.metadata[0].end + 5;
  EXPECT_TRUE(spares.mark_used(1, begin, 10));
  EXPECT_FALSE(spares.mark_used(1, begin + 9, 1));
  EXPECT_FALSE(spares.mark_used(1, begin - 3, 4));
  EXPECT_EQ(spares.counters(1).used, 10U);
  EXPECT_TRUE(spares.mark_used(1, begin - 3, 3));
  EXPECT_FALSE(spares.mark_used(2, begin, 1));  // no such member
}

TEST_F(SpareAllocatorTest, RefusesMetadataAndWhatIsNotOnTheDevice) {
  const SpareLayout layout = layout_of(1 << 20, 8);
  add(1, layout);
  for (const SpareRange& range : layout.metadata) {
    EXPECT_FALSE(spares.mark_used(1, range.begin, 1));
    EXPECT_FALSE(spares.mark_used(1, range.end - 1, 2));
    EXPECT_FALSE(spares.set_bad(1, range.begin, 1));
  }
  EXPECT_FALSE(spares.mark_used(1, SpareBlock(layout.spare_blocks), 1));
  EXPECT_FALSE(spares.mark_used(1, layout.metadata[0].end, ~u64{0}));
  EXPECT_FALSE(spares.set_bad(1, layout.metadata[0].end, layout.spare_blocks));
  EXPECT_FALSE(spares.mark_used(1, layout.metadata[0].end, 0));
  EXPECT_EQ(spares.counters(1).used + spares.counters(1).bad, 0U);
}

TEST_F(SpareAllocatorTest, NeverGivesABadBlockAgain) {
  const SpareLayout layout = layout_of(100'000, 8);
  add(1, layout);
  const SpareExtent used = spares.allocate(20).value();
  EXPECT_TRUE(spares.set_bad(1, used.begin + 5, 3));
  EXPECT_TRUE(spares.set_bad(1, used.begin + 18, 10));  // two used, eight free
  EXPECT_EQ(spares.counters(1).bad, 13U);
  EXPECT_EQ(spares.counters(1).used, 15U);
  EXPECT_TRUE(spares.set_bad(1, used.begin + 18, 10));  // said twice, as replay may
  EXPECT_EQ(spares.counters(1).bad, 13U);
  EXPECT_FALSE(spares.mark_used(1, used.begin + 6, 1));
  spares.release(1, used.begin, 5);
  spares.release(1, used.begin + 8, 10);
  const auto blocks = take_all(9);
  EXPECT_EQ(blocks.size(), layout.data_blocks - 13);
  EXPECT_FALSE(blocks.contains({1, used.begin.value + 6}));
  EXPECT_FALSE(blocks.contains({1, used.begin.value + 20}));
}

TEST_F(SpareAllocatorTest, GivesNoDistrustedBlockAgain) {
  const SpareLayout layout = layout_of(40'000, 8);
  add(1, layout);
  const SpareExtent extent = spares.allocate(200).value();
  ASSERT_EQ(extent.blocks, 200U);
  spares.distrust(1, extent.begin + 30, 100);
  spares.release(1, extent.begin, 200);
  EXPECT_EQ(spares.counters(1).used, 100U);
  EXPECT_EQ(spares.counters(1).free, layout.data_blocks - 100);
  const auto blocks = take_all(7);
  EXPECT_EQ(blocks.size(), layout.data_blocks - 100);
  for (u64 i = 0; i < 200; ++i) {
    EXPECT_EQ(blocks.contains({1, extent.begin.value + i}), i < 30 || i >= 130) << i;
  }
}

TEST_F(SpareAllocatorTest, TellsBadRangesWhileTheyChange) {
  const SpareLayout small = layout_of(100'000, 8);
  add(1, small);
  add(4, layout_of(1 << 20, 8));
  const SpareBlock at = small.metadata[0].end;
  ASSERT_TRUE(spares.set_bad(1, at + 1, 2));
  ASSERT_TRUE(spares.set_bad(1, at + 70, 100));
  ASSERT_TRUE(spares.set_bad(4, SpareBlock(20'000), 9000));
  SpareAllocator::Cursor cursor;
  SpareAllocator::BadRange range;
  ASSERT_TRUE(spares.next_bad(cursor, range));
  EXPECT_EQ(range.begin, at + 1);
  EXPECT_EQ(range.blocks, 2U);
  ASSERT_TRUE(spares.set_bad(1, at + 60, 10));  // grows the next one
  ASSERT_TRUE(spares.set_bad(1, at, 1));        // behind the cursor: not seen
  ASSERT_TRUE(spares.next_bad(cursor, range));
  EXPECT_EQ(range.begin, at + 60);
  EXPECT_EQ(range.blocks, 110U);
  ASSERT_TRUE(spares.next_bad(cursor, range));
  EXPECT_EQ(range.member, 4);
  EXPECT_EQ(range.begin, SpareBlock(20'000));
  EXPECT_EQ(range.blocks, 9000U);
  EXPECT_FALSE(spares.next_bad(cursor, range));
}

TEST_F(SpareAllocatorTest, KeepsNothingWhenMemoryIsShort) {
  const SpareLayout layout = layout_of(1 << 20, 8);
  for (i64 allocations = 0; allocations < 3; ++allocations) {
    host.allocations_left = allocations;
    EXPECT_EQ(spares.add_member(host, 1, layout), Status::no_memory);
    EXPECT_EQ(host.bytes_held, 0U);
    EXPECT_EQ(spares.counters(1).total, 0U);
  }
  host.allocations_left = -1;
  add(1, layout);
}

using SpareAllocatorDeathTest = SpareAllocatorTest;

TEST_F(SpareAllocatorDeathTest, StopsAtASecondRelease) {
  add(1, layout_of(1 << 20, 8));
  const SpareExtent used = spares.allocate(4).value();
  spares.release(1, used.begin, 2);
  EXPECT_DEATH(spares.release(1, used.begin + 1, 2), "assertion failed");
}

// Random use against a map of owners, with counts compared at each step.
TEST_F(SpareAllocatorTest, AgreesWithAMapOfOwners) {
  std::mt19937_64 random(7);
  const auto up_to = [&random](u64 limit) {
    return std::uniform_int_distribution<u64>(0, limit)(random);
  };
  const SpareLayout layout = layout_of(70'001, 2);
  add(1, layout);
  enum class Owner : u8 { used, bad };
  std::map<u64, Owner> owners;
  std::vector<SpareExtent> extents;
  for (int step = 0; step < 20'000; ++step) {
    if (up_to(9) < 5) {
      const Result<SpareExtent> extent = spares.allocate(static_cast<u32>(1 + up_to(60)));
      if (extent) {
        for (u32 i = 0; i < extent->blocks; ++i) {
          ASSERT_TRUE(owners.insert({extent->begin.value + i, Owner::used}).second);
        }
        extents.push_back(*extent);
      } else {
        ASSERT_EQ(owners.size(), layout.data_blocks);
      }
    } else if (!extents.empty()) {
      const std::size_t pick = up_to(extents.size() - 1);
      std::swap(extents[pick], extents.back());
      const SpareExtent extent = extents.back();
      extents.pop_back();
      for (u32 i = 0; i < extent.blocks; ++i) {
        const SpareBlock block = extent.begin + i;
        if (up_to(400) == 0) {
          ASSERT_TRUE(spares.set_bad(1, block, 1));
          owners[block.value] = Owner::bad;
        } else {
          spares.release(1, block, 1);
          owners.erase(block.value);
        }
      }
    }
    u64 used = 0;
    if (step % 500 == 0) {
      for (const auto& [block, owner] : owners) used += owner == Owner::used ? 1 : 0;
      ASSERT_EQ(spares.counters(1).used, used);
      ASSERT_EQ(spares.counters(1).bad, owners.size() - used);
    }
    ASSERT_EQ(spares.counters(1).free, layout.data_blocks - owners.size());
  }
}

}  // namespace
}  // namespace dmr

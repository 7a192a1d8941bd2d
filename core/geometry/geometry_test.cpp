// SPDX-License-Identifier: GPL-2.0-or-later
// Blocks of the volume, and properties that the layout of a spare has at every size.
#include "core/geometry/geometry.h"

#include <algorithm>
#include <array>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace dmr {
namespace {

constexpr std::array<u32, 8> kBlockSizes = {1, 2, 4, 8, 16, 32, 64, 128};

struct Piece {
  u64 begin;
  u64 end;
};

// Every metadata place of a layout, in sectors.
std::vector<Piece> places(const SpareLayout& layout) {
  std::vector<Piece> all;
  for (const Sector at : layout.superblock) all.push_back({at.value, at.value + kMetaSectors});
  for (u32 area = 0; area < kAreas; ++area) {
    const u64 journal = layout.journal[area].value;
    all.push_back({journal, journal + u64{layout.journal_slots} * kMetaSectors});
    const u64 checkpoint = layout.checkpoint[area].value;
    all.push_back({checkpoint, checkpoint + layout.checkpoint_blocks * kMetaSectors});
  }
  std::ranges::sort(all, {}, &Piece::begin);
  return all;
}

// All that must hold for any layout that make() accepts.
void expect_sound(const SpareLayout& layout) {
  SCOPED_TRACE(testing::Message() << layout.device_sectors << " sectors, blocks of "
                                  << layout.block_sectors << ", " << layout.journal_slots
                                  << " slots, " << layout.checkpoint_blocks << " blocks");
  u64 end = kMetaSectors;  // the first 4 KiB are left alone
  for (const Piece& place : places(layout)) {
    ASSERT_GE(place.begin, end) << "two metadata places overlap";
    ASSERT_EQ(place.begin % kMetaSectors, 0U);
    end = place.end;
    ASSERT_LE(end, layout.device_sectors);
    const u64 first = place.begin / layout.block_sectors;
    const u64 last = (place.end - 1) / layout.block_sectors;
    for (const u64 block : {first, first + (last - first) / 2, last}) {
      ASSERT_FALSE(layout.is_data(SpareBlock(block), 1)) << "metadata block " << block;
    }
    ASSERT_FALSE(layout.is_data(SpareBlock(first), last - first + 1));
  }
  ASSERT_FALSE(layout.is_data(SpareBlock(0), 1));
  ASSERT_FALSE(layout.is_data(SpareBlock(0), layout.spare_blocks));

  u64 metadata = 0;
  u64 from = 0;
  for (const SpareRange& range : layout.metadata) {
    ASSERT_LE(from, range.begin.value);
    const u64 gap = range.begin.value - from;
    if (gap > 0) {
      ASSERT_TRUE(layout.is_data(SpareBlock(from), gap));
      ASSERT_FALSE(layout.is_data(SpareBlock(from), gap + 1));
    }
    metadata += range.end - range.begin;
    from = range.end.value;
  }
  ASSERT_LE(from, layout.spare_blocks);
  const u64 rest = layout.spare_blocks - from;
  if (rest > 0) {
    ASSERT_TRUE(layout.is_data(SpareBlock(from), rest));
  }
  ASSERT_FALSE(layout.is_data(SpareBlock(from), rest + 1));
  ASSERT_EQ(layout.data_blocks + metadata, layout.spare_blocks);
  ASSERT_GT(layout.data_blocks, 0U);
}

SpareLayout usual_layout(u64 device_sectors, u32 block_sectors) {
  const auto layout = SpareLayout::make(
      device_sectors, block_sectors, SpareLayout::default_journal_slots(device_sectors),
      SpareLayout::checkpoint_blocks_for(device_sectors / block_sectors));
  EXPECT_TRUE(layout.has_value()) << device_sectors << " / " << block_sectors;
  return layout ? *layout : SpareLayout{};
}

TEST(Geometry, RefusesBlocksThatAreNoPowerOfTwoBetweenASectorAnd64KiB) {
  for (u32 sectors = 0; sectors <= 300; ++sectors) {
    const bool good = std::ranges::find(kBlockSizes, sectors) != kBlockSizes.end();
    EXPECT_EQ(Geometry::make(1000, sectors).has_value(), good) << sectors;
  }
  EXPECT_EQ(Geometry::make(1000, 1U << 31).status(), Status::invalid);
}

TEST(Geometry, RefusesEmptyVolumesAndThoseOf2To63Bytes) {
  EXPECT_EQ(Geometry::make(0, 8).status(), Status::invalid);
  EXPECT_EQ(Geometry::make(kMaxSectors, 8).status(), Status::invalid);
  EXPECT_EQ(Geometry::make(~u64{0}, 8).status(), Status::invalid);
  EXPECT_TRUE(Geometry::make(kMaxSectors - 1, 8).has_value());
  EXPECT_TRUE(Geometry::make(1, 128).has_value());
}

TEST(Geometry, EverySectorHasItsBlockAtEverySizeOfTheLastOne) {
  for (const u32 size : kBlockSizes) {
    for (const u64 volume : {u64{1}, u64{size}, u64{size} * 5, u64{size} * 5 + 1, u64{size} * 6 - 1,
                             kMaxSectors - 1}) {
      if (volume == 0) continue;
      const Geometry g = *Geometry::make(volume, size);
      EXPECT_EQ(g.blocks(), volume / size + (volume % size != 0 ? 1 : 0));
      const Block last(g.blocks() - 1);
      EXPECT_EQ(g.first_sector(last).value + g.sectors_in(last), volume);
      EXPECT_EQ(g.block_of(Sector(volume - 1)), last);
      EXPECT_EQ(g.sector_in_block(Sector(volume - 1)) + 1, g.sectors_in(last));
      EXPECT_EQ(g.regions(), last.value / kRegionBlocks + 1);
      EXPECT_EQ(region_of(last) + 1, g.regions());
      EXPECT_EQ(region_of(last) * kRegionBlocks + block_in_region(last), last.value);
      if (g.blocks() > 1) {
        EXPECT_EQ(g.sectors_in(Block(0)), size);
        EXPECT_EQ(g.block_of(Sector(size)), Block(1));
        EXPECT_EQ(g.block_of(Sector(size - 1)), Block(0));
      }
    }
  }
}

TEST(Geometry, ContainsNeitherEmptyNorWrappingNorOverhangingRanges) {
  const Geometry g = *Geometry::make(1001, 8);
  EXPECT_TRUE(g.contains(Sector(0), 1001));
  EXPECT_TRUE(g.contains(Sector(1000), 1));
  EXPECT_FALSE(g.contains(Sector(0), 0));
  EXPECT_FALSE(g.contains(Sector(0), 1002));
  EXPECT_FALSE(g.contains(Sector(1000), 2));
  EXPECT_FALSE(g.contains(Sector(1001), 1));
  EXPECT_FALSE(g.contains(Sector(1), ~u64{0}));
  EXPECT_FALSE(g.contains(Sector(~u64{0}), 2));
}

TEST(SpareRange, OverlapIsExactAndDoesNotWrap) {
  const SpareRange range{SpareBlock(10), SpareBlock(20)};
  EXPECT_TRUE(range.overlaps(SpareBlock(10), 1));
  EXPECT_TRUE(range.overlaps(SpareBlock(19), 1));
  EXPECT_TRUE(range.overlaps(SpareBlock(9), 2));
  EXPECT_TRUE(range.overlaps(SpareBlock(0), ~u64{0}));
  EXPECT_TRUE(range.overlaps(SpareBlock(15), ~u64{0}));
  EXPECT_FALSE(range.overlaps(SpareBlock(9), 1));
  EXPECT_FALSE(range.overlaps(SpareBlock(20), 1));
  EXPECT_FALSE(range.overlaps(SpareBlock(15), 0));
  EXPECT_FALSE(range.overlaps(SpareBlock(5), 0));
  EXPECT_FALSE(range.overlaps(SpareBlock(~u64{0}), ~u64{0}));
}

TEST(SpareLayout, SuperblocksLieApartOnAlignedPlacesThatTheSizeAloneGives) {
  for (u64 sectors = kMinSpareSectors; sectors < kMinSpareSectors + 2000; ++sectors) {
    const u64 first = SpareLayout::superblock_sector(sectors, 0)->value;
    const u64 middle = SpareLayout::superblock_sector(sectors, 1)->value;
    const u64 end = SpareLayout::superblock_sector(sectors, 2)->value;
    ASSERT_EQ(first * kSectorBytes, 4096U);
    ASSERT_EQ(middle % 128, 0U);
    ASSERT_EQ(end % 128, 0U);
    ASSERT_GE(middle, 128U);
    ASSERT_GE(end, middle + 128);
    ASSERT_LE(end + 128, sectors);
    ASSERT_GT(end + 256, sectors);  // in the last whole 64 KiB
  }
}

TEST(SpareLayout, SuperblockPlacesOfImpossibleSizesAreRefused) {
  for (u32 copy = 0; copy < kSuperblockCopies; ++copy) {
    EXPECT_EQ(SpareLayout::superblock_sector(0, copy).status(), Status::too_small);
    EXPECT_EQ(SpareLayout::superblock_sector(kMinSpareSectors - 1, copy).status(),
              Status::too_small);
    EXPECT_EQ(SpareLayout::superblock_sector(kMaxSectors, copy).status(), Status::invalid);
    EXPECT_EQ(SpareLayout::superblock_sector(~u64{0}, copy).status(), Status::invalid);
    EXPECT_TRUE(SpareLayout::superblock_sector(kMaxSectors - 1, copy).has_value());
  }
  EXPECT_EQ(SpareLayout::superblock_sector(100000, 3).status(), Status::invalid);
}

TEST(SpareLayout, IsSoundFromTheSmallestDeviceUpwardsSectorBySector) {
  for (const u32 size : kBlockSizes) {
    // Up to the first size that fits, every smaller one is refused and none is half accepted.
    u64 fits = 0;
    for (u64 sectors = 1; sectors < 2600; ++sectors) {
      const auto layout = SpareLayout::make(sectors, size, kMinJournalSlots, 14);
      if (!layout) {
        ASSERT_EQ(layout.status(), Status::too_small) << sectors;
        continue;
      }
      if (fits == 0) fits = sectors;
      expect_sound(*layout);
      if (testing::Test::HasFatalFailure()) return;
    }
    EXPECT_GT(fits, 700U) << "two areas of 47 metadata blocks cannot fit into less";
    EXPECT_LT(fits, 1200U);
  }
}

TEST(SpareLayout, IsSoundAtManySizesUpToTheLargest) {
  std::mt19937_64 random(20);
  for (int i = 0; i < 4000; ++i) {
    // Sizes of every magnitude, odd ones and neighbours of round ones.
    const u64 magnitude = 12 + random() % 42;
    u64 sectors = (u64{1} << magnitude) + random() % 5 - 2;
    if (i % 2 == 0) sectors = (u64{1} << magnitude) + random() % (u64{1} << magnitude);
    sectors = std::min(sectors, kMaxSectors - 1);
    expect_sound(usual_layout(sectors, kBlockSizes[random() % kBlockSizes.size()]));
    if (testing::Test::HasFailure()) return;
  }
}

TEST(SpareLayout, IsSoundAtTheLastSizesBelow2To63Bytes) {
  for (const u32 size : kBlockSizes) {
    for (u64 less = 1; less <= 300; ++less) {
      expect_sound(usual_layout(kMaxSectors - less, size));
      if (testing::Test::HasFailure()) return;
    }
  }
  EXPECT_EQ(SpareLayout::make(kMaxSectors, 8, 1024, 100).status(), Status::invalid);
}

TEST(SpareLayout, AHalfBlockAtTheEndIsNeverData) {
  for (const u32 size : {2U, 8U, 128U}) {
    const u64 sectors = u64{1} << 20;
    for (u32 odd = 1; odd < size; ++odd) {
      const SpareLayout layout = usual_layout(sectors + odd, size);
      EXPECT_EQ(layout.spare_blocks, sectors / size);
      EXPECT_FALSE(layout.is_data(SpareBlock(layout.spare_blocks), 1));
    }
  }
}

TEST(SpareLayout, MetadataCountsFromADamagedSuperblockAreRefusedWithoutOverflow) {
  constexpr u64 kSectors = 1U << 20;
  for (const u64 blocks : {u64{0}, u64{1}}) {
    EXPECT_EQ(SpareLayout::make(kSectors, 8, 64, blocks).status(), Status::invalid);
  }
  for (const u64 blocks : {kSectors / 8, kSectors / 8 + 1, u64{1} << 61, ~u64{0}, ~u64{0} / 8}) {
    EXPECT_EQ(SpareLayout::make(kSectors, 8, 64, blocks).status(), Status::too_small) << blocks;
    EXPECT_EQ(SpareLayout::make(kMaxSectors - 1, 8, 64, blocks | (u64{1} << 60)).status(),
              Status::too_small);
  }
  for (const u32 slots : {0U, 1U, 16U, 33U, 96U, 2048U, 1U << 31, ~0U}) {
    EXPECT_EQ(SpareLayout::make(kSectors, 8, slots, 100).status(), Status::invalid) << slots;
  }
  for (const u32 size : {0U, 3U, 256U, ~0U}) {
    EXPECT_EQ(SpareLayout::make(kSectors, size, 64, 100).status(), Status::invalid) << size;
  }
}

TEST(SpareLayout, IsDataRefusesWrappingRanges) {
  const SpareLayout layout = usual_layout(1U << 20, 8);
  const SpareBlock free(layout.metadata[0].end);
  EXPECT_TRUE(layout.is_data(free, 1));
  EXPECT_FALSE(layout.is_data(free, 0));
  EXPECT_FALSE(layout.is_data(free, ~u64{0}));
  EXPECT_FALSE(layout.is_data(free, ~u64{0} - free.value + 2));
  EXPECT_FALSE(layout.is_data(SpareBlock(~u64{0}), 2));
}

TEST(SpareLayout, JournalIsAPowerOfTwoAboutASixtyFourthOfTheDevice) {
  EXPECT_EQ(SpareLayout::default_journal_slots(0), 32U);
  EXPECT_EQ(SpareLayout::default_journal_slots(2048), 32U);        // 1 MiB
  EXPECT_EQ(SpareLayout::default_journal_slots(64 * 2048), 256U);  // 64 MiB
  EXPECT_EQ(SpareLayout::default_journal_slots(64 * 2048 - 1), 128U);
  EXPECT_EQ(SpareLayout::default_journal_slots(256 * 2048), 1024U);  // 256 MiB
  EXPECT_EQ(SpareLayout::default_journal_slots(kMaxSectors - 1), 1024U);
  for (u64 sectors = 0; sectors < 1U << 22; sectors += 997) {
    ASSERT_TRUE(SpareLayout::make(u64{1} << 30, 8, SpareLayout::default_journal_slots(sectors), 100)
                    .has_value());
  }
}

TEST(SpareLayout, JournalAndCheckpointPlacesStayInTheirAreas) {
  const SpareLayout layout = usual_layout(1U << 20, 8);
  const u64 slots = layout.journal_slots;
  for (u32 area = 0; area < kAreas; ++area) {
    EXPECT_EQ(layout.journal_slot(area, 0), layout.journal[area]);
    EXPECT_EQ(layout.journal_slot(area, slots), layout.journal[area]);
    EXPECT_EQ(layout.journal_slot(area, ~u64{0}) + kMetaSectors, layout.checkpoint[area]);
    EXPECT_EQ(layout.checkpoint_block(area, 0), layout.checkpoint[area]);
    EXPECT_EQ(layout.checkpoint_block(area, layout.checkpoint_blocks - 1) - layout.checkpoint[area],
              (layout.checkpoint_blocks - 1) * kMetaSectors);
  }
}

TEST(SpareLayout, CheckpointsHoldARecordForEverySpareBlock) {
  u64 before = 0;
  for (const u64 blocks : {u64{0}, u64{1}, u64{83}, u64{8192}, u64{1} << 20, kMaxSectors}) {
    const u64 needed = SpareLayout::checkpoint_blocks_for(blocks);
    const u64 records = (needed - 1) * kRecordsPerCheckpointBlock;
    EXPECT_GE(records, blocks + std::max<u64>(1024, blocks / 8));
    EXPECT_LT(records, blocks + std::max<u64>(1024, blocks / 8) + kRecordsPerCheckpointBlock);
    EXPECT_GE(needed, before);
    before = needed;
  }
}

TEST(SpareLayout, CheckpointsOfASetAreTheLeastThatHoldAllItsDataBlocks) {
  const std::vector<std::vector<u64>> sets = {{2048},
                                              {u64{1} << 20},
                                              {4096, 5001, 1U << 18},
                                              std::vector<u64>(8, u64{1} << 22),
                                              {kMaxSectors - 1}};
  for (const auto& set : sets) {
    for (const u32 size : kBlockSizes) {
      const auto blocks = SpareLayout::checkpoint_blocks_for_set(set, size);
      if (!blocks) {
        // The smallest one cannot carry the records of the others.
        ASSERT_EQ(blocks.status(), Status::too_small);
        ASSERT_EQ(set.size(), 3U);
        continue;
      }
      u64 data = 0;
      u64 data_with_less = 0;
      for (const u64 sectors : set) {
        const u32 slots = SpareLayout::default_journal_slots(sectors);
        const auto layout = SpareLayout::make(sectors, size, slots, *blocks);
        ASSERT_TRUE(layout.has_value());
        expect_sound(*layout);
        data += layout->data_blocks;
        data_with_less += SpareLayout::make(sectors, size, slots, *blocks - 1)->data_blocks;
      }
      EXPECT_GE(*blocks, SpareLayout::checkpoint_blocks_for(data));
      EXPECT_LT(*blocks - 1, SpareLayout::checkpoint_blocks_for(data_with_less));
    }
  }
}

// A doubled journal takes room from the data, so there, and nowhere else, a larger spare may need
// fewer checkpoint blocks. Everywhere the answer is the least that is enough, found by trying all.
TEST(SpareLayout, CheckpointsOfALargerSpareAreNoFewerUnlessItsJournalIsLarger) {
  for (const u32 size : kBlockSizes) {
    u64 before = 0;
    u32 slots_before = 0;
    for (u64 sectors = kMinSpareSectors; sectors < 140000; sectors += sectors % 3 == 0 ? 1 : 97) {
      const auto blocks = SpareLayout::checkpoint_blocks_for_set({&sectors, 1}, size);
      if (!blocks) {
        ASSERT_EQ(before, 0U) << sectors;  // only the smallest are too small
        continue;
      }
      const u32 slots = SpareLayout::default_journal_slots(sectors);
      ASSERT_TRUE(slots != slots_before || *blocks >= before) << sectors << " of " << size;
      before = *blocks;
      slots_before = slots;
      for (u64 fewer = *blocks > 12 ? *blocks - 10 : 2; fewer < *blocks; ++fewer) {
        const auto layout = SpareLayout::make(sectors, size, slots, fewer);
        ASSERT_TRUE(layout.has_value());
        ASSERT_LT(fewer, SpareLayout::checkpoint_blocks_for(layout->data_blocks)) << sectors;
      }
    }
  }
}

TEST(SpareLayout, SetsThatCannotBeAreRefused) {
  const auto status = [](std::vector<u64> set, u32 size) {
    return SpareLayout::checkpoint_blocks_for_set(set, size).status();
  };
  EXPECT_EQ(status({}, 8), Status::invalid);
  EXPECT_EQ(status(std::vector<u64>(9, 1U << 20), 8), Status::invalid);
  EXPECT_EQ(status({1U << 20}, 3), Status::invalid);
  EXPECT_EQ(status({1U << 20}, 0), Status::invalid);
  EXPECT_EQ(status({kMaxSectors}, 8), Status::invalid);
  EXPECT_EQ(status({100}, 8), Status::too_small);
  EXPECT_EQ(status({1U << 20, 0}, 8), Status::too_small);
}

}  // namespace
}  // namespace dmr

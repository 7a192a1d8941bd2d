// SPDX-License-Identifier: GPL-2.0-or-later
// The arithmetic behind geometry.h. Sizes come from devices and from superblocks that may be
// damaged: each is bounded before it is multiplied or added.
#include "core/geometry/geometry.h"

#include <bit>

#include "core/base/bits.h"

namespace dmr {
namespace {

constexpr u64 kAlignSectors = u64{64} * 1024 / kSectorBytes;  // of the middle and end ranges
constexpr u64 kHeadSectors = kMetaSectors;  // left alone: partition tables and boot code live there

static_assert(kAlignSectors % kMaxBlockSectors == 0, "a range begins at the beginning of a block");
static_assert(kMinSpareSectors >= 3 * kAlignSectors,
              "each superblock has a 64 KiB piece of its own");

constexpr bool is_block_size(u32 sectors) {
  return sectors >= kMinBlockSectors && sectors <= kMaxBlockSectors && is_power_of_two(sectors);
}

constexpr bool is_journal_size(u32 slots) {
  return slots >= kMinJournalSlots && slots <= kMaxJournalSlots && is_power_of_two(slots);
}

// The range of whole blocks that [begin, end) touches.
SpareRange rounded_outwards(Sector begin, Sector end, u32 block_sectors) {
  DMR_ASSERT(begin < end);
  return {SpareBlock(begin.value / block_sectors),
          SpareBlock((end.value + block_sectors - 1) / block_sectors)};
}

}  // namespace

Result<Geometry> Geometry::make(u64 volume_sectors, u32 block_sectors) {
  if (!is_block_size(block_sectors)) return Status::invalid;
  if (volume_sectors == 0 || volume_sectors >= kMaxSectors) return Status::invalid;
  Geometry geometry;
  geometry.volume_sectors = volume_sectors;
  geometry.block_sectors = block_sectors;
  geometry.block_shift = static_cast<u32>(std::countr_zero(block_sectors));
  DMR_ASSERT(geometry.blocks() > 0);
  DMR_ASSERT(geometry.sectors_in(Block(geometry.blocks() - 1)) > 0);
  return geometry;
}

Result<Sector> SpareLayout::superblock_sector(u64 device_sectors, u32 copy) {
  if (copy >= kSuperblockCopies || device_sectors >= kMaxSectors) return Status::invalid;
  if (device_sectors < kMinSpareSectors) return Status::too_small;
  if (copy == 0) return Sector(kHeadSectors);
  if (copy == 1) return Sector(device_sectors / 2 / kAlignSectors * kAlignSectors);
  return Sector((device_sectors / kAlignSectors - 1) * kAlignSectors);
}

u32 SpareLayout::default_journal_slots(u64 device_sectors) {
  const u64 suited = device_sectors / kMetaSectors / 64;
  if (suited <= kMinJournalSlots) return kMinJournalSlots;
  if (suited >= kMaxJournalSlots) return kMaxJournalSlots;
  return static_cast<u32>(std::bit_floor(suited));
}

u64 SpareLayout::checkpoint_blocks_for(u64 blocks) {
  DMR_ASSERT(blocks < kMaxSectors * kMaxSpares);
  const u64 slack = blocks / 8 > 1024 ? blocks / 8 : 1024;
  const u64 records = blocks + slack;
  return 1 + (records + kRecordsPerCheckpointBlock - 1) / kRecordsPerCheckpointBlock;
}

Result<SpareLayout> SpareLayout::make(u64 device_sectors, u32 block_sectors, u32 journal_slots,
                                      u64 checkpoint_blocks) {
  if (!is_block_size(block_sectors) || !is_journal_size(journal_slots)) return Status::invalid;
  if (checkpoint_blocks < 2 || device_sectors >= kMaxSectors) return Status::invalid;
  // Nothing below overflows: all metadata counts are bounded by the device's size first.
  if (checkpoint_blocks > device_sectors / kMetaSectors) return Status::too_small;

  SpareLayout layout;
  layout.device_sectors = device_sectors;
  layout.block_sectors = block_sectors;
  layout.journal_slots = journal_slots;
  layout.checkpoint_blocks = checkpoint_blocks;
  layout.spare_blocks = device_sectors / block_sectors;
  for (u32 copy = 0; copy < kSuperblockCopies; ++copy) {
    const Result<Sector> place = superblock_sector(device_sectors, copy);
    if (!place) return place.status();
    layout.superblock[copy] = *place;
  }
  for (u32 area = 0; area < kAreas; ++area) {
    layout.journal[area] = layout.superblock[area] + kMetaSectors;
    layout.checkpoint[area] = layout.journal[area] + u64{journal_slots} * kMetaSectors;
    layout.metadata[area] =
        rounded_outwards(area == 0 ? Sector(0) : layout.superblock[area],
                         layout.checkpoint[area] + checkpoint_blocks * kMetaSectors, block_sectors);
  }
  layout.metadata[2] =
      rounded_outwards(layout.superblock[2], layout.superblock[2] + kMetaSectors, block_sectors);

  layout.data_blocks = layout.spare_blocks;
  for (u32 range = 0; range < 3; ++range) {
    const SpareBlock next =
        range < 2 ? layout.metadata[range + 1].begin : SpareBlock(layout.spare_blocks);
    if (layout.metadata[range].end > next) return Status::too_small;
    layout.data_blocks -= layout.metadata[range].end - layout.metadata[range].begin;
  }
  if (layout.data_blocks == 0) return Status::too_small;
  DMR_ASSERT(layout.data_blocks < layout.spare_blocks);
  return layout;
}

Result<u64> SpareLayout::checkpoint_blocks_for_set(std::span<const u64> device_sectors,
                                                   u32 block_sectors) {
  if (device_sectors.empty() || device_sectors.size() > kMaxSpares) return Status::invalid;
  u64 least = 2;
  u64 most = checkpoint_blocks_for(0);
  for (const u64 sectors : device_sectors) {
    if (sectors >= kMaxSectors || !is_block_size(block_sectors)) return Status::invalid;
    const u64 bound = checkpoint_blocks_for(sectors / block_sectors * device_sectors.size());
    most = bound > most ? bound : most;
  }
  // Larger areas leave fewer data blocks to be recorded: bisect for the least that is enough.
  const auto enough = [&](u64 blocks) -> Result<bool> {
    u64 data_blocks = 0;
    for (const u64 sectors : device_sectors) {
      const auto layout = make(sectors, block_sectors, default_journal_slots(sectors), blocks);
      if (!layout) return layout.status();
      data_blocks += layout->data_blocks;
    }
    return blocks >= checkpoint_blocks_for(data_blocks);
  };
  while (least < most) {
    const u64 middle = least + (most - least) / 2;
    const Result<bool> answer = enough(middle);
    if (answer && !*answer) {
      least = middle + 1;
    } else {
      most = middle;
    }
  }
  const Result<bool> answer = enough(least);
  if (!answer) return answer.status();
  DMR_ASSERT(*answer);
  return least;
}

Sector SpareLayout::journal_slot(u32 area, u64 sequence) const {
  DMR_ASSERT(area < kAreas);
  DMR_ASSERT(is_journal_size(journal_slots));
  return journal[area] + (sequence & (journal_slots - 1)) * kMetaSectors;
}

Sector SpareLayout::checkpoint_block(u32 area, u64 index) const {
  DMR_ASSERT(area < kAreas);
  DMR_ASSERT(index < checkpoint_blocks);
  return checkpoint[area] + index * kMetaSectors;
}

bool SpareLayout::is_data(SpareBlock b, u64 count) const {
  if (count == 0 || b.value >= spare_blocks || count > spare_blocks - b.value) return false;
  for (const SpareRange& range : metadata) {
    if (range.overlaps(b, count)) return false;
  }
  return true;
}

}  // namespace dmr

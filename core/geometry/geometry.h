// SPDX-License-Identifier: GPL-2.0-or-later
// All address arithmetic of the engine as pure functions: blocks and sectors, regions of the index,
// and where the metadata of a spare lies.
#pragma once

#include <span>

#include "core/base/result.h"
#include "core/base/types.h"

namespace dmr {

inline constexpr u32 kMetaBytes = 4096;  // one metadata block, of every kind
inline constexpr u32 kMetaSectors = kMetaBytes / kSectorBytes;
inline constexpr u32 kMinBlockSectors = 1;
inline constexpr u32 kMaxBlockSectors = 128;
inline constexpr u32 kMinJournalSlots = 32;
inline constexpr u32 kMaxJournalSlots = 1024;
inline constexpr u32 kSuperblockCopies = 3;
inline constexpr u32 kAreas = 2;  // journal areas and checkpoint areas of one spare
inline constexpr u32 kRecordsPerCheckpointBlock = 83;
// Smaller devices have no room for three superblocks that lie apart.
inline constexpr u64 kMinSpareSectors = u64{192} * 1024 / kSectorBytes;
inline constexpr u32 kRegionBlockShift = 13;
inline constexpr u32 kRegionBlocks = 1U << kRegionBlockShift;

// The volume: main seen as blocks. The last block may be shorter than the others.
// The functions below make() expect what make() has accepted.
struct Geometry {
  u64 volume_sectors = 0;
  u32 block_sectors = 8;
  u32 block_shift = 3;  // log2(block_sectors)

  // Status::invalid unless the block is a power of two of 1 to 128 sectors and the volume's size
  // lies between one sector and the largest that stays below 2^63 bytes.
  [[nodiscard]] static Result<Geometry> make(u64 volume_sectors, u32 block_sectors);

  [[nodiscard]] constexpr Block block_of(Sector s) const { return Block(s.value >> block_shift); }
  [[nodiscard]] constexpr Sector first_sector(Block b) const {
    return Sector(b.value << block_shift);
  }
  [[nodiscard]] constexpr u32 sector_in_block(Sector s) const {
    return static_cast<u32>(s.value & (block_sectors - 1));
  }
  [[nodiscard]] constexpr u64 blocks() const {
    return (volume_sectors + block_sectors - 1) >> block_shift;
  }
  // Sectors that block `b` really has: block_sectors, fewer for a short last block.
  [[nodiscard]] constexpr u32 sectors_in(Block b) const {
    DMR_ASSERT(b.value < blocks());
    const u64 left = volume_sectors - first_sector(b).value;
    return left < block_sectors ? static_cast<u32>(left) : block_sectors;
  }
  [[nodiscard]] constexpr u64 regions() const {
    return (blocks() + kRegionBlocks - 1) >> kRegionBlockShift;
  }
  [[nodiscard]] constexpr Sector spare_sector(SpareBlock b) const {
    return Sector(b.value << block_shift);
  }
  // True when [s, s + sectors) is not empty, does not wrap and lies inside the volume.
  [[nodiscard]] constexpr bool contains(Sector s, u64 sectors) const {
    return sectors > 0 && s.value < volume_sectors && sectors <= volume_sectors - s.value;
  }
};

[[nodiscard]] constexpr u64 region_of(Block b) { return b.value >> kRegionBlockShift; }
[[nodiscard]] constexpr u32 block_in_region(Block b) {
  return static_cast<u32>(b.value & (kRegionBlocks - 1));
}

// A half-open range of spare blocks that belongs to metadata.
struct SpareRange {
  SpareBlock begin;
  SpareBlock end;
  [[nodiscard]] constexpr bool overlaps(SpareBlock b, u64 count) const {
    return b < end && (begin <= b ? count > 0 : begin - b < count);
  }
};

// Where everything lies on one spare. Three metadata ranges: at the start, in the middle and at the
// end, so that one damaged spot cannot hit two copies.
//   start:  4 KiB left alone, superblock 0, journal area 0, checkpoint area 0
//   middle: superblock 1, journal area 1, checkpoint area 1
//   end:    superblock 2
// Superblock places depend on the device's size alone, so that they are found without knowing more.
// Middle and end begin at multiples of 64 KiB: at the beginning of a block, whatever its size.
struct SpareLayout {
  u64 device_sectors = 0;
  u32 block_sectors = 8;
  u32 journal_slots = 0;      // metadata blocks of one journal area
  u64 checkpoint_blocks = 0;  // metadata blocks of one checkpoint area, its header included
  Sector superblock[kSuperblockCopies];
  Sector journal[kAreas];
  Sector checkpoint[kAreas];
  SpareRange metadata[3];  // rounded outwards to blocks, in ascending order
  u64 spare_blocks = 0;    // whole blocks of the device, those of metadata included
  u64 data_blocks = 0;     // blocks that can hold data

  // Place of superblock copy `copy` (0 to 2) on a device of this size. Status::too_small below
  // kMinSpareSectors, Status::invalid for another copy or a size of 2^63 bytes and more.
  [[nodiscard]] static Result<Sector> superblock_sector(u64 device_sectors, u32 copy);

  // The slots of a journal area suited to a device of this size: a power of two.
  [[nodiscard]] static u32 default_journal_slots(u64 device_sectors);

  // Checkpoint blocks, header included, with room for a record for each of `blocks` spare blocks
  // (of all spares of the set together) and some for lost blocks that have no spare block.
  [[nodiscard]] static u64 checkpoint_blocks_for(u64 blocks);

  // The least checkpoint_blocks with which spares of these sizes, each with its default journal,
  // hold a record for every data block of them all. Status::too_small when one cannot hold that.
  [[nodiscard]] static Result<u64> checkpoint_blocks_for_set(std::span<const u64> device_sectors,
                                                             u32 block_sectors);

  // Status::too_small when metadata leaves no block for data; Status::invalid when block_sectors,
  // journal_slots (a power of two, 32 to 1024) or checkpoint_blocks (at least 2) cannot be.
  [[nodiscard]] static Result<SpareLayout> make(u64 device_sectors, u32 block_sectors,
                                                u32 journal_slots, u64 checkpoint_blocks);

  // Place of the journal block with this sequence in area 0 or 1.
  [[nodiscard]] Sector journal_slot(u32 area, u64 sequence) const;
  // Place of checkpoint block `index` in area 0 or 1; index 0 is the header.
  [[nodiscard]] Sector checkpoint_block(u32 area, u64 index) const;
  // True when [b, b + count) is not empty, lies on the device and touches no metadata.
  [[nodiscard]] bool is_data(SpareBlock b, u64 count) const;
};

}  // namespace dmr

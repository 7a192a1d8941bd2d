// SPDX-License-Identifier: GPL-2.0-or-later
// Good metadata blocks for tests: a set of one main and two spares, and one block of each kind.
// Not freestanding.
#pragma once

#include <array>
#include <cstring>

#include "core/format/codec.h"
#include "core/format/validate.h"

namespace dmr::format::testing {

inline constexpr u64 kVolumeSectors = (u64{1} << 21) + 5;  // the last block has five sectors
inline constexpr u64 kSpareSectors[2] = {1U << 17, (1U << 16) + 77};
inline constexpr u64 kOpenEpoch = 0x1122334455667788U;

inline Uuid uuid_of(u8 seed) {
  Uuid uuid{};
  for (u32 i = 0; i < 16; ++i) uuid.bytes[i] = static_cast<u8>(seed + i);
  return uuid;
}
inline Uuid set_uuid() { return uuid_of(0xA0); }

inline MemberEntry entry_of(u8 seed, u64 sectors) {
  MemberEntry entry{};
  entry.uuid = uuid_of(seed);
  entry.sectors = sectors;
  entry.logical_block_bytes = 512;
  entry.state = static_cast<u8>(MemberState::live);
  std::memcpy(entry.identity, "WD-1234|0x5000", 14);
  return entry;
}

inline Place place_of(Kind kind, Sector address, Member member = 1, u8 area = 0) {
  return {.kind = kind, .member = member, .area = area, .set = set_uuid(), .address = address};
}

inline Superblock unsealed_superblock() {
  Superblock block{};
  block.version_major = kVersionMajor;
  block.version_minor = kVersionMinor;
  block.own_member = 1;
  block.member_count = 3;
  block.volume_sectors = kVolumeSectors;
  block.block_sectors = 8;
  block.created_unix_s = 1'700'000'000;
  block.open_generation = 4;
  block.membership = {3, 0xDEAD};
  block.history[0] = {2, 0xBEEF};
  block.history[1] = {1, 0xCAFE};
  std::memcpy(block.name, "backup", 6);
  block.member[0] = entry_of(0x10, kVolumeSectors);
  for (u8 i = 0; i < 2; ++i) {
    MemberEntry& entry = block.member[i + 1];
    entry = entry_of(static_cast<u8>(0x30 + 0x20 * i), kSpareSectors[i]);
    entry.journal_slots = SpareLayout::default_journal_slots(kSpareSectors[i]);
    entry.checkpoint_blocks = SpareLayout::checkpoint_blocks_for(30000);
  }
  return block;
}

inline Place superblock_place(u8 copy = 0) {
  return place_of(Kind::superblock, *SpareLayout::superblock_sector(kSpareSectors[0], copy), 1,
                  copy);
}

inline Superblock good_superblock() {
  Superblock block = unsealed_superblock();
  seal(block, superblock_place(), 9, kOpenEpoch);
  return block;
}

inline Geometry good_geometry() { return *geometry_of(unsealed_superblock()); }

inline std::array<SpareLayout, 2> good_layouts() {
  const Superblock block = unsealed_superblock();
  return {*layout_of(block, 1), *layout_of(block, 2)};
}

// The first data block of spare 1.
inline SpareBlock data_block() { return good_layouts()[0].metadata[0].end; }

inline Record good_record(u64 block) {
  return encode_mapping(
      {.block = Block(block), .length = 3, .member = 1, .home = data_block() + block},
      good_geometry());
}

inline Place journal_place() { return place_of(Kind::journal, Sector(4096)); }
inline JournalBlock good_journal() {
  JournalBlock block{};
  block.previous_sequence = 6;
  block.previous_crc = 77;
  block.records = 5;
  block.open_generation = 4;
  block.membership = 3;
  for (u32 i = 0; i < block.records; ++i) block.record[i] = good_record(10 * i);
  seal(block, journal_place(), 7, kOpenEpoch);
  return block;
}

inline Place body_place() { return place_of(Kind::checkpoint_body, Sector(8200)); }
inline CheckpointBody good_body() {
  CheckpointBody block{};
  block.records = 6;
  for (u32 i = 0; i < block.records; ++i) block.record[i] = good_record(10 * i);
  seal(block, body_place(), 12, kOpenEpoch);
  return block;
}

inline Place checkpoint_place() { return place_of(Kind::checkpoint_header, Sector(8192)); }
inline CheckpointHeader good_checkpoint() {
  CheckpointHeader block{};
  block.covered_sequence = 7;
  block.covered_crc = good_journal().header.crc;
  block.state = kCheckpointComplete;
  block.records = 6;
  block.body_blocks = 1;
  block.body_crc = add_body_crc(0, good_body());
  block.open_generation = 4;
  seal(block, checkpoint_place(), 12, kOpenEpoch);
  return block;
}

}  // namespace dmr::format::testing

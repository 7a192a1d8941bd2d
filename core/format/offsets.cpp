// SPDX-License-Identifier: GPL-2.0-or-later
// The offset and size of every field of the format, so that no edit of a struct moves one
// unnoticed.
#include "core/format/format.h"

namespace dmr::format {

#define DMR_FIELD(type, field, offset, bytes) \
  static_assert(offsetof(type, field) == (offset) && sizeof(type::field) == (bytes))

DMR_FIELD(BlockHeader, magic, 0, 8);
DMR_FIELD(BlockHeader, crc, 8, 4);
DMR_FIELD(BlockHeader, kind, 12, 2);
DMR_FIELD(BlockHeader, member, 14, 1);
DMR_FIELD(BlockHeader, area, 15, 1);
DMR_FIELD(BlockHeader, set, 16, 16);
DMR_FIELD(BlockHeader, address, 32, 8);
DMR_FIELD(BlockHeader, sequence, 40, 8);
DMR_FIELD(BlockHeader, open_epoch, 48, 8);
DMR_FIELD(BlockHeader, reserved, 56, 8);
static_assert(sizeof(BlockHeader) == 64);

DMR_FIELD(Record, block, 0, 8);
DMR_FIELD(Record, home, 8, 8);
DMR_FIELD(Record, second, 16, 8);
DMR_FIELD(Record, lost_low, 24, 8);
DMR_FIELD(Record, lost_high, 32, 8);
DMR_FIELD(Record, length, 40, 4);
DMR_FIELD(Record, type, 44, 1);
DMR_FIELD(Record, member, 45, 1);
DMR_FIELD(Record, second_member, 46, 1);
DMR_FIELD(Record, flags, 47, 1);
static_assert(sizeof(Record) == 48);

DMR_FIELD(JournalBlock, header, 0, 64);
DMR_FIELD(JournalBlock, previous_sequence, 64, 8);
DMR_FIELD(JournalBlock, previous_crc, 72, 4);
DMR_FIELD(JournalBlock, records, 76, 4);
DMR_FIELD(JournalBlock, open_generation, 80, 8);
DMR_FIELD(JournalBlock, membership, 88, 8);
DMR_FIELD(JournalBlock, reserved, 96, 32);
DMR_FIELD(JournalBlock, record, 128, 3936);
DMR_FIELD(JournalBlock, tail, 4064, 32);
static_assert(sizeof(JournalBlock) == 4096);

DMR_FIELD(CheckpointHeader, header, 0, 64);
DMR_FIELD(CheckpointHeader, covered_sequence, 64, 8);
DMR_FIELD(CheckpointHeader, covered_crc, 72, 4);
DMR_FIELD(CheckpointHeader, state, 76, 4);
DMR_FIELD(CheckpointHeader, records, 80, 8);
DMR_FIELD(CheckpointHeader, body_blocks, 88, 8);
DMR_FIELD(CheckpointHeader, body_crc, 96, 4);
DMR_FIELD(CheckpointHeader, reserved0, 100, 4);
DMR_FIELD(CheckpointHeader, open_generation, 104, 8);
DMR_FIELD(CheckpointHeader, reserved, 112, 400);
DMR_FIELD(CheckpointHeader, zero, 512, 3584);
static_assert(sizeof(CheckpointHeader) == 4096);

DMR_FIELD(CheckpointBody, header, 0, 64);
DMR_FIELD(CheckpointBody, index, 64, 8);
DMR_FIELD(CheckpointBody, records, 72, 4);
DMR_FIELD(CheckpointBody, reserved, 76, 20);
DMR_FIELD(CheckpointBody, record, 96, 3984);
DMR_FIELD(CheckpointBody, tail, 4080, 16);
static_assert(sizeof(CheckpointBody) == 4096);

DMR_FIELD(BackupHeader, header, 0, 64);
DMR_FIELD(BackupHeader, made_unix_s, 64, 8);
DMR_FIELD(BackupHeader, covered_sequence, 72, 8);
DMR_FIELD(BackupHeader, covered_crc, 80, 4);
DMR_FIELD(BackupHeader, body_crc, 84, 4);
DMR_FIELD(BackupHeader, records, 88, 8);
DMR_FIELD(BackupHeader, body_blocks, 96, 8);
DMR_FIELD(BackupHeader, reserved, 104, 3992);
static_assert(sizeof(BackupHeader) == 4096);

DMR_FIELD(MemberEntry, uuid, 0, 16);
DMR_FIELD(MemberEntry, sectors, 16, 8);
DMR_FIELD(MemberEntry, checkpoint_blocks, 24, 8);
DMR_FIELD(MemberEntry, journal_slots, 32, 4);
DMR_FIELD(MemberEntry, logical_block_bytes, 36, 4);
DMR_FIELD(MemberEntry, state, 40, 1);
DMR_FIELD(MemberEntry, reserved, 41, 7);
DMR_FIELD(MemberEntry, identity, 48, 96);
static_assert(sizeof(MemberEntry) == 144);

DMR_FIELD(MembershipPoint, generation, 0, 8);
DMR_FIELD(MembershipPoint, epoch, 8, 8);
static_assert(sizeof(MembershipPoint) == 16);

DMR_FIELD(Superblock, header, 0, 64);
DMR_FIELD(Superblock, version_major, 64, 2);
DMR_FIELD(Superblock, version_minor, 66, 2);
DMR_FIELD(Superblock, oldest_minor, 68, 2);
DMR_FIELD(Superblock, own_member, 70, 1);
DMR_FIELD(Superblock, member_count, 71, 1);
DMR_FIELD(Superblock, compat, 72, 8);
DMR_FIELD(Superblock, ro_compat, 80, 8);
DMR_FIELD(Superblock, incompat, 88, 8);
DMR_FIELD(Superblock, volume_sectors, 96, 8);
DMR_FIELD(Superblock, block_sectors, 104, 4);
DMR_FIELD(Superblock, policy, 108, 1);
DMR_FIELD(Superblock, reserved0, 109, 3);
DMR_FIELD(Superblock, created_unix_s, 112, 8);
DMR_FIELD(Superblock, open_generation, 120, 8);
DMR_FIELD(Superblock, membership, 128, 16);
DMR_FIELD(Superblock, history, 144, 256);
DMR_FIELD(Superblock, name, 400, 64);
DMR_FIELD(Superblock, member, 464, 1296);
DMR_FIELD(Superblock, reserved, 1760, 2336);
static_assert(sizeof(Superblock) == 4096);

#undef DMR_FIELD

}  // namespace dmr::format

// SPDX-License-Identifier: GPL-2.0-or-later
// The bytes on a spare: packed little-endian structs. docs/format.md describes them; a test holds
// the two together. Encoding and checking live in the codec headers beside this one.
#pragma once

#include <bit>
#include <cstddef>

#include "core/base/types.h"
#include "core/geometry/geometry.h"

namespace dmr::format {

static_assert(std::endian::native == std::endian::little,
              "the structs are the little-endian bytes");

inline constexpr u8 kMagic[8] = {'d', 'm', 'r', 'e', 'm', 'a', 'p', 0x1A};
inline constexpr u16 kVersionMajor = 1;
inline constexpr u16 kVersionMinor = 0;
// incompat: a restore has begun and not ended; what lies behind the superblock makes no whole.
inline constexpr u64 kRestoring = 1;
inline constexpr u64 kKnownIncompat = kRestoring;
// ro_compat: restored from a backup that may be older than the blocks. Metadata may be written, by
// whoever knows this bit; the volume may not.
inline constexpr u64 kRestoredOlder = 1;
inline constexpr u64 kKnownRoCompat = kRestoredOlder;

enum class Kind : u16 {
  superblock = 1,
  journal = 2,
  checkpoint_header = 3,
  checkpoint_body = 4,
  backup_header = 5,  // the last two: in backup files, never on a spare
  backup_body = 6,
};

// Begins every metadata block. `crc` is CRC32C over the whole 4096 bytes with this field zero,
// started from a value that depends on the kind, so that a block of the wrong kind fails.
struct [[gnu::packed]] BlockHeader {
  u8 magic[8];
  u32 crc;
  u16 kind;
  u8 member;  // the spare that this block lies on
  u8 area;    // superblock copy, journal area or checkpoint area
  Uuid set;
  u64 address;     // own place on the device, in 512-byte sectors
  u64 sequence;    // superblock version, journal sequence, or checkpoint sequence
  u64 open_epoch;  // random, drawn at each opening that writes
  u64 reserved;    // zero
};
static_assert(sizeof(BlockHeader) == 64);

enum class RecordType : u8 {
  mapping = 1,    // blocks [block, block + length) have this home and these lost sectors
  bad_spare = 2,  // spare blocks [block, block + length) of `member` must not be used
};
inline constexpr u8 kRecordLostAll = 1;  // flag: every sector of the range is lost, mask is zero

// One change, absolute: replaying it twice is harmless. A mapping with member 0, no flag and no
// mask says that the range lives on main again. A mask (partial loss) goes with length 1 only.
struct [[gnu::packed]] Record {
  u64 block;
  u64 home;    // spare block on `member` where the range begins; 0 when member is 0 (main)
  u64 second;  // room for a second copy: zero
  u64 lost_low;
  u64 lost_high;
  u32 length;  // blocks, at least 1
  u8 type;
  u8 member;
  u8 second_member;  // zero
  u8 flags;
};
static_assert(sizeof(Record) == 48);

inline constexpr u32 kJournalRecords = 82;
struct [[gnu::packed]] JournalBlock {
  BlockHeader header;
  u64 previous_sequence;  // 0 for the first of a set
  u32 previous_crc;       // of that block with crc, member, area and address zero
  u32 records;            // 0 in a slot that was only formatted (sequence 0)
  u64 open_generation;    // count of openings that wrote; a higher one outranks a lower one
  u64 membership;         // generation of the membership under which it was committed
  u8 reserved[32];
  Record record[kJournalRecords];
  u8 tail[32];
};
static_assert(sizeof(JournalBlock) == kMetaBytes);

// Lies within its first 512 bytes, the rest is zero: a power cut cannot tear it.
struct [[gnu::packed]] CheckpointHeader {
  BlockHeader header;
  u64 covered_sequence;  // newest journal sequence whose effect is inside, or that was cancelled
  u32 covered_crc;       // as previous_crc, of the newest committed block up to there
  u32 state;             // 1 complete, 2 being written (body not to be trusted)
  u64 records;
  u64 body_blocks;
  u32 body_crc;  // CRC32C over the header.crc fields of the body blocks, in order
  u32 reserved0;
  u64 open_generation;
  u8 reserved[400];  // zero, up to the end of the first sector
  u8 zero[kMetaBytes - kSectorBytes];
};
static_assert(sizeof(CheckpointHeader) == kMetaBytes);
static_assert(offsetof(CheckpointHeader, zero) == kSectorBytes, "one sector cannot be torn");
inline constexpr u32 kCheckpointComplete = 1;
inline constexpr u32 kCheckpointWriting = 2;

inline constexpr u32 kCheckpointRecords = kRecordsPerCheckpointBlock;
struct [[gnu::packed]] CheckpointBody {
  BlockHeader header;
  u64 index;  // 0 for the first body block
  u32 records;
  u8 reserved[20];
  Record record[kCheckpointRecords];
  u8 tail[16];
};
static_assert(sizeof(CheckpointBody) == kMetaBytes);

// The first block of a backup file; behind it lie a superblock as it was on a spare, and body
// blocks laid out as CheckpointBody, of kind backup_body. Addresses count from the start of the
// file.
struct [[gnu::packed]] BackupHeader {
  BlockHeader header;
  u64 made_unix_s;
  u64 covered_sequence;  // as in CheckpointHeader
  u32 covered_crc;
  u32 body_crc;  // as in CheckpointHeader
  u64 records;
  u64 body_blocks;
  u8 reserved[3992];
};
static_assert(sizeof(BackupHeader) == kMetaBytes);

enum class MemberState : u8 {
  absent = 0,  // this row of the table is not used
  live = 1,
  missing = 2,  // was not there when the set was started; its blocks read EIO
  failed = 3,   // retired after an error: readable, takes no new data
  removed = 4,  // drained and taken out
};

inline constexpr u32 kIdentityBytes = 96;  // "serial|wwn" text, zero padded; empty for files
inline constexpr u32 kNameBytes = 64;

struct [[gnu::packed]] MemberEntry {
  Uuid uuid;
  u64 sectors;
  u64 checkpoint_blocks;  // 0 for main
  u32 journal_slots;      // 0 for main
  u32 logical_block_bytes;
  u8 state;
  u8 reserved[7];
  char identity[kIdentityBytes];
};
static_assert(sizeof(MemberEntry) == 144);

struct [[gnu::packed]] MembershipPoint {
  u64 generation;
  u64 epoch;  // random, drawn at each change of the membership
};
inline constexpr u32 kMembershipHistory = 16;

enum class Policy : u8 { redirect = 0, rewrite = 1 };

struct [[gnu::packed]] Superblock {
  BlockHeader header;
  u16 version_major;
  u16 version_minor;
  u16 oldest_minor;  // oldest minor version that ever wrote to this set
  u8 own_member;
  u8 member_count;  // rows in use, main included
  u64 compat;
  u64 ro_compat;
  u64 incompat;
  u64 volume_sectors;
  u32 block_sectors;
  u8 policy;
  u8 reserved0[3];
  u64 created_unix_s;
  u64 open_generation;
  MembershipPoint membership;                   // now
  MembershipPoint history[kMembershipHistory];  // before, newest first; zero rows are unused
  char name[kNameBytes];
  MemberEntry member[kMaxMembers];
  u8 reserved[2336];
};
static_assert(sizeof(Superblock) == kMetaBytes);

}  // namespace dmr::format

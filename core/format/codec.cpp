// SPDX-License-Identifier: GPL-2.0-or-later
// Header, CRC and reserved bytes of metadata blocks.
#include "core/format/codec.h"

#include <cstring>

#include "core/base/assert.h"
#include "core/base/crc32c.h"

namespace dmr::format {
namespace {

// The CRC of kind k starts from this plus k; two seeds never give one block the same CRC.
constexpr u32 kCrcSeed = 0x444D5200U;

constexpr std::size_t kCrcAt = offsetof(BlockHeader, crc);
constexpr std::size_t kAfterCrc = kCrcAt + sizeof(u32);

constexpr bool is_known(u16 kind) {
  return kind >= static_cast<u16>(Kind::superblock) && kind <= static_cast<u16>(Kind::backup_body);
}

BlockHeader header_of(ConstMetaBytes block) {
  BlockHeader header;
  std::memcpy(&header, block.data(), sizeof(header));
  return header;
}

// True when [at, at + bytes) is zero.
bool zero_at(ConstMetaBytes block, std::size_t at, std::size_t bytes) {
  DMR_ASSERT(at <= kMetaBytes);
  DMR_ASSERT(bytes <= kMetaBytes - at);
  return all_zero(std::span<const std::byte>(block).subspan(at, bytes));
}

template <class T>
T read_at(ConstMetaBytes block, std::size_t at) {
  DMR_ASSERT(at + sizeof(T) <= kMetaBytes);
  T value;
  std::memcpy(&value, block.data() + at, sizeof(value));
  return value;
}

// True when the count is possible, and everything behind the used records is zero.
bool records_are_formed(ConstMetaBytes block, u32 records, u32 room, std::size_t first) {
  if (records > room) return false;
  const std::size_t used_to = first + std::size_t{records} * sizeof(Record);
  return zero_at(block, used_to, kMetaBytes - used_to);
}

bool journal_is_formed(ConstMetaBytes block) {
  const u32 records = read_at<u32>(block, offsetof(JournalBlock, records));
  const u64 previous = read_at<u64>(block, offsetof(JournalBlock, previous_sequence));
  const u32 previous_crc = read_at<u32>(block, offsetof(JournalBlock, previous_crc));
  const u64 sequence = header_of(block).sequence;
  if (!zero_at(block, offsetof(JournalBlock, reserved), sizeof(JournalBlock::reserved))) {
    return false;
  }
  // A slot that was only formatted has no predecessor; all others have one that is older.
  if (sequence == 0 && (records != 0 || previous != 0)) return false;
  if (sequence != 0 && previous >= sequence) return false;
  if (previous == 0 && previous_crc != 0) return false;
  return records_are_formed(block, records, kJournalRecords, offsetof(JournalBlock, record));
}

bool checkpoint_header_is_formed(ConstMetaBytes block) {
  const u32 state = read_at<u32>(block, offsetof(CheckpointHeader, state));
  return (state == kCheckpointComplete || state == kCheckpointWriting) &&
         zero_at(block, offsetof(CheckpointHeader, reserved0), sizeof(u32)) &&
         zero_at(block, offsetof(CheckpointHeader, reserved),
                 kMetaBytes - offsetof(CheckpointHeader, reserved));
}

bool checkpoint_body_is_formed(ConstMetaBytes block) {
  const u32 records = read_at<u32>(block, offsetof(CheckpointBody, records));
  return records != 0 &&
         zero_at(block, offsetof(CheckpointBody, reserved), sizeof(CheckpointBody::reserved)) &&
         records_are_formed(block, records, kCheckpointRecords, offsetof(CheckpointBody, record));
}

bool backup_header_is_formed(ConstMetaBytes block) {
  return zero_at(block, offsetof(BackupHeader, reserved), sizeof(BackupHeader::reserved));
}

bool is_formed(ConstMetaBytes block, Kind kind) {
  if (kind == Kind::superblock) return true;  // validate_superblock() looks at the version first
  if (header_of(block).reserved != 0) return false;
  if (kind == Kind::journal) return journal_is_formed(block);
  if (kind == Kind::checkpoint_header) return checkpoint_header_is_formed(block);
  if (kind == Kind::backup_header) return backup_header_is_formed(block);
  return checkpoint_body_is_formed(block);
}

Verdict judge(ConstMetaBytes block, const Place& expected, bool of_any_set) {
  DMR_ASSERT(is_known(static_cast<u16>(expected.kind)));
  const BlockHeader header = header_of(block);
  if (std::memcmp(header.magic, kMagic, sizeof(kMagic)) != 0) {
    return all_zero(block) ? Verdict::blank : Verdict::bad_magic;
  }
  if (block_crc(block, expected.kind) != header.crc) {
    const bool other = is_known(header.kind) && header.kind != static_cast<u16>(expected.kind) &&
                       block_crc(block, static_cast<Kind>(header.kind)) == header.crc;
    return other ? Verdict::wrong_kind : Verdict::bad_crc;
  }
  if (header.kind != static_cast<u16>(expected.kind)) return Verdict::wrong_kind;
  if (!of_any_set && header.set != expected.set) return Verdict::wrong_set;
  if (!of_any_set && header.member != expected.member) return Verdict::wrong_member;
  if (header.area != expected.area) return Verdict::wrong_area;
  if (header.address != expected.address.value) return Verdict::wrong_address;
  return is_formed(block, expected.kind) ? Verdict::ok : Verdict::malformed;
}

}  // namespace

const char* text(Verdict verdict) {
  switch (verdict) {
    case Verdict::ok:
      return "good";
    case Verdict::blank:
      return "blank (all zero)";
    case Verdict::bad_magic:
      return "not a dm-remap block (bad magic)";
    case Verdict::bad_crc:
      return "damaged (CRC mismatch)";
    case Verdict::wrong_kind:
      return "of another kind of metadata";
    case Verdict::wrong_set:
      return "of another volume";
    case Verdict::wrong_member:
      return "of another spare of this volume";
    case Verdict::wrong_area:
      return "of another copy or area";
    case Verdict::wrong_address:
      return "meant for another place on the device";
    case Verdict::malformed:
      return "malformed (reserved bytes set or impossible counts)";
  }
  return "unknown";
}

bool all_zero(std::span<const std::byte> bytes) {
  u64 seen = 0;
  std::size_t at = 0;
  for (; bytes.size() - at >= sizeof(u64) && seen == 0; at += sizeof(u64)) {
    std::memcpy(&seen, bytes.data() + at, sizeof(seen));
  }
  for (; at < bytes.size() && seen == 0; ++at) seen |= static_cast<u64>(bytes[at]);
  return seen == 0;
}

u32 block_crc(ConstMetaBytes block, Kind kind) {
  constexpr std::byte kZero[sizeof(u32)] = {};
  const std::span<const std::byte> bytes = block;
  u32 crc = crc32c(kCrcSeed + static_cast<u32>(kind), bytes.first(kCrcAt));
  crc = crc32c(crc, kZero);
  return crc32c(crc, bytes.subspan(kAfterCrc));
}

void seal(MetaBytes block, const Place& place, u64 sequence, u64 open_epoch) {
  DMR_ASSERT(is_known(static_cast<u16>(place.kind)));
  DMR_ASSERT(place.member != kMain && place.member <= kMaxSpares);  // main carries no metadata
  DMR_ASSERT(place.area < (place.kind == Kind::superblock ? kSuperblockCopies : kAreas));
  BlockHeader header{};
  std::memcpy(header.magic, kMagic, sizeof(kMagic));
  header.kind = static_cast<u16>(place.kind);
  header.member = place.member;
  header.area = place.area;
  header.set = place.set;
  header.address = place.address.value;
  header.sequence = sequence;
  header.open_epoch = open_epoch;
  std::memcpy(block.data(), &header, sizeof(header));
  DMR_ASSERT(is_formed(block, place.kind));
  const u32 crc = block_crc(block, place.kind);
  std::memcpy(block.data() + kCrcAt, &crc, sizeof(crc));
}

Verdict check(ConstMetaBytes block, const Place& expected) { return judge(block, expected, false); }

Verdict check_of_any_set(ConstMetaBytes block, const Place& expected) {
  return judge(block, expected, true);
}

u32 add_body_crc(u32 body_crc, const CheckpointBody& body) {
  const std::span<const std::byte> bytes = bytes_of(body);
  return crc32c(body_crc, bytes.subspan(kCrcAt, sizeof(u32)));
}

}  // namespace dmr::format

// SPDX-License-Identifier: GPL-2.0-or-later
// Records, and the journal and checkpoint blocks that carry them: what a correct writer writes, and
// nothing else, is let through to the index.
#include <cstring>

#include "core/format/codec.h"
#include "core/format/validate.h"

namespace dmr::format {
namespace {

constexpr LostMask mask_of(const Record& record) {
  return {.low = record.lost_low, .high = record.lost_high};
}

constexpr bool is_within(LostMask mask, LostMask limit) {
  return (mask.low & ~limit.low) == 0 && (mask.high & ~limit.high) == 0;
}

Judgement judge_lost(const Record& record, const Geometry& geometry) {
  const LostMask mask = mask_of(record);
  if (mask.none()) return kFine;
  if ((record.flags & kRecordLostAll) != 0) return damaged("all is lost, and a mask says what");
  if (record.length != 1) return damaged("a lost mask for more than one block");
  if (!is_within(mask, LostMask::all(geometry.sectors_in(Block(record.block))))) {
    return damaged("lost sectors beyond the end of the block");
  }
  return kFine;
}

Judgement judge_mapping(const Record& record, const Geometry& geometry,
                        std::span<const SpareLayout> spares) {
  const u64 blocks = geometry.blocks();
  if (record.block >= blocks || record.length > blocks - record.block) {
    return damaged("a mapping beyond the end of the volume");
  }
  if (record.member == kMain) {
    if (record.home != 0) return damaged("a home on main that is not the block's own");
  } else if (!spares[record.member - 1U].is_data(SpareBlock(record.home), record.length)) {
    return damaged("a mapping to metadata or beyond the end of a spare");
  }
  return judge_lost(record, geometry);
}

Judgement judge_bad_spare(const Record& record, std::span<const SpareLayout> spares) {
  if (record.member == kMain) return damaged("a bad spare block on main");
  if (record.home != 0 || record.flags != 0 || !mask_of(record).none()) {
    return damaged("fields of a mapping in the record of a bad spare block");
  }
  if (!spares[record.member - 1U].is_data(SpareBlock(record.block), record.length)) {
    return damaged("a bad spare block in metadata or beyond the end of a spare");
  }
  return kFine;
}

// What nearly every record of a large map is: a whole block of main on a spare. Says so quickly, or
// leaves it to the full judgement; never says yes to what that refuses.
bool is_plain_mapping(const Record& record, u64 blocks, std::span<const SpareLayout> spares) {
  const bool plain = record.type == static_cast<u8>(RecordType::mapping) && record.flags == 0 &&
                     record.second == 0 && record.second_member == 0 &&
                     (record.lost_low | record.lost_high) == 0;
  if (!plain || record.length == 0 || record.member == kMain || record.member > spares.size()) {
    return false;
  }
  if (record.block >= blocks || record.length > blocks - record.block) return false;
  const SpareLayout& spare = spares[record.member - 1U];
  const SpareBlock home(record.home);
  return record.home < spare.spare_blocks && record.length <= spare.spare_blocks - record.home &&
         !spare.metadata[0].overlaps(home, record.length) &&
         !spare.metadata[1].overlaps(home, record.length) &&
         !spare.metadata[2].overlaps(home, record.length);
}

Judgement judge_records(const Record* records, u32 count, const Geometry& geometry,
                        std::span<const SpareLayout> spares) {
  DMR_ASSERT(count <= kCheckpointRecords);
  const u64 blocks = geometry.blocks();
  for (u32 i = 0; i < count; ++i) {
    if (is_plain_mapping(records[i], blocks, spares)) continue;
    const Judgement one = validate_record(records[i], geometry, spares);
    if (!one) return one;
  }
  return kFine;
}

constexpr u64 body_blocks_for(u64 records) {
  return records / kCheckpointRecords + (records % kCheckpointRecords != 0 ? 1 : 0);
}

}  // namespace

Record encode_mapping(const Mapping& mapping, const Geometry& geometry) {
  DMR_ASSERT(mapping.length > 0);
  DMR_ASSERT(mapping.block.value < geometry.blocks());
  DMR_ASSERT(mapping.length <= geometry.blocks() - mapping.block.value);
  DMR_ASSERT(mapping.member <= kMaxSpares);
  DMR_ASSERT(mapping.member != kMain || mapping.home.value == 0);
  Record record{};
  record.block = mapping.block.value;
  record.home = mapping.home.value;
  record.length = mapping.length;
  record.type = static_cast<u8>(RecordType::mapping);
  record.member = mapping.member;
  const bool none_in_mask = mapping.lost.none();
  DMR_ASSERT(none_in_mask || mapping.length == 1);
  const LostMask whole = LostMask::all(geometry.sectors_in(mapping.block));
  DMR_ASSERT(none_in_mask || is_within(mapping.lost, whole));
  if (mapping.lost_all || mapping.lost == whole) {
    record.flags = kRecordLostAll;
  } else {
    record.lost_low = mapping.lost.low;
    record.lost_high = mapping.lost.high;
  }
  return record;
}

Record encode_bad_spare(Member member, SpareBlock begin, u32 length) {
  DMR_ASSERT(member != kMain);
  DMR_ASSERT(member <= kMaxSpares);
  DMR_ASSERT(length > 0);
  Record record{};
  record.block = begin.value;
  record.length = length;
  record.type = static_cast<u8>(RecordType::bad_spare);
  record.member = member;
  return record;
}

Mapping decode_mapping(const Record& record) {
  DMR_ASSERT(record.type == static_cast<u8>(RecordType::mapping));
  return {.block = Block(record.block),
          .length = record.length,
          .member = record.member,
          .home = SpareBlock(record.home),
          .lost_all = (record.flags & kRecordLostAll) != 0,
          .lost = mask_of(record)};
}

Judgement validate_record(const Record& record, const Geometry& geometry,
                          std::span<const SpareLayout> spares) {
  DMR_ASSERT(spares.size() <= kMaxSpares);
  if (record.length == 0) return damaged("a record of no block");
  if (record.second != 0 || record.second_member != 0) {
    return damaged("reserved bytes of a record are not zero");
  }
  if ((record.flags & ~kRecordLostAll) != 0) return damaged("a record with an unknown flag");
  if (record.member > spares.size()) return damaged("a record of an unknown member");
  switch (static_cast<RecordType>(record.type)) {
    case RecordType::mapping:
      return judge_mapping(record, geometry, spares);
    case RecordType::bad_spare:
      return judge_bad_spare(record, spares);
  }
  return damaged("a record of an unknown type");
}

Judgement validate_journal(const JournalBlock& block, const Geometry& geometry,
                           std::span<const SpareLayout> spares) {
  DMR_ASSERT(block.header.kind == static_cast<u16>(Kind::journal));
  DMR_ASSERT(block.records <= kJournalRecords);
  return judge_records(block.record, block.records, geometry, spares);
}

Judgement validate_checkpoint_header(const CheckpointHeader& header, const SpareLayout& layout) {
  DMR_ASSERT(header.header.kind == static_cast<u16>(Kind::checkpoint_header));
  if (header.header.sequence == 0) return damaged("a checkpoint without a sequence");
  if (header.state != kCheckpointComplete) return kFine;  // nobody trusts the counts
  if (header.body_blocks != body_blocks_for(header.records)) {
    return damaged("a checkpoint's records do not fit its number of blocks");
  }
  if (header.body_blocks > layout.checkpoint_blocks - 1) {
    return damaged("a checkpoint larger than its area");
  }
  if (header.covered_sequence == 0 && header.covered_crc != 0) {
    return damaged("a checkpoint of no journal block that names its CRC");
  }
  return kFine;
}

Judgement validate_backup_header(const BackupHeader& header) {
  DMR_ASSERT(header.header.kind == static_cast<u16>(Kind::backup_header));
  if (header.body_blocks != body_blocks_for(header.records)) {
    return damaged("a backup's records do not fit its number of blocks");
  }
  if (header.covered_sequence == 0 && header.covered_crc != 0) {
    return damaged("a backup of no journal block that names its CRC");
  }
  return kFine;
}

Judgement validate_backup_body(const CheckpointBody& body, const BackupHeader& header, u64 index,
                               const Geometry& geometry, std::span<const SpareLayout> spares) {
  DMR_ASSERT(index < header.body_blocks);
  if (body.index != index) return damaged("a block of a backup that belongs elsewhere");
  const u64 left = header.records - index * kCheckpointRecords;
  const u64 expected = left < kCheckpointRecords ? left : kCheckpointRecords;
  if (body.records != expected) return damaged("a backup's block with too few or many records");
  return judge_records(body.record, body.records, geometry, spares);
}

Judgement validate_checkpoint_body(const CheckpointBody& body, const CheckpointHeader& header,
                                   u64 index, const Geometry& geometry,
                                   std::span<const SpareLayout> spares) {
  DMR_ASSERT(header.state == kCheckpointComplete);
  DMR_ASSERT(index < header.body_blocks);
  if (body.index != index) return damaged("a checkpoint block that belongs elsewhere");
  if (body.header.sequence != header.header.sequence ||
      body.header.open_epoch != header.header.open_epoch) {
    return damaged("a checkpoint block of another checkpoint");
  }
  const u64 left = header.records - index * kCheckpointRecords;
  const u64 expected = left < kCheckpointRecords ? left : kCheckpointRecords;
  if (body.records != expected) return damaged("a checkpoint block with too few or many records");
  return judge_records(body.record, body.records, geometry, spares);
}

}  // namespace dmr::format

// SPDX-License-Identifier: GPL-2.0-or-later
// Metadata blocks as JSON.
#include "cli/metadata/describe.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "runtime/control/volume_report.h"

namespace dmr::cli {
namespace {

Json json_of_member(const format::MemberEntry& entry, u32 number) {
  return {{"member", number},
          {"uuid", uuid_text(entry.uuid)},
          {"state", runtime::name_of(static_cast<format::MemberState>(entry.state))},
          {"sectors", u64{entry.sectors}},
          {"logical_block_bytes", u32{entry.logical_block_bytes}},
          {"journal_slots", u32{entry.journal_slots}},
          {"checkpoint_blocks", u64{entry.checkpoint_blocks}},
          {"identity", identity_of(entry)}};
}

void add_content(Json& shown, const format::Superblock& block) {
  shown["name"] = name_of(block);
  shown["set"] = uuid_text(block.header.set);
  shown["version"] = fmt::format("{}.{}", u16{block.version_major}, u16{block.version_minor});
  shown["oldest_minor"] = u16{block.oldest_minor};
  shown["compat"] = u64{block.compat};
  shown["ro_compat"] = u64{block.ro_compat};
  shown["incompat"] = u64{block.incompat};
  shown["sequence"] = u64{block.header.sequence};
  shown["own_member"] = block.own_member;
  shown["volume_sectors"] = u64{block.volume_sectors};
  shown["block_bytes"] = u64{block.block_sectors} * kSectorBytes;
  shown["policy"] = text_of(static_cast<format::Policy>(block.policy));
  shown["created_unix_s"] = u64{block.created_unix_s};
  shown["open_generation"] = u64{block.open_generation};
  shown["membership_generation"] = u64{block.membership.generation};
  Json members = Json::array();
  const u32 count = std::min<u32>(block.member_count, kMaxMembers);
  for (u32 i = 0; i < count; ++i) members.push_back(json_of_member(block.member[i], i));
  shown["members"] = members;
}

Json records_of(const format::Record* records, u32 count) {
  Json list = Json::array();
  for (u32 i = 0; i < count; ++i) list.push_back(json_of(records[i]));
  return list;
}

void add_journal(Json& shown, const format::JournalBlock& block) {
  shown["sequence"] = u64{block.header.sequence};
  shown["open_epoch"] = u64{block.header.open_epoch};
  shown["previous_sequence"] = u64{block.previous_sequence};
  shown["open_generation"] = u64{block.open_generation};
  shown["membership_generation"] = u64{block.membership};
  shown["records"] =
      records_of(block.record, std::min(u32{block.records}, format::kJournalRecords));
}

void add_header(Json& shown, const format::CheckpointHeader& block) {
  shown["state"] = block.state == format::kCheckpointComplete ? "complete" : "being written";
  shown["sequence"] = u64{block.header.sequence};
  shown["open_epoch"] = u64{block.header.open_epoch};
  shown["covered_sequence"] = u64{block.covered_sequence};
  shown["record_count"] = u64{block.records};
  shown["body_blocks"] = u64{block.body_blocks};
  shown["open_generation"] = u64{block.open_generation};
}

}  // namespace

const char* text_of(format::Policy policy) {
  return policy == format::Policy::rewrite ? "rewrite" : "redirect";
}

Json json_of(const SuperblockCopy& copy, u32 number) {
  Json shown{{"copy", number}, {"sector", copy.sector.value}};
  if (copy.error != 0) {
    shown["state"] = fmt::format("unreadable: {}", std::strerror(copy.error));
    return shown;
  }
  shown["state"] = copy.verdict != format::Verdict::ok ? format::text(copy.verdict)
                   : copy.status != Status::ok         ? copy.why
                                                       : "ok";
  if (copy.verdict == format::Verdict::ok) add_content(shown, copy.block);
  return shown;
}

Json json_of(const format::Record& record) {
  if (record.type == static_cast<u8>(format::RecordType::bad_spare)) {
    return {{"type", "bad_spare"},
            {"member", record.member},
            {"spare_block", u64{record.block}},
            {"blocks", u32{record.length}}};
  }
  Json shown{
      {"type", "mapping"},       {"block", u64{record.block}}, {"blocks", u32{record.length}},
      {"member", record.member}, {"spare_block", nullptr},     {"lost", "none"}};
  if (record.member != kMain) shown["spare_block"] = u64{record.home};
  if ((record.flags & format::kRecordLostAll) != 0) {
    shown["lost"] = "all";
  } else if (record.lost_low != 0 || record.lost_high != 0) {
    Json sectors = Json::array();
    const LostMask mask{.low = record.lost_low, .high = record.lost_high};
    for (u32 i = 0; i < kMaxBlockSectors; ++i) {
      if (mask.test(i)) sectors.push_back(i);
    }
    shown["lost"] = sectors;
  }
  return shown;
}

Json json_of(const MetaView& seen) {
  Json shown{{"area", seen.area}, {"index", seen.index}, {"sector", seen.sector.value}};
  if (seen.error != 0) {
    shown["verdict"] = fmt::format("unreadable: {}", std::strerror(seen.error));
    return shown;
  }
  shown["verdict"] = format::text(seen.verdict);
  if (seen.verdict != format::Verdict::ok) return shown;
  switch (seen.kind) {
    case format::Kind::journal:
      add_journal(shown, seen.block->as<format::JournalBlock>());
      break;
    case format::Kind::checkpoint_header:
      add_header(shown, seen.block->as<format::CheckpointHeader>());
      break;
    case format::Kind::checkpoint_body: {
      const auto& body = seen.block->as<format::CheckpointBody>();
      shown["records"] =
          records_of(body.record, std::min(u32{body.records}, format::kCheckpointRecords));
      break;
    }
    case format::Kind::superblock:
      break;  // json_of(SuperblockCopy) is for these
    case format::Kind::backup_header:
    case format::Kind::backup_body:
      break;  // not on spares
  }
  return shown;
}

}  // namespace dmr::cli

// SPDX-License-Identifier: GPL-2.0-or-later
// Gathers every intact block of every spare and plays their records in the order of their age.
#include "cli/metadata/salvage.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "cli/metadata/map_model.h"
#include "cli/metadata/walk.h"

namespace dmr::cli {
namespace {

using Records = std::vector<format::Record>;

struct Checkpoint {
  u64 covered_sequence = 0;
  u64 body_blocks = 0;
  std::map<u64, Records> body;  // by index
};

struct Gathered {
  std::map<u64, Records> journal;         // by sequence
  std::map<u64, u64> journal_generation;  // of the block that was taken
  std::map<u64, Checkpoint> checkpoints;  // by sequence
  std::vector<SpareLayout> spares;
  Geometry geometry;
  u64 bad_blocks = 0;
};

// A superblock for a disk that has none left: its set and number by the first block that names
// them, the rest as `create` chooses it for a single spare.
Expected<format::Superblock> customary_superblock(const OfflineDisk& disk) {
  MetaBuffer buffer;
  const u64 slots = SpareLayout::default_journal_slots(disk.sectors());
  for (u32 copy = 0; copy < kAreas; ++copy) {
    const Result<Sector> start = SpareLayout::superblock_sector(disk.sectors(), copy);
    for (u64 i = 1; start && i <= slots; ++i) {
      const Sector at = *start + i * kMetaSectors;
      if (read_meta(disk, at, buffer) != 0) continue;
      const auto& block = buffer.as<format::JournalBlock>();
      const format::Place place{.kind = format::Kind::journal,
                                .member = block.header.member,
                                .area = static_cast<u8>(copy),
                                .set = block.header.set,
                                .address = at};
      if (format::check(block, place) != format::Verdict::ok) continue;
      const Member own = block.header.member;
      if (own == kMain || own > kMaxSpares) continue;
      const u64 sizes[] = {disk.sectors()};
      const Result<u64> room = SpareLayout::checkpoint_blocks_for_set(sizes, 8);
      if (!room) break;
      format::Superblock made{};
      made.header.set = block.header.set;
      made.own_member = own;
      made.member_count = static_cast<u8>(own + 1);
      made.block_sectors = 8;
      made.member[own].sectors = disk.sectors();
      made.member[own].journal_slots = static_cast<u32>(slots);
      made.member[own].checkpoint_blocks = *room;
      return made;
    }
  }
  return failed(fmt::format("{}: holds no metadata of dm-remap that can be read", disk.path()));
}

// Without a superblock, all that is known of a record is what its own fields allow.
bool is_sane(const format::Record& record) {
  constexpr u64 kBlocks = kMaxSectors / kMaxBlockSectors / 2;
  if (record.length == 0 || record.block >= kBlocks || record.length > kBlocks - record.block) {
    return false;
  }
  if (record.member > kMaxSpares || record.home >= kMaxSectors) return false;
  if (record.type == static_cast<u8>(format::RecordType::bad_spare)) return record.member != kMain;
  const bool is_masked = record.lost_low != 0 || record.lost_high != 0;
  return record.type == static_cast<u8>(format::RecordType::mapping) &&
         (record.member != kMain || record.home == 0) && (!is_masked || record.length == 1);
}

// Records that no correct writer writes are left out; without a superblock nobody can tell.
Records valid(const Gathered& all, const format::Record* records, u32 count) {
  Records good;
  for (u32 i = 0; i < count; ++i) {
    const format::Record record = records[i];
    const bool is_known = all.spares.empty()
                              ? is_sane(record)
                              : bool(format::validate_record(record, all.geometry, all.spares));
    if (is_known) good.push_back(record);
  }
  return good;
}

void gather_journal(const OfflineDisk& disk, const format::Superblock& superblock, Gathered& all) {
  walk_journal(disk, superblock, [&](const MetaView& seen) {
    if (seen.error != 0 || seen.verdict != format::Verdict::ok) {
      ++all.bad_blocks;
      return;
    }
    const auto& block = seen.block->as<format::JournalBlock>();
    const u64 sequence = block.header.sequence;
    if (sequence == 0) return;
    u64& generation = all.journal_generation[sequence];
    if (all.journal.contains(sequence) && generation >= block.open_generation) return;
    generation = block.open_generation;
    all.journal[sequence] = valid(all, block.record, block.records);
  });
}

void gather_checkpoints(const OfflineDisk& disk, const format::Superblock& superblock,
                        Gathered& all) {
  u64 sequence = 0;
  walk_checkpoints(disk, superblock, [&](const MetaView& seen) {
    if (seen.error != 0 || seen.verdict != format::Verdict::ok) {
      ++all.bad_blocks;
      return;
    }
    if (seen.kind == format::Kind::checkpoint_header) {
      const auto& header = seen.block->as<format::CheckpointHeader>();
      sequence = header.header.sequence;
      if (header.state != format::kCheckpointComplete) return;
      Checkpoint& checkpoint = all.checkpoints[sequence];
      checkpoint.covered_sequence = header.covered_sequence;
      checkpoint.body_blocks = header.body_blocks;
      return;
    }
    const auto& body = seen.block->as<format::CheckpointBody>();
    if (body.header.sequence != sequence) return;  // left over from an older one
    all.checkpoints[sequence].body.emplace(body.index, valid(all, body.record, body.records));
  });
}

void play(const Records& records, MapModel& map) {
  for (const format::Record& record : records) (void)map.replay(record);
}

// All checkpoints and journal blocks, oldest state first. A whole checkpoint replaces what came
// before it; of a broken one every block is better than nothing.
void play_all(const Gathered& all, MapModel& map) {
  std::vector<std::pair<u64, const Checkpoint*>> by_age;
  for (const auto& [sequence, checkpoint] : all.checkpoints) {
    by_age.emplace_back(checkpoint.covered_sequence, &checkpoint);
  }
  auto next = all.journal.begin();
  for (const auto& [covered, checkpoint] : by_age) {
    for (; next != all.journal.end() && next->first <= covered; ++next) play(next->second, map);
    if (checkpoint->body.size() == checkpoint->body_blocks) map.reset();
    for (const auto& [index, records] : checkpoint->body) play(records, map);
  }
  for (; next != all.journal.end(); ++next) play(next->second, map);
}

void find_gaps(const Gathered& all, Salvage& result) {
  u64 expected = 1;
  if (!all.checkpoints.empty()) {
    const Checkpoint& newest = all.checkpoints.rbegin()->second;
    result.missing_checkpoint_blocks = newest.body_blocks - newest.body.size();
    const bool is_whole = result.missing_checkpoint_blocks == 0;
    expected = is_whole ? newest.covered_sequence + 1
                        : all.checkpoints.begin()->second.covered_sequence + 1;
  }
  for (const auto& [sequence, records] : all.journal) {
    if (sequence > expected) result.gaps.emplace_back(expected, sequence - 1);
    expected = std::max(expected, sequence + 1);
  }
}

}  // namespace

Expected<Salvage> salvage(std::span<const OfflineDisk* const> disks) {
  Salvage result;
  Gathered all;
  std::vector<std::pair<const OfflineDisk*, format::Superblock>> spares;
  const auto set = arrange(disks);
  if (!set && set.error().exit_code != runtime::kExitFault) return std::unexpected(set.error());
  if (set) {
    all.geometry = *format::geometry_of(set->superblock);
    for (Member m = 1; m < set->superblock.member_count; ++m) {
      all.spares.push_back(*format::layout_of(set->superblock, m));
      if (set->disk[m] == nullptr || set->disk[m]->sectors() != set->superblock.member[m].sectors) {
        continue;
      }
      spares.emplace_back(set->disk[m], set->superblock);
      spares.back().second.own_member = m;
    }
  } else {
    result.is_layout_known = false;
    for (const OfflineDisk* disk : disks) {
      const auto made = customary_superblock(*disk);
      if (!made) return std::unexpected(made.error());
      if (!spares.empty() && made->header.set != spares.front().second.header.set) {
        return failed(fmt::format("{} and {} belong to different volumes; give those of one",
                                  spares.front().first->path(), disk->path()));
      }
      spares.emplace_back(disk, *made);
    }
  }
  for (const auto& [disk, superblock] : spares) {
    gather_journal(*disk, superblock, all);
    gather_checkpoints(*disk, superblock, all);
  }
  MapModel map;
  play_all(all, map);
  find_gaps(all, result);
  // Only for the sizes of masks; without a superblock the blocks are as good as endless.
  if (!result.is_layout_known) all.geometry = *Geometry::make(kMaxSectors - 1, kMaxBlockSectors);
  result.records = map.records(all.geometry);
  result.newest_sequence = all.journal.empty() ? 0 : all.journal.rbegin()->first;
  result.bad_blocks = all.bad_blocks;
  return result;
}

}  // namespace dmr::cli

// SPDX-License-Identifier: GPL-2.0-or-later
// Damage to metadata: writes that do not do what they were asked to, blocks that rot while the
// volume is off, and the check that all of it is noticed.
#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "sim/scenario.h"

namespace dmr::sim {

void Scenario::watch_metadata_writes() {
  if (profile_.metadata_write == 0 && profile_.commit_refused == 0 &&
      profile_.metadata_refused == 0) {
    return;
  }
  machine_->host.on_metadata_write = [this](const DeviceIo& io) { return fate_of(io); };
}

// Once each time the volume is open: two such faults may take both copies of a block.
void Scenario::meddle() { meddling_ = !meddled_; }

void Scenario::refuse_commits() {
  if (commits_refused_) return;
  commits_refused_ = true;
  machine_->world.note("the spares refuse journal blocks");
}

// Not even a failed commit can be cancelled then: the volume serves on, for reading only.
void Scenario::refuse_metadata() {
  if (metadata_refused_) return;
  metadata_refused_ = true;
  machine_->world.note("the spares refuse all metadata");
}

MetadataFate Scenario::fate_of(const DeviceIo& io) {
  using Kind = MetadataFate::Kind;
  Random& random = machine_->world.random();
  format::BlockHeader header;
  std::memcpy(&header, io.buffer, sizeof(header));
  MetadataFate fate;
  if (metadata_refused_) {
    fate.kind = Kind::refused_clean;
    if (header.kind == static_cast<u16>(format::Kind::journal)) ++totals_.refused_journal_writes;
    return fate;
  }
  if (commits_refused_ && header.kind == static_cast<u16>(format::Kind::journal)) {
    fate.kind = random.coin() ? Kind::refused : Kind::refused_after;
    ++totals_.refused_journal_writes;
    return fate;
  }
  if (!meddling_) return fate;
  meddling_ = false;
  meddled_ = true;
  metadata_touched_ = true;
  const u64 kind = random.below(3);
  if (kind == 0) {
    fate.kind = Kind::lost;
    ++totals_.lost_metadata_writes;
  } else if (kind == 1 || io.sectors != kMetaSectors) {
    fate.kind = Kind::corrupt;
    fate.bit = random.below32(io.sectors * kSectorBytes * 8);
    const u32 sector = fate.bit / (kSectorBytes * 8);
    damage_.push_back({io.member, io.sector + sector,
                       with_bit_flipped(sector_of(io, sector), fate.bit % (kSectorBytes * 8))});
    ++totals_.corrupt_metadata_writes;
  } else {
    fate.kind = Kind::misdirected;
    fate.to = astray(io.member, header);
    damage_.push_back({io.member, fate.to, sector_of(io, 0)});
    ++totals_.misdirected_metadata_writes;
  }
  machine_->world.note("a write of metadata at {} of member {}: fate {}, to {}", io.sector.value,
                       io.member, static_cast<u64>(fate.kind), fate.to.value);
  return fate;
}

// Another metadata block of the same spare, but not the other copy of this one: no two copies can
// help against that.
Sector Scenario::astray(Member member, const format::BlockHeader& header) {
  const MetadataMap map(machine_->disks);
  std::vector<MetaBlock> places = map.blocks(member);
  std::erase_if(places, [&](const MetaBlock& place) {
    if (place.at.value == header.address) return true;
    const bool journals = place.kind == format::Kind::journal &&
                          header.kind == static_cast<u16>(format::Kind::journal);
    return journals && place.index == header.sequence % map.layout(member).journal_slots;
  });
  DMR_ASSERT(!places.empty());
  return places[machine_->world.random().below(places.size())].at;
}

// While the volume is off.
void Scenario::damage_at_rest() {
  must_open_ = false;
  const bool flips = dice_.chance(profile_.bit_flip);
  const bool gap = dice_.chance(profile_.gap);
  if (!flips && !gap) return;
  const MetadataMap map(machine_->disks);
  const bool whole = map.is_whole() && !meddled_;
  if (gap) {
    const std::vector<MetaBlock> copies = map.gap_candidates(dice_.next());
    for (const MetaBlock& copy : copies) flip_bit(map, copy);
    if (!copies.empty()) ++totals_.journal_gaps;
    return;
  }
  const auto member = static_cast<Member>(dice_.range(1, machine_->disks.size() - 1));
  std::vector<MetaBlock> blocks = map.blocks(member);
  // As often a block of the others as one of the many journal slots.
  const bool journal = dice_.coin();
  std::erase_if(blocks, [&](const MetaBlock& block) {
    return (block.kind == format::Kind::journal) != journal || !map.counts(block);
  });
  if (blocks.empty()) return;
  flip_bit(map, blocks[dice_.below(blocks.size())]);
  must_open_ = whole;
}

void Scenario::flip_bit(const MetadataMap& map, const MetaBlock& block) {
  if (!map.knows(block.member)) return;
  SimDisk& disk = *machine_->disks[block.member];
  const u64 bit = dice_.below(u64{kMetaBytes} * 8);
  const Sector at = block.at + bit / (kSectorBytes * 8);
  disk.flip_bit(at, static_cast<u32>(bit % (kSectorBytes * 8)));
  damage_.push_back({block.member, at, disk.durable(at)});
  machine_->world.note("bit {} of the metadata at {} of member {} flips", bit, block.at.value,
                       block.member);
  metadata_touched_ = true;
  ++totals_.bit_flips;
}

// Some of the damage has not been written over since, and lies where it has to be noticed.
bool Scenario::damage_is_there() const {
  if (damage_.empty()) return false;
  const MetadataMap map(machine_->disks);
  for (const Damage& damage : damage_) {
    const SimDisk& disk = *machine_->disks[damage.member];
    std::array<std::byte, kSectorBytes> now;
    std::array<std::byte, kSectorBytes> then;
    unpack(disk.durable(damage.at), now);
    unpack(damage.content, then);
    if (now != then) continue;
    for (const MetaBlock& block : map.blocks(damage.member)) {
      const bool inside = damage.at >= block.at && damage.at - block.at < kMetaSectors;
      if (inside && map.counts(block)) return true;
    }
  }
  return false;
}

// Damage must not go unseen; a power cut alone must not look like damage.
void Scenario::check_findings(bool damaged) {
  if (damaged && machine_->findings().empty()) {
    machine_->oracle.fail(Rule::damage_is_noticed, "damaged metadata was not noticed");
  }
  damage_.clear();
  if (metadata_touched_) return;
  for (const Finding& finding : machine_->findings()) {
    if (is_expected(finding)) continue;
    machine_->oracle.fail(
        Rule::damage_is_noticed,
        fmt::format("finding {} on member {} at {} without any damage",
                    static_cast<u32>(finding.kind), finding.member, finding.address.value));
  }
}

bool Scenario::is_expected(const Finding& finding) const {
  const auto is_of = [&finding](u32 members) { return ((members >> finding.member) & 1U) != 0; };
  if (finding.kind == FindingKind::member_missing) return is_of(machine_->absent);
  if (finding.kind == FindingKind::member_stale) return !finding.fatal && is_of(left_out_);
  const bool superblock = finding.kind == FindingKind::superblock_stale ||
                          finding.kind == FindingKind::superblock_torn ||
                          finding.kind == FindingKind::superblock_damaged;
  // A spare that was left out since then shows what the power cut did to it when it comes back.
  if (is_of(cut_short_) && superblock && !finding.fatal) return true;
  if (is_of(cut_short_) && MetadataMap(machine_->disks).is_torn_copy(finding)) return true;
  // A write that the device failed may have torn what it was to replace.
  return failures(finding.member) > failures_mended_[finding.member] && !finding.fatal;
}

// Of writes, of metadata or not. Where there is no FUA, the flush behind one of metadata is a part
// of it.
u64 Scenario::failures(Member member) const {
  const SimDisk& disk = *machine_->disks[member];
  const DiskCounters& counters = disk.counters();
  return counters.failed_writes + (disk.native_fua ? 0 : counters.failed_flushes);
}

// What of a failed write lies in the cache still, where it can be read, is torn by the next power
// cut, not by the last one.
bool Scenario::may_still_tear(Member member) const {
  const std::vector<Sector> open = machine_->disks[member]->unflushed();
  if (open.empty()) return false;
  for (const MetaBlock& block : MetadataMap(machine_->disks).blocks(member)) {
    const auto inside = [&block](Sector at) {
      return at >= block.at && at < block.at + kMetaSectors;
    };
    if (std::any_of(open.begin(), open.end(), inside)) return true;
  }
  return false;
}

// An opening writes all metadata of the members in use anew that was not as it should be.
void Scenario::note_mended(const Failures& before) {
  const VolumeStats stats = machine_->volume().stats();
  for (Member m = 1; m < stats.members; ++m) {
    if (before[m] == failures_mended_[m] || may_still_tear(m)) continue;
    if (stats.member[m].state == format::MemberState::live) failures_mended_[m] = before[m];
  }
}

}  // namespace dmr::sim

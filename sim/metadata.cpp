// SPDX-License-Identifier: GPL-2.0-or-later
// Looking at the durable metadata of the simulated spares.
#include "sim/metadata.h"

#include <algorithm>
#include <cstring>

#include "core/format/codec.h"
#include "core/format/validate.h"

namespace dmr::sim {

MetadataMap::MetadataMap(const std::vector<std::unique_ptr<SimDisk>>& disks) : disks_(disks) {
  for (Member m = 1; m < disks.size(); ++m) {
    for (u8 copy = 0; copy < kSuperblockCopies; ++copy) {
      const auto at = SpareLayout::superblock_sector(disks[m]->sectors(), copy);
      if (!at) continue;
      format::Superblock block;
      const MetaBlock where{m, format::Kind::superblock, copy, 0, *at};
      if (!intact(where, block) || !format::validate_superblock(block, format::Access::read_only)) {
        continue;
      }
      const auto layout = format::layout_of(block, m);
      if (!layout) continue;
      layouts_[m] = *layout;
      if (block.header.sequence > newest_.header.sequence) newest_ = block;
    }
  }
}

MetaBytes MetadataMap::read(Member member, Sector at) const {
  MetaBytes bytes;
  for (u32 i = 0; i < kMetaSectors; ++i) {
    unpack(disks_[member]->durable(at + i),
           SectorBytes(bytes.data() + std::size_t{i} * kSectorBytes, kSectorBytes));
  }
  return bytes;
}

// `out` is what lies there, in any case.
template <class T>
bool MetadataMap::intact(const MetaBlock& block, T& out) const {
  const MetaBytes bytes = read(block.member, block.at);
  std::memcpy(&out, bytes.data(), sizeof(out));
  return out.header.kind == static_cast<u16>(block.kind) && out.header.address == block.at.value &&
         out.header.member == block.member &&
         format::block_crc(format::bytes_of(out), block.kind) == out.header.crc;
}

format::MemberState MetadataMap::state(Member member) const {
  return static_cast<format::MemberState>(newest_.member[member].state);
}

bool MetadataMap::complete_header(Member member, u8 area, format::CheckpointHeader& out) const {
  const MetaBlock where{member, format::Kind::checkpoint_header, area, 0,
                        layouts_[member].checkpoint_block(area, 0)};
  return intact(where, out) && out.state == format::kCheckpointComplete;
}

std::vector<MetaBlock> MetadataMap::blocks(Member member) const {
  std::vector<MetaBlock> all;
  if (!knows(member)) return all;
  const SpareLayout& layout = layouts_[member];
  for (u8 copy = 0; copy < kSuperblockCopies; ++copy) {
    all.push_back({member, format::Kind::superblock, copy, 0, layout.superblock[copy]});
  }
  for (u8 area = 0; area < kAreas; ++area) {
    for (u64 i = 0; i < layout.journal_slots; ++i) {
      all.push_back({member, format::Kind::journal, area, i, layout.journal_slot(area, i)});
    }
    all.push_back(
        {member, format::Kind::checkpoint_header, area, 0, layout.checkpoint_block(area, 0)});
    format::CheckpointHeader header;
    if (!complete_header(member, area, header)) continue;
    for (u64 i = 1; i <= header.body_blocks && i < layout.checkpoint_blocks; ++i) {
      all.push_back(
          {member, format::Kind::checkpoint_body, area, i, layout.checkpoint_block(area, i)});
    }
  }
  return all;
}

// Asked again and again, about disks that do not change meanwhile.
u64 MetadataMap::newest_sequence() const {
  if (newest_sequence_) return *newest_sequence_;
  u64 newest = 0;
  for (Member m = 1; m < disks_.size(); ++m) {
    for (const MetaBlock& at : blocks(m)) {
      format::JournalBlock block;
      if (at.kind != format::Kind::journal || !intact(at, block)) continue;
      newest = std::max<u64>(newest, block.header.sequence);
    }
  }
  newest_sequence_ = newest;
  return newest;
}

u64 MetadataMap::covered_sequence() const {
  u64 covered = 0;
  for (Member m = 1; m < disks_.size(); ++m) {
    for (u8 area = 0; knows(m) && area < kAreas; ++area) {
      format::CheckpointHeader header;
      if (complete_header(m, area, header))
        covered = std::max<u64>(covered, header.covered_sequence);
    }
  }
  return covered;
}

bool MetadataMap::counts(const MetaBlock& block) const {
  if (state(block.member) != format::MemberState::live) return false;
  if (block.kind != format::Kind::journal) return true;
  const u32 slots = layouts_[block.member].journal_slots;
  const u64 newest = newest_sequence();
  return block.index != (newest + 1) % slots &&
         block.index != (std::max(newest, covered_sequence()) + 1) % slots;
}

bool MetadataMap::is_torn_copy(const Finding& finding) const {
  if (finding.kind != FindingKind::journal_damaged || finding.fatal) return false;
  if (finding.member == kMain || !knows(finding.member)) return false;
  const Sector slot = layouts_[finding.member].journal_slot(finding.copy, newest_sequence());
  return finding.address == slot;
}

bool MetadataMap::is_whole() const {
  for (Member m = 1; m < disks_.size(); ++m) {
    if (!knows(m) || state(m) != format::MemberState::live) return false;
    for (u8 copy = 0; copy < kSuperblockCopies; ++copy) {
      format::Superblock block;
      const MetaBlock where{m, format::Kind::superblock, copy, 0, layouts_[m].superblock[copy]};
      if (!intact(where, block) || block.header.sequence != newest_.header.sequence) return false;
    }
    for (u8 area = 0; area < kAreas; ++area) {
      format::CheckpointHeader header;
      if (!complete_header(m, area, header)) return false;
    }
    for (const MetaBlock& at : blocks(m)) {
      format::JournalBlock block;
      if (at.kind == format::Kind::journal && !intact(at, block)) return false;
    }
  }
  return true;
}

std::vector<MetaBlock> MetadataMap::gap_candidates(u64 choice) const {
  std::vector<MetaBlock> copies;
  const u64 newest = newest_sequence();
  const u64 covered = covered_sequence();
  if (newest < covered + 2) return copies;
  const u64 wanted = covered + 1 + choice % (newest - covered - 1);
  for (Member m = 1; m < disks_.size(); ++m) {
    for (const MetaBlock& at : blocks(m)) {
      format::JournalBlock block;
      if (at.kind != format::Kind::journal || !intact(at, block)) continue;
      if (block.header.sequence == wanted) copies.push_back(at);
    }
  }
  return copies;
}

}  // namespace dmr::sim

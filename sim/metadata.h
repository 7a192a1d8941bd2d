// SPDX-License-Identifier: GPL-2.0-or-later
// The metadata as it lies on the simulated spares, seen from outside of the engine: which blocks
// there are, what they hold, and what may be damaged without anybody having to notice.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "core/format/format.h"
#include "core/geometry/geometry.h"
#include "core/log/interface.h"
#include "sim/disk.h"

namespace dmr::sim {

struct MetaBlock {
  Member member = kMain;
  format::Kind kind = format::Kind::superblock;
  u8 area = 0;    // superblock copy, journal or checkpoint area
  u64 index = 0;  // journal slot, or number of a body block
  Sector at;
};

using MetaBytes = std::array<std::byte, kMetaBytes>;

class MetadataMap {
 public:
  // Reads the layouts from the superblocks of the spares; a spare without a good one is left out.
  explicit MetadataMap(const std::vector<std::unique_ptr<SimDisk>>& disks);

  [[nodiscard]] bool knows(Member member) const { return layouts_[member].device_sectors != 0; }
  [[nodiscard]] const SpareLayout& layout(Member member) const { return layouts_[member]; }
  // As the newest superblock has it.
  [[nodiscard]] format::MemberState state(Member member) const;

  // Superblock copies, journal slots, checkpoint headers, and the bodies of complete checkpoints.
  [[nodiscard]] std::vector<MetaBlock> blocks(Member member) const;
  // The sequence of the newest intact journal block, and the newest that a checkpoint covers.
  [[nodiscard]] u64 newest_sequence() const;
  [[nodiscard]] u64 covered_sequence() const;
  // Damage there has to be noticed: not so where a power cut may tear a block.
  [[nodiscard]] bool counts(const MetaBlock& block) const;
  // What a power cut may leave of the newest journal block when its other copy got there.
  [[nodiscard]] bool is_torn_copy(const Finding& finding) const;
  // No power cut has left anything half done: one more fault must not keep the set closed.
  [[nodiscard]] bool is_whole() const;
  // The places of all copies of a journal block that is newer than all checkpoints and older than
  // the newest: without them the set has a gap. Empty when there is no such block.
  [[nodiscard]] std::vector<MetaBlock> gap_candidates(u64 choice) const;

 private:
  [[nodiscard]] MetaBytes read(Member member, Sector at) const;
  template <class T>
  [[nodiscard]] bool intact(const MetaBlock& block, T& out) const;
  [[nodiscard]] bool complete_header(Member member, u8 area, format::CheckpointHeader& out) const;

  const std::vector<std::unique_ptr<SimDisk>>& disks_;
  SpareLayout layouts_[kMaxMembers];
  format::Superblock newest_ = {};
  mutable std::optional<u64> newest_sequence_;
};

}  // namespace dmr::sim

// SPDX-License-Identifier: GPL-2.0-or-later
// Reads every intact block of a spare for what it tells about later times.
#include "cli/metadata/shown.h"

#include <algorithm>

#include "cli/metadata/walk.h"

namespace dmr::cli {
namespace {

// An opening rewrites at least two copies of a spare, so two that know the backup's prove that
// there was none since.
constexpr u32 kProof = 2;

class Witness {
 public:
  explicit Witness(const Backup& backup) : backup_(backup) {}

  void superblock(const format::Superblock& now) {
    const format::Superblock& then = backup_.superblock;
    if (now.header.set != then.header.set) return;
    shown_.superblock = std::max(shown_.superblock, u64{now.header.sequence});
    shown_.opening = std::max(shown_.opening, u64{now.open_generation});
    shown_.membership = std::max(shown_.membership, u64{now.membership.generation});
    const bool is_same = now.membership.generation == then.membership.generation &&
                         now.membership.epoch == then.membership.epoch;
    // What neither is the backup's membership nor came before it was made without it.
    if (!is_same && now.membership.generation >= then.membership.generation) {
      other_members_ = true;
    }
    if (is_same && now.open_generation == then.open_generation) ++same_;
  }

  void journal(const MetaView& seen) {
    if (seen.error != 0 || seen.verdict != format::Verdict::ok) {
      quiet_ = false;
      return;
    }
    const auto& block = seen.block->as<format::JournalBlock>();
    shown_.journal = std::max(shown_.journal, u64{block.header.sequence});
    shown_.opening = std::max(shown_.opening, u64{block.open_generation});
    // Formatted anew: what was there before is not known.
    const bool is_late = block.open_generation > backup_.superblock.open_generation;
    if (block.header.sequence == 0 && is_late) quiet_ = false;
  }

  void checkpoint(const MetaView& seen) {
    const bool is_header = seen.kind == format::Kind::checkpoint_header;
    if (!is_header || seen.error != 0 || seen.verdict != format::Verdict::ok) return;
    const auto& header = seen.block->as<format::CheckpointHeader>();
    shown_.journal = std::max(shown_.journal, u64{header.covered_sequence});
    shown_.opening = std::max(shown_.opening, u64{header.open_generation});
  }

  Shown finish() {
    const bool has_gone_on = shown_.journal > backup_.covered_sequence;
    // Each commit since would be in one of the slots: openings alone have changed nothing.
    const bool by_journal = quiet_ && !has_gone_on;
    const bool was_opened = shown_.opening > backup_.superblock.open_generation;
    shown_.newer = other_members_ || has_gone_on || (was_opened && !by_journal);
    shown_.vouches = !shown_.newer && (by_journal || same_ >= kProof);
    return shown_;
  }

 private:
  const Backup& backup_;
  Shown shown_;
  u32 same_ = 0;                // superblock copies that know of no opening since
  bool other_members_ = false;  // the membership went on
  bool quiet_ = true;           // every slot of the journal is intact, and none was made anew since
};

}  // namespace

Shown shown_by(const OfflineDisk& disk, const Survey& found, const Backup& backup, Member member) {
  format::Superblock as_member = backup.superblock;
  as_member.own_member = member;
  Witness witness(backup);
  for (const SuperblockCopy& copy : found.copy) {
    if (copy.good()) witness.superblock(copy.block);
  }
  walk_journal(disk, as_member, [&](const MetaView& seen) { witness.journal(seen); });
  walk_checkpoints(disk, as_member, [&](const MetaView& seen) { witness.checkpoint(seen); });
  return witness.finish();
}

}  // namespace dmr::cli

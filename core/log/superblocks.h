// SPDX-License-Identifier: GPL-2.0-or-later
// The three superblock copies of each spare: reading and judging them all, finding the newest, and
// updating them one copy at a time, so that a crash never leaves less than two of them intact.
#pragma once

#include "core/log/context.h"
#include "core/log/election.h"
#include "core/task/task.h"

namespace dmr {

class Superblocks {
 public:
  enum class CopyState : u8 { unread, good, damaged, stranger, unreadable };
  struct Copy {
    CopyState state = CopyState::unread;
    IoStatus io = IoStatus::ok;
    Sector address;
    u64 sequence = 0;
  };

  explicit Superblocks(StoreContext& context) : context_(context) {}

  void reset();

  // Reads all copies of the devices handed in; the newest becomes the context's superblock.
  // Fails when nothing usable is there, or when two spares do not belong together.
  Task<Status> read(FrameStack& frames, const LoadRequest& request, FindingSink& findings);

  // The spare has a good copy that is of the newest superblock's history.
  [[nodiscard]] bool is_known(Member member) const { return best_[member] != kNone; }
  // Status::ok, or why the spare that was handed in has no usable superblock.
  [[nodiscard]] Status why_unknown(Member member) const;
  // Tells of each copy of this spare that is not as it should be. A device without any trace of a
  // superblock may be a wrong one: that is told only when the set is known and misses this spare.
  void report(Member member, FindingSink& findings, bool is_missed = false) const;

  // Writes the context's superblock under the next sequence to all spares of `targets`.
  Task<Status> update(FrameStack& frames, MemberSet targets);
  // Of the last update: the spares on which two copies or more were written.
  [[nodiscard]] MemberSet recorded() const { return recorded_; }

  // For a new set: overwrites all copies of these spares with zeros.
  Task<Status> wipe(FrameStack& frames, MemberSet targets);

 private:
  static constexpr u8 kNone = Election::kNone;
  static constexpr u32 kCopies = kSuperblockCopies;

  [[nodiscard]] static u32 index_of(Member member, u32 copy) {
    return (member - 1U) * kCopies + copy;
  }
  [[nodiscard]] const format::Superblock& block_of(Member member, u32 copy) const;
  [[nodiscard]] Status judge_copies(const LoadRequest& request, FindingSink& findings);
  // Chooses the newest good copy of the set that most of them name; a copy that the two others
  // outvote was meant for another disk, and counts as damaged.
  void choose(Member member);
  [[nodiscard]] Status judge_kinship(FindingSink& findings);
  [[nodiscard]] Member newest_member() const;
  [[nodiscard]] u8 next_copy(Member member) const;
  u32 prepare_pass(MemberSet targets);
  void note_pass(u32 count);

  StoreContext& context_;
  Copy copy_[kMaxMembers][kCopies];
  u8 best_[kMaxMembers] = {};
  MemberSet recorded_;
  // During an update: what was tried and written of each spare, and whose copy each context holds.
  u8 tried_[kMaxMembers] = {};
  u8 written_[kMaxMembers] = {};
  Member pass_member_[kMaxSpares] = {};
  u8 pass_copy_[kMaxSpares] = {};
};

}  // namespace dmr

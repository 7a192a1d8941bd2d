// SPDX-License-Identifier: GPL-2.0-or-later
// The two checkpoint areas of each spare: reading and checking them, and writing the older one:
// header "being written", body, flush, header "complete".
#pragma once

#include "core/log/journal.h"
#include "core/log/stream.h"

namespace dmr {

class Checkpoints {
 public:
  enum class AreaState : u8 { unread, complete, writing, damaged, unreadable };
  struct Area {
    AreaState state = AreaState::unread;
    bool is_header_good = false;  // "complete", whatever its body turned out to be
    bool is_verified = false;     // ... and so is the body
    IoStatus io = IoStatus::ok;
    u64 sequence = 0;
    ChainPoint covered;
  };
  struct Choice {
    Member member = kMain;
    u8 area = 0;
    [[nodiscard]] bool none() const { return member == kMain; }
  };

  explicit Checkpoints(StoreContext& context) : context_(context) {}

  void reset();

  // Load. Reads the headers of all live spares.
  Task<Status> read_headers(FrameStack& frames, FindingSink& findings);
  // The newest area that is complete, as far as is known, and not verified yet.
  [[nodiscard]] Choice newest_unverified() const;
  // Reads the whole body and gives it to the sink, or only checks it when there is none.
  // When it is not good, Area::state says so afterwards, and another one may be. An area that still
  // is complete after a failure holds what nobody may write: the set is refused.
  Task<Status> read_body(FrameStack& frames, Choice choice, RecordSink* sink,
                         FindingSink& findings);
  [[nodiscard]] const Area& area(Choice choice) const { return area_[choice.member][choice.area]; }
  // The newest checkpoint that was complete once, though its body is not good any more.
  [[nodiscard]] ChainPoint newest_known() const;
  // After verification: this spare has a checkpoint that is the newest of `known`.
  [[nodiscard]] bool shares_newest(Member member, MemberSet known) const;
  // After verification: takes over what the newest and the older checkpoint cover. False when the
  // live spares do not all have both of them.
  bool settle();

  // Writing.

  // Reads of the header of each spare's newest checkpoint, from context `count` on; returns the
  // contexts in use then.
  [[nodiscard]] u32 prepare_newest(MemberSet members, u32 count);
  [[nodiscard]] const Area& newest_of(Member member) const;
  [[nodiscard]] const Area& beside_newest(Member member) const;
  // The next one goes over it. There must be an older one that serves as well.
  void distrust_newest(Member member);
  // Whether a read has given such a header.
  [[nodiscard]] bool is_newest(u32 index) const;
  // What the newest checkpoint covers, and the older one: the journal serves both.
  [[nodiscard]] ChainPoint newest_covered() const { return newest_; }
  [[nodiscard]] ChainPoint older_covered() const { return older_; }

  // Over the older area of each target. Those that failed are not in written(); ok when any is.
  // no_space when the records do not fit; then nothing was written.
  Task<Status> write(FrameStack& frames, RecordSource& source, ChainPoint covered,
                     MemberSet targets);
  [[nodiscard]] MemberSet written() const { return written_; }

 private:
  void note_header(Area& area, const format::CheckpointHeader& header, Member member, u8 index);
  Status check_body(const format::CheckpointBody& body, Choice choice, u64 index,
                    FindingSink& findings);
  Status feed(const format::CheckpointBody& body, Choice choice, RecordSink& sink,
              FindingSink& findings) const;
  void refuse(Choice choice, FindingKind kind, Sector address, FindingSink& findings) const;
  Status condemn(Choice choice, FindingKind kind, IoStatus io, FindingSink& findings);
  Status finish_body(Choice choice, FindingSink& findings);

  [[nodiscard]] u8 older_area(Member member) const;
  [[nodiscard]] u8 newest_area(Member member) const;  // kAreas: none is good
  [[nodiscard]] u64 room() const;
  [[nodiscard]] bool fits(RecordSource& source) const;
  void prepare_headers(u32 state, ChainPoint covered);
  Task<Status> write_headers(FrameStack& frames, u32 state, ChainPoint covered);
  Task<Status> write_body(FrameStack& frames, RecordSource& source);
  Result<u32> fill(RecordSource& source, u32 most);
  u32 prepare_body(u32 blocks, u32 chunks_each);
  Task<Status> flush(FrameStack& frames);
  void drop_failed(u32 count);

  StoreContext& context_;
  Area area_[kMaxMembers][kAreas];
  u64 sequence_ = 0;  // of the newest checkpoint, complete or not
  ChainPoint newest_;
  ChainPoint older_;
  BlockStream stream_;
  // While one is read or written.
  MemberSet written_;
  u32 body_crc_[kMaxMembers] = {};
  u8 target_[kMaxMembers] = {};  // the area that is being written
  u32 flush_lane_[kMaxMembers] = {};
  u64 refused_before_[kMaxMembers] = {};  // flushes, before the first block was written
  u64 records_ = 0;
  u64 body_blocks_ = 0;
  bool is_source_done_ = false;
};

}  // namespace dmr

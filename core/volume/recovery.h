// SPDX-License-Identifier: GPL-2.0-or-later
// What happens to a request that the hot path could not finish: wait for its range, try again,
// and when the disk still refuses, salvage, redirect, and say precisely what is lost.
#pragma once

#include "core/volume/placement.h"

namespace dmr {

// Takes note of a block that was hard to read, so that it is moved soon.
class WeakBlocks {
 public:
  virtual void note_weak(Block block) = 0;

 protected:
  ~WeakBlocks() = default;
};

class Recovery {
 public:
  Recovery(VolumeState& state, Confirmer& confirmer, Committer& committer, WeakBlocks& weak)
      : state_(state), confirmer_(confirmer), committer_(committer), weak_(weak) {}

  // The whole life of one request; answers it, perhaps before the operation has ended.
  Task<Status> serve(FrameStack& frames, WorkItem& item);
  // Answers the request, once. Nothing of it is touched afterwards.
  void answer(WorkItem& item, Status status, Sector bad_sector);

 private:
  struct Span {
    Sector begin;
    u32 sectors = 0;
  };
  struct BlockPart {
    Block block;
    u32 first = 0;  // sector in the block
    u32 sectors = 0;
    Sector begin;  // of the volume
  };

  Task<Status> serve_span(FrameStack& frames, WorkItem& item, Span span);
  Task<Status> pass_through(FrameStack& frames, WorkItem& item, Span span);
  Task<Status> recover_read(FrameStack& frames, WorkItem& item, Span span);
  Task<Status> read_piece(FrameStack& frames, WorkItem& item, Span piece);
  Task<Status> read_block(FrameStack& frames, WorkItem& item, BlockPart part, bool whole_request);
  Task<Status> rescue_block(FrameStack& frames, WorkItem& item, Block block, Home home);
  Task<Status> recover_write(FrameStack& frames, WorkItem& item, Span span);
  Task<Status> write_block(FrameStack& frames, WorkItem& item, BlockPart part);
  Task<Status> write_in_place(FrameStack& frames, WorkItem& item, BlockPart part, Home home,
                              bool heals);
  // After a write, in place of FUA: flushes. `refused` by the member before the write.
  Task<Status> make_durable(FrameStack& frames, WorkItem& item, Member member, u64 refused);
  Task<Status> verify(FrameStack& frames, WorkItem& item, BlockPart part, Home home, u64 refused);
  Task<Status> redirect(FrameStack& frames, WorkItem& item, BlockPart part, Home home,
                        bool refused);
  Task<Status> commit_changes(FrameStack& frames, WorkItem& item);

  void count_answer(IoOp op, Status status);
  [[nodiscard]] BlockPart part_at(Sector at, Sector end) const;
  [[nodiscard]] static Source payload_at(const WorkItem& item, Sector at);
  void tell_device_error(WorkItem& item, Sector at, Member member) const;

  VolumeState& state_;
  Confirmer& confirmer_;
  Committer& committer_;
  WeakBlocks& weak_;
};

}  // namespace dmr

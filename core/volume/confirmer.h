// SPDX-License-Identifier: GPL-2.0-or-later
// Is the place to blame, or the device? Before anything is marked, the same direction must work
// elsewhere on the same device. Probes at spread addresses that all fail open the breaker.
#pragma once

#include "core/volume/state.h"

namespace dmr {

class Confirmer {
 public:
  explicit Confirmer(VolumeState& state) : state_(state) {}

  Status open();
  void close();

  // ok: the device has answered in this direction at or after `since_ns`, so a failure before that
  // was the place's own. io_error: it answers nowhere; mark nothing.
  Task<Status> confirm(FrameStack& frames, Member member, Direction direction, u64 since_ns);
  // Does this spare take writes? With ok comes a block that has just taken one and is the caller's:
  // the next attempt does not fall on another bad block, however many there are.
  Task<Status> find_good_block(FrameStack& frames, Member spare, SpareExtent& good);

 private:
  Task<Status> run_probes(FrameStack& frames, Member member, Direction direction,
                          SpareExtent* good);
  Task<Status> probe_main(FrameStack& frames, Direction direction, u32 attempt);
  Task<Status> probe_spare(FrameStack& frames, Member member, Direction direction, u32 attempt,
                           SpareExtent* good);
  Task<Status> write_free_blocks(FrameStack& frames, Member member, SpareExtent* good);
  // Rewrites a good block of main with its own content, held so that no write is overtaken.
  Task<Status> rewrite_good_block(FrameStack& frames, Block block);
  Task<Status> one_io(FrameStack& frames, IoOp op, IoPlace place);
  [[nodiscard]] IoPlace place_on_main(Block block) const;
  [[nodiscard]] static u64 spread(u64 step);
  [[nodiscard]] bool pick_block(Direction direction, u32 attempt, Block& block);

  static constexpr u32 kBlocks = 4;  // that one probe tries

  VolumeState& state_;
  IoBuffer* buffer_ = nullptr;
  DeviceIo io_;
  ErrorClass error_ = ErrorClass::none;  // that one_io() met last
  LockEntry lock_;
  Signal free_;
  bool busy_ = false;
  u64 turn_ = 0;  // moves the probes over the device
};

}  // namespace dmr

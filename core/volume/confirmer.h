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

 private:
  Task<Status> probe(FrameStack& frames, Member member, Direction direction, u32 attempt);
  // Rewrites a good block of main with its own content, held so that no write is overtaken.
  Task<Status> rewrite_good_block(FrameStack& frames, Block block);
  Task<Status> one_io(FrameStack& frames, IoOp op, IoPlace place);
  [[nodiscard]] bool pick_block(u32 attempt, Block& block);

  VolumeState& state_;
  IoBuffer* buffer_ = nullptr;
  DeviceIo io_;
  LockEntry lock_;
  Signal free_;
  bool busy_ = false;
  u64 turn_ = 0;  // moves the probes over the device
};

}  // namespace dmr

// SPDX-License-Identifier: GPL-2.0-or-later
// Holding a range: requests that come wait, requests that were routed before have finished. After
// co_await hold_blocks(...) the caller alone touches these blocks, until release.
#pragma once

#include "core/volume/state.h"

namespace dmr {

// Awaits an I/O epoch drain of the given hashes.
struct DrainAwait {
  VolumeState& state;
  u32 hashes;
  Drain drain{};
  Ready node{};

  [[nodiscard]] bool await_ready() const noexcept { return hashes == 0; }
  void await_suspend(std::coroutine_handle<> handle) noexcept {
    node.set_resume(handle);
    drain.hashes = hashes;
    drain.context = this;
    drain.done = [](Drain& done) {
      auto* self = static_cast<DrainAwait*>(done.context);
      self->state.executor.post(self->node);
    };
    state.epochs.begin_drain(state.host, drain);
  }
  void await_resume() const noexcept {}
};

// Publishes a hold (waiting for a free row of the hold table); the drain is the caller's next step,
// so that several holds can share one.
Task<Result<HoldId>> place_hold(FrameStack& frames, VolumeState& state, Block begin, u32 blocks);
// Both steps, for a single range.
Task<Result<HoldId>> hold_blocks(FrameStack& frames, VolumeState& state, Block begin, u32 blocks);
void release_hold(VolumeState& state, HoldId hold);

}  // namespace dmr

// SPDX-License-Identifier: GPL-2.0-or-later
// Holding a range and draining what was routed to it.
#include "core/volume/drainer.h"

#include "core/base/bugs.h"

namespace dmr {

Task<Result<HoldId>> place_hold(FrameStack&, VolumeState& state, Block begin, u32 blocks) {
  // Rows come free as operations end, and each operation ends; so does this wait.
  for (;;) {
    const Result<HoldId> hold = state.index.hold(begin, blocks);
    if (hold.has_value() || hold.status() != Status::again) co_return hold;
    co_await state.hold_released.wait();
  }
}

Task<Result<HoldId>> hold_blocks(FrameStack& frames, VolumeState& state, Block begin, u32 blocks) {
  if (DMR_BUG(hold_too_late)) co_await DrainAwait{state, Epochs::hashes_of(begin, blocks)};
  const Result<HoldId> hold = co_await place_hold(frames, state, begin, blocks);
  if (!hold.has_value() || DMR_BUG(skip_drain) || DMR_BUG(hold_too_late)) co_return hold;
  co_await DrainAwait{state, Epochs::hashes_of(begin, blocks)};
  co_return hold;
}

void release_hold(VolumeState& state, HoldId hold) {
  state.index.release(hold);
  state.hold_released.wake_all(state.executor);
}

}  // namespace dmr

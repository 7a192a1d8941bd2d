// SPDX-License-Identifier: GPL-2.0-or-later
// Giving data a new home on a spare: allocate, write, and note spare blocks that refuse.
#pragma once

#include "core/volume/committer.h"
#include "core/volume/confirmer.h"
#include "core/volume/salvage.h"

namespace dmr {

// Where the bytes of a write come from: a buffer of the engine, or a caller's payload (null:
// zeros).
struct Source {
  std::byte* buffer = nullptr;
  Payload* payload = nullptr;
  u64 payload_offset = 0;
};

// Writes sectors [first, first + sectors) of a block to a free spare block and returns it; it is
// neither flushed nor committed. no_space: none is free. io_error: the spares refuse.
// A spare block that refused stays out of use until the next open, unless its badness is recorded.
Task<Result<SpareExtent>> place_on_spare(FrameStack& frames, VolumeState& state,
                                         Confirmer& confirmer, Tools& tools, Changes& changes,
                                         Source source, u32 first, u32 sectors);

// Gives `block` a new home with what tools.buffer holds of it; `lost` are the sectors that it does
// not hold. `refused`: the old home is a spare block that must not be used again.
Task<Status> move_block(FrameStack& frames, VolumeState& state, Confirmer& confirmer, Tools& tools,
                        Changes& changes, Block block, Home old, LostMask lost, bool refused);

}  // namespace dmr

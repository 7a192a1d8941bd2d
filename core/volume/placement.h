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
// A spare block that refused stays out of use until the next open, unless its badness is recorded,
// or the device was full: that is no fault of the block.
Task<Result<SpareExtent>> place_on_spare(FrameStack& frames, VolumeState& state,
                                         Confirmer& confirmer, Tools& tools, Changes& changes,
                                         Source source, u32 first, u32 sectors);

// What becomes of blocks that were allocated together and refused their data. They are free again
// when the device was full (no_space), or when it writes elsewhere (io_error): one of them is bad,
// and each will show for itself. Else nobody gets them before the next open.
Task<Status> give_up_extent(FrameStack& frames, VolumeState& state, Confirmer& confirmer,
                            SpareExtent extent, ErrorClass error, IoStatus status);

// Records that these sectors of a block are lost where it lives, when no spare block can be had for
// the others: those stay readable at their home.
void lose_in_place(const VolumeState& state, Changes& changes, Block block, Home home,
                   LostMask lost);

// Gives `block` a new home with what tools.buffer holds of it; `lost` are the sectors that it does
// not hold. `refused`: the old home is a spare block that must not be used again.
Task<Status> move_block(FrameStack& frames, VolumeState& state, Confirmer& confirmer, Tools& tools,
                        Changes& changes, Block block, Home old, LostMask lost, bool refused);

}  // namespace dmr

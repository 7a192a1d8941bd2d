// SPDX-License-Identifier: GPL-2.0-or-later
// Reading what can be read of one block, down to the logical block of the disk, and saying exactly
// what cannot.
#pragma once

#include "core/volume/confirmer.h"
#include "core/volume/state.h"

namespace dmr {

// Reads the sectors `wanted` of `block` into tools.buffer, each at its own place in the block.
// ok: tools.unreadable names those which the medium no longer gives (their bytes are undefined),
//     confirmed by the device's answering elsewhere; tools.retried that the medium needed a later
//     try.
// io_error: the device as a whole fails; nothing may be concluded about the block.
// The range is locked by the caller, and held when the caller goes on to change the home.
Task<Status> salvage(FrameStack& frames, VolumeState& state, Confirmer& confirmer, Tools& tools,
                     Block block, Home home, LostMask wanted);

// The first run of set bits in `mask` at or after `from`, below `limit`; count 0 when there is
// none.
struct SectorSpan {
  u32 first = 0;
  u32 count = 0;
};
[[nodiscard]] SectorSpan next_span(const LostMask& mask, u32 from, u32 limit);

[[nodiscard]] constexpr LostMask operator|(LostMask a, LostMask b) {
  return {a.low | b.low, a.high | b.high};
}
[[nodiscard]] constexpr LostMask operator&(LostMask a, LostMask b) {
  return {a.low & b.low, a.high & b.high};
}
[[nodiscard]] constexpr LostMask without(LostMask a, LostMask b) {
  return {a.low & ~b.low, a.high & ~b.high};
}
// Bits [first, first + count).
[[nodiscard]] constexpr LostMask bits_of(u32 first, u32 count) {
  return first == 0 ? LostMask::all(count)
                    : without(LostMask::all(first + count), LostMask::all(first));
}
// A home with these lost sectors, in the normal form of the map.
[[nodiscard]] Home with_lost(const VolumeState& state, Home home, Block block, LostMask lost);

}  // namespace dmr

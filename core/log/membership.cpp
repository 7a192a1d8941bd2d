// SPDX-License-Identifier: GPL-2.0-or-later
// Generations, epochs and their history.
#include "core/log/membership.h"

#include "core/base/assert.h"
#include "core/base/bugs.h"

namespace dmr {

bool membership_descends_from(const format::Superblock& block,
                              const format::MembershipPoint& point) {
  DMR_ASSERT(point.generation != 0);
  if (DMR_BUG(divergence_ignored)) return true;
  if (point.generation == block.membership.generation) {
    return point.epoch == block.membership.epoch;
  }
  for (const format::MembershipPoint& before : block.history) {
    if (before.generation == point.generation) return before.epoch == point.epoch;
  }
  return false;  // newer, or so old that nobody can tell any more
}

void draw_uuid(Host& host, Uuid& uuid) {
  host.random(std::as_writable_bytes(std::span<u8>(uuid.bytes)));
  uuid.bytes[6] = static_cast<u8>((uuid.bytes[6] & 0x0FU) | 0x40U);  // version 4: random
  uuid.bytes[8] = static_cast<u8>((uuid.bytes[8] & 0x3FU) | 0x80U);
}

void begin_membership(format::Superblock& block, u64 epoch) {
  DMR_ASSERT(block.membership.generation != 0);
  for (u32 i = format::kMembershipHistory - 1; i > 0; --i) block.history[i] = block.history[i - 1];
  block.history[0] = block.membership;
  ++block.membership.generation;
  block.membership.epoch = epoch;
}

}  // namespace dmr

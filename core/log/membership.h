// SPDX-License-Identifier: GPL-2.0-or-later
// The membership of a set: a generation and a random epoch for each change, and what came before.
// Two superblocks are of one history, or the set was changed in two places apart from each other.
#pragma once

#include "core/format/format.h"
#include "core/host/host.h"

namespace dmr {

// True when `point` is what the superblock says now, or is in its history.
[[nodiscard]] bool membership_descends_from(const format::Superblock& block,
                                            const format::MembershipPoint& point);

// A random UUID, for a set or a member.
void draw_uuid(Host& host, Uuid& uuid);

// Begins the next generation with this epoch: the present point becomes the newest of the history.
void begin_membership(format::Superblock& block, u64 epoch);

}  // namespace dmr

// SPDX-License-Identifier: GPL-2.0-or-later
// Replies of the transmission phase: headers are built here, data follows from where it lies.
#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "core/base/types.h"
#include "exports/nbd/protocol.h"

namespace dmr::nbd {

// A header of a reply or chunk, with all that precedes the data (or an error's message).
struct ReplyHead {
  std::array<std::byte, 96> bytes;
  u32 size = 0;

  [[nodiscard]] std::span<const std::byte> span() const { return std::span(bytes).first(size); }
};

// The only reply without structured replies; with them the answer to all but reads.
void simple_reply(ReplyHead& head, u64 cookie, WireError error);
// `length` bytes of data from `offset` of the volume follow.
void data_chunk(ReplyHead& head, u64 cookie, u64 offset, u32 length, bool last);
// Ends a reply to which nothing is to be added.
void end_chunk(ReplyHead& head, u64 cookie);
// An error of the whole request, with words for a human.
void error_chunk(ReplyHead& head, u64 cookie, WireError error);
// An error at one place of the volume.
void error_offset_chunk(ReplyHead& head, u64 cookie, WireError error, u64 offset, bool last);

// The protocol's word for an errno of the queue.
[[nodiscard]] WireError wire_error(int error);

}  // namespace dmr::nbd

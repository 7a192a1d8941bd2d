// SPDX-License-Identifier: GPL-2.0-or-later
// The gather list of the next writev().
#include "exports/nbd/outbox.h"

#include <algorithm>

#include "core/base/assert.h"

namespace dmr::nbd {

Outgoing& Outbox::add() {
  DMR_ASSERT(end_ - begin_ < kCapacity);
  Outgoing& reply = at(end_++);
  reply.head.size = 0;
  reply.piece = nullptr;
  reply.slot = nullptr;
  return reply;
}

std::span<iovec> Outbox::parts() {
  std::size_t count = 0;
  std::size_t skip = done_;
  auto add_part = [&](std::byte* data, std::size_t bytes) {
    const std::size_t skipped = std::min(skip, bytes);
    skip -= skipped;
    if (bytes > skipped) parts_[count++] = {data + skipped, bytes - skipped};
  };
  for (u32 i = begin_; i != end_ && count + 2 <= parts_.size(); ++i) {
    Outgoing& reply = at(i);
    add_part(reply.head.bytes.data(), reply.head.size);
    if (reply.piece != nullptr) add_part(reply.piece->data, reply.piece->bytes);
  }
  return std::span(parts_).first(count);
}

}  // namespace dmr::nbd

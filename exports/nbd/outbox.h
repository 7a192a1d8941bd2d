// SPDX-License-Identifier: GPL-2.0-or-later
// Replies that wait to be sent, in order: headers, and pieces of data that are freed once sent.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <memory>
#include <span>

#include "core/base/types.h"
#include "exports/nbd/limits.h"
#include "exports/nbd/pieces.h"
#include "exports/nbd/reply.h"

namespace dmr::nbd {

struct Outgoing {
  ReplyHead head;          // may be empty
  Piece* piece = nullptr;  // data behind it, or null
  Slot* slot = nullptr;    // the request that this ends, or null
};

class Outbox {
 public:
  // Each piece is in at most one reply, and each request ends once.
  static constexpr u32 kCapacity = 1024;
  static_assert(kCapacity >= kSmallPieces + kMediumPieces + kLargePieces + kMaxRequests);

  // A new reply at the end; the caller fills it in before anything else is called.
  [[nodiscard]] Outgoing& add();
  [[nodiscard]] bool empty() const { return begin_ == end_; }
  // What to send next. Valid until anything else is called.
  [[nodiscard]] std::span<iovec> parts();
  // `bytes` of parts() have been sent; `finished` is called for each reply that is complete.
  template <class Finished>
  void sent(std::size_t bytes, Finished finished);
  // Gives up all replies.
  template <class Finished>
  void discard(Finished finished);

 private:
  [[nodiscard]] Outgoing& at(u32 index) { return (*ring_)[index % kCapacity]; }
  [[nodiscard]] static std::size_t size(const Outgoing& reply) {
    return reply.head.size + (reply.piece != nullptr ? reply.piece->bytes : std::size_t{0});
  }

  using Ring = std::array<Outgoing, kCapacity>;
  std::unique_ptr<Ring> ring_ = std::make_unique<Ring>();
  u32 begin_ = 0;
  u32 end_ = 0;
  std::size_t done_ = 0;  // bytes of the first reply that have been sent
  std::array<iovec, kMaxSendParts> parts_{};
};

template <class Finished>
void Outbox::sent(std::size_t bytes, Finished finished) {
  done_ += bytes;
  while (begin_ != end_ && done_ >= size(at(begin_))) {
    done_ -= size(at(begin_));
    finished(at(begin_));
    ++begin_;
  }
  DMR_ASSERT(begin_ != end_ || done_ == 0);
  if (begin_ == end_) begin_ = end_ = 0;  // the same few lines of cache serve a light load
}

template <class Finished>
void Outbox::discard(Finished finished) {
  for (; begin_ != end_; ++begin_) finished(at(begin_));
  begin_ = end_ = 0;
  done_ = 0;
}

}  // namespace dmr::nbd

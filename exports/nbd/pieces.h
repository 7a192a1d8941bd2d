// SPDX-License-Identifier: GPL-2.0-or-later
// The data memory of one connection: aligned pieces of three sizes in one mapping of fixed size,
// each with the queue request that moves it. Pages exist only once they have been used.
#pragma once

#include <sys/uio.h>

#include <array>
#include <memory>
#include <span>
#include <vector>

#include "core/base/types.h"
#include "exports/nbd/limits.h"
#include "runtime/queue/queue.h"

namespace dmr::nbd {

struct Slot;

struct Piece {
  runtime::QueueRequest request;
  std::byte* data = nullptr;
  u32 capacity = 0;
  u32 bytes = 0;          // in use
  Piece* next = nullptr;  // in its request, or in the list of free ones
  Slot* slot = nullptr;
};

class PiecePool {
 public:
  // Nothing when there is no address space left.
  [[nodiscard]] static std::unique_ptr<PiecePool> make();
  ~PiecePool();
  PiecePool(const PiecePool&) = delete;
  PiecePool& operator=(const PiecePool&) = delete;

  // A chain of pieces that hold `bytes` (1 to kMaxPayloadBytes) in order, each but the last one
  // full; null when too few are free.
  [[nodiscard]] Piece* take(u32 bytes);
  void give(Piece& piece);
  [[nodiscard]] u32 in_use() const { return in_use_; }

  // The pieces of small requests, which gain most when the kernel knows their memory beforehand.
  [[nodiscard]] std::span<std::byte> small_memory() const {
    return {memory_, std::size_t{kSmallPieces} * kSmallPieceBytes};
  }
  // kLargePieceBytes of zeros that nobody writes to.
  [[nodiscard]] std::byte* zeroes() const { return memory_ + kPoolBytes; }

 private:
  struct Class {
    u32 piece_bytes = 0;
    u32 free_count = 0;
    Piece* free = nullptr;  // the last given is taken first: it is still in the cache
  };

  explicit PiecePool(std::byte* memory);
  void add_class(Class& added, u32 piece_bytes, u32 count, std::byte*& at);
  [[nodiscard]] Piece* pop(Class& from);

  std::byte* memory_;
  std::vector<Piece> pieces_;
  std::array<Class, 3> classes_;
  u32 in_use_ = 0;
};

}  // namespace dmr::nbd

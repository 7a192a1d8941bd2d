// SPDX-License-Identifier: GPL-2.0-or-later
// Free lists over one lazily populated mapping.
#include "exports/nbd/pieces.h"

#include <sys/mman.h>

#include <algorithm>

#include "core/base/assert.h"

namespace dmr::nbd {

namespace {

constexpr std::size_t kMappingBytes = kPoolBytes + kLargePieceBytes;

}  // namespace

std::unique_ptr<PiecePool> PiecePool::make() {
  void* memory = mmap(nullptr, kMappingBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  return std::unique_ptr<PiecePool>(new PiecePool(static_cast<std::byte*>(memory)));
}

PiecePool::PiecePool(std::byte* memory) : memory_(memory) {
  pieces_.reserve(kSmallPieces + kMediumPieces + kLargePieces);
  std::byte* at = memory_;
  add_class(classes_[0], kSmallPieceBytes, kSmallPieces, at);
  add_class(classes_[1], kMediumPieceBytes, kMediumPieces, at);
  add_class(classes_[2], kLargePieceBytes, kLargePieces, at);
  DMR_ASSERT(at == memory_ + kPoolBytes);
}

PiecePool::~PiecePool() {
  DMR_ASSERT(in_use_ == 0);
  munmap(memory_, kMappingBytes);
}

void PiecePool::add_class(Class& added, u32 piece_bytes, u32 count, std::byte*& at) {
  added.piece_bytes = piece_bytes;
  added.free_count = count;
  const std::size_t first = pieces_.size();
  for (u32 i = 0; i < count; ++i) {
    Piece& piece = pieces_.emplace_back();
    piece.data = at;
    piece.capacity = piece_bytes;
    at += piece_bytes;
  }
  // The lowest address is taken first.
  for (u32 i = count; i > 0; --i) {
    Piece& piece = pieces_[first + i - 1];
    piece.next = added.free;
    added.free = &piece;
  }
}

Piece* PiecePool::pop(Class& from) {
  Piece* piece = from.free;
  DMR_ASSERT(piece != nullptr && from.free_count > 0);
  from.free = piece->next;
  --from.free_count;
  ++in_use_;
  piece->next = nullptr;
  return piece;
}

Piece* PiecePool::take(u32 bytes) {
  DMR_ASSERT(bytes > 0 && bytes <= kMaxPayloadBytes);
  for (Class& size_class : classes_) {
    if (bytes > size_class.piece_bytes || size_class.free == nullptr) continue;
    Piece* piece = pop(size_class);
    piece->bytes = bytes;
    return piece;
  }
  Class& large = classes_.back();
  const u32 count = (bytes + kLargePieceBytes - 1) / kLargePieceBytes;
  if (large.free_count < count) return nullptr;
  Piece* first = nullptr;
  Piece** link = &first;
  for (u32 left = bytes; left > 0;) {
    Piece* piece = pop(large);
    piece->bytes = std::min(left, piece->capacity);
    left -= piece->bytes;
    *link = piece;
    link = &piece->next;
  }
  return first;
}

void PiecePool::give(Piece& piece) {
  auto of_size = [&](const Class& one) { return one.piece_bytes == piece.capacity; };
  Class& home = *std::ranges::find_if(classes_, of_size);
  DMR_ASSERT(in_use_ > 0);
  --in_use_;
  piece.slot = nullptr;
  piece.next = home.free;
  home.free = &piece;
  ++home.free_count;
}

}  // namespace dmr::nbd

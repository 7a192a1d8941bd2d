// SPDX-License-Identifier: GPL-2.0-or-later
// Memory for the engine's index: pages of 16 KiB out of chunks of 2 MiB that the kernel may back
// with one huge page each. A lookup in a large map misses the TLB at every step otherwise.
// One thread.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <map>

#include "core/index/arena.h"

namespace dmr::runtime {

class IndexPages {
 public:
  static constexpr std::size_t kChunkBytes = std::size_t{2} << 20U;
  static constexpr std::size_t kChunkPages = kChunkBytes / kIndexPageBytes;

  IndexPages() = default;
  IndexPages(const IndexPages&) = delete;
  IndexPages& operator=(const IndexPages&) = delete;
  ~IndexPages();

  // A zeroed page of kIndexPageBytes, aligned to its size; null when there is no memory.
  [[nodiscard]] void* take();
  // False, and nothing happens, when the memory was not taken here.
  [[nodiscard]] bool give_back(void* page);
  [[nodiscard]] std::size_t chunks() const { return chunks_.size(); }

 private:
  using Taken = std::bitset<kChunkPages>;
  using Chunks = std::map<std::uintptr_t, Taken>;  // by address

  [[nodiscard]] static void* map_chunk();
  [[nodiscard]] Chunks::iterator chunk_with_room();

  Chunks chunks_;
  std::uintptr_t last_ = 0;  // the chunk that gave the last page
};

}  // namespace dmr::runtime

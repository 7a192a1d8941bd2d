// SPDX-License-Identifier: GPL-2.0-or-later
// Chunks of the index's memory.
#include "runtime/volume/index_pages.h"

#include <sys/mman.h>

#include <cstring>

#include "core/base/assert.h"

namespace dmr::runtime {

IndexPages::~IndexPages() {
  for (const auto& [address, taken] : chunks_) {
    ::munmap(reinterpret_cast<void*>(address), kChunkBytes);
  }
}

// Twice the size is reserved, so that an aligned chunk lies inside; the rest goes back. Memory
// comes with the last step only: a process that locks its memory gets it there, after the advice.
void* IndexPages::map_chunk() {
  void* room = ::mmap(nullptr, 2 * kChunkBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (room == MAP_FAILED) return nullptr;
  const auto begin = reinterpret_cast<std::uintptr_t>(room);
  const std::uintptr_t chunk = (begin + kChunkBytes - 1) / kChunkBytes * kChunkBytes;
  if (chunk > begin) ::munmap(room, chunk - begin);
  const std::uintptr_t behind = chunk + kChunkBytes;
  const std::uintptr_t end = begin + 2 * kChunkBytes;
  if (end > behind) ::munmap(reinterpret_cast<void*>(behind), end - behind);
  void* memory = reinterpret_cast<void*>(chunk);
  (void)::madvise(memory, kChunkBytes, MADV_HUGEPAGE);  // small pages do, too
  if (::mprotect(memory, kChunkBytes, PROT_READ | PROT_WRITE) == 0) return memory;
  ::munmap(memory, kChunkBytes);
  return nullptr;
}

IndexPages::Chunks::iterator IndexPages::chunk_with_room() {
  if (const auto last = chunks_.find(last_); last != chunks_.end() && !last->second.all()) {
    return last;
  }
  for (auto at = chunks_.begin(); at != chunks_.end(); ++at) {
    if (!at->second.all()) return at;
  }
  void* memory = map_chunk();
  if (memory == nullptr) return chunks_.end();
  return chunks_.emplace(reinterpret_cast<std::uintptr_t>(memory), Taken{}).first;
}

void* IndexPages::take() {
  const auto chunk = chunk_with_room();
  if (chunk == chunks_.end()) return nullptr;
  last_ = chunk->first;
  std::size_t page = 0;
  while (chunk->second.test(page)) ++page;
  chunk->second.set(page);
  void* memory = reinterpret_cast<void*>(chunk->first + page * kIndexPageBytes);
  std::memset(memory, 0, kIndexPageBytes);
  return memory;
}

bool IndexPages::give_back(void* page) {
  const auto address = reinterpret_cast<std::uintptr_t>(page);
  const auto chunk = chunks_.find(address / kChunkBytes * kChunkBytes);
  if (chunk == chunks_.end()) return false;
  const std::size_t index = (address - chunk->first) / kIndexPageBytes;
  DMR_ASSERT(address % kIndexPageBytes == 0 && chunk->second.test(index));
  chunk->second.reset(index);
  if (chunk->second.none()) {
    ::munmap(reinterpret_cast<void*>(chunk->first), kChunkBytes);
    chunks_.erase(chunk);
  }
  return true;
}

}  // namespace dmr::runtime

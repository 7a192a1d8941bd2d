// SPDX-License-Identifier: GPL-2.0-or-later
// One mapping for all pieces, one behind the other, and what AddressSanitizer is told of it.
#include "sim/memory.h"

#if defined(__SANITIZE_ADDRESS__)
#define DMR_SIM_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define DMR_SIM_ASAN 1
#endif
#endif
#ifdef DMR_SIM_ASAN
#include <sanitizer/asan_interface.h>
#endif

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <unistd.h>

#include "core/base/assert.h"

namespace dmr::sim {

void poison_memory([[maybe_unused]] const void* memory, [[maybe_unused]] std::size_t bytes) {
#ifdef DMR_SIM_ASAN
  ASAN_POISON_MEMORY_REGION(memory, bytes);
#endif
}

void unpoison_memory([[maybe_unused]] const void* memory, [[maybe_unused]] std::size_t bytes) {
#ifdef DMR_SIM_ASAN
  ASAN_UNPOISON_MEMORY_REGION(memory, bytes);
#endif
}

SimMemory::SimMemory() {
  void* const region = mmap(nullptr, kRegionBytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  DMR_ASSERT(region != MAP_FAILED);
  region_ = static_cast<std::byte*>(region);
  // Of a huge page most would be zeroed for nothing.
  (void)madvise(region_, kRegionBytes, MADV_NOHUGEPAGE);
  poison_memory(region_, kGapBytes);
}

SimMemory::~SimMemory() {
  unpoison_memory(region_, highest_);
  (void)munmap(region_, kRegionBytes);
}

void* SimMemory::allocate(std::size_t bytes, std::size_t alignment) {
  const std::uintptr_t base = reinterpret_cast<std::uintptr_t>(region_);
  const std::size_t begin = (base + used_ + alignment - 1) / alignment * alignment - base;
  DMR_ASSERT(bytes > 0 && bytes <= kRegionBytes - kGapBytes &&
             begin <= kRegionBytes - kGapBytes - bytes);
  std::byte* const memory = region_ + begin;
  poison_memory(region_ + used_, begin - used_);
  unpoison_memory(memory, bytes);
  poison_memory(memory + bytes, kGapBytes);
  used_ = begin + bytes + kGapBytes;
  highest_ = std::max(highest_, used_);
  pieces_[memory] = bytes;
  return memory;
}

void SimMemory::release(void* memory, std::size_t bytes) {
  const auto at = pieces_.find(memory);
  DMR_ASSERT(at != pieces_.end() && at->second == bytes);
  pieces_.erase(at);
  poison_memory(memory, bytes);
  if (pieces_.empty()) empty();
}

void SimMemory::release_all() {
  pieces_.clear();
  empty();
}

// What was touched is zero again at its next use, and nobody's until then.
void SimMemory::empty() {
  const auto page = static_cast<std::size_t>(getpagesize());
  const std::size_t first = begin_ / page * page;
  const int failed = madvise(region_ + first, used_ - first, MADV_DONTNEED);
  DMR_ASSERT(failed == 0);
  poison_memory(region_ + begin_, used_ - begin_);
  if (used_ > kLastBegin) used_ = kGapBytes;
  begin_ = used_;
}

}  // namespace dmr::sim

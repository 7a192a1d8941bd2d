// SPDX-License-Identifier: GPL-2.0-or-later
// The engine's memory in the simulator. Each of millions of lives asks for megabytes of zeroes and
// touches little of them: one mapping that the system fills with zeroes where it is touched costs a
// third of what clearing them costs. The next life gets other addresses, and so on until the region
// has gone round: AddressSanitizer sees each use of what was released in the lives before, too.
#pragma once

#include <cstddef>
#include <unordered_map>

namespace dmr::sim {

// For AddressSanitizer; without it they do nothing.
void poison_memory(const void* memory, std::size_t bytes);
void unpoison_memory(const void* memory, std::size_t bytes);

// One thread.
class SimMemory {
 public:
  SimMemory();
  ~SimMemory();
  SimMemory(const SimMemory&) = delete;
  SimMemory& operator=(const SimMemory&) = delete;

  // Zeroed; `alignment` is a power of two. Ends the process when kRegionBytes are used up.
  [[nodiscard]] void* allocate(std::size_t bytes, std::size_t alignment);
  // Exactly what allocate() gave.
  void release(void* memory, std::size_t bytes);
  void release_all();
  [[nodiscard]] std::size_t pieces() const { return pieces_.size(); }

 private:
  static constexpr std::size_t kRegionBytes = std::size_t{1} << 30;  // of addresses, not of memory
  // Poisoned, behind each piece: a sector too far does not reach the next one.
  static constexpr std::size_t kGapBytes = 4096;
  // Half of the region is enough for a life, so that one begins in the first half.
  static constexpr std::size_t kLastBegin = kRegionBytes / 2;

  void empty();

  std::byte* region_;
  std::size_t begin_ = kGapBytes;  // of what this life has
  std::size_t used_ = kGapBytes;
  std::size_t highest_ = kGapBytes;
  std::unordered_map<void*, std::size_t> pieces_;
};

}  // namespace dmr::sim

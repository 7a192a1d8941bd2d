// SPDX-License-Identifier: GPL-2.0-or-later
// The engine's memory in the simulator. Each of millions of lives asks for megabytes of zeroes and
// touches little of them: one mapping that the system fills with zeroes where it is touched costs a
// third of what clearing them costs. Nothing is used twice before all of it has been given back, so
// AddressSanitizer sees each use of what was released, too.
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
  static constexpr std::size_t kGapBytes = 256;  // poisoned, between any two pieces

  void empty();

  std::byte* region_;
  std::size_t used_ = kGapBytes;
  std::unordered_map<void*, std::size_t> pieces_;
};

}  // namespace dmr::sim

// SPDX-License-Identifier: GPL-2.0-or-later
// The memory of simulated lives: zero at each use, and watched by AddressSanitizer.
#include "sim/memory.h"

#include <algorithm>
#include <cstdint>
#include <span>

#ifdef DMR_SANITIZER_address
#include <sanitizer/asan_interface.h>
#endif

#include <gtest/gtest.h>

namespace dmr::sim {
namespace {

bool all_zero(const std::byte* memory, std::size_t bytes) {
  return std::ranges::all_of(std::span(memory, bytes),
                             [](std::byte b) { return b == std::byte{}; });
}

TEST(SimMemory, IsZeroedAndAlignedAtEachUse) {
  SimMemory memory;
  for (int round = 0; round < 2; ++round) {
    for (const std::size_t alignment : {8u, 64u, 16384u}) {
      for (const std::size_t bytes : {1u, 64u, 100'000u}) {
        auto* const piece = static_cast<std::byte*>(memory.allocate(bytes, alignment));
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(piece) % alignment, 0u);
        EXPECT_TRUE(all_zero(piece, bytes));
        std::fill_n(piece, bytes, std::byte{0xFF});
      }
    }
    memory.release_all();
  }
}

TEST(SimMemory, WhatIsReleasedPieceByPieceIsZeroAtItsNextUse) {
  SimMemory memory;
  auto* const first = static_cast<std::byte*>(memory.allocate(5000, 8));
  auto* const second = static_cast<std::byte*>(memory.allocate(5000, 8));
  std::fill_n(first, 5000, std::byte{0xFF});
  std::fill_n(second, 5000, std::byte{0xFF});
  EXPECT_EQ(memory.pieces(), 2u);
  memory.release(first, 5000);
  memory.release(second, 5000);
  EXPECT_EQ(memory.pieces(), 0u);
  EXPECT_TRUE(all_zero(static_cast<std::byte*>(memory.allocate(10'000, 8)), 10'000));
}

TEST(SimMemoryDeathTest, ReleasingWhatWasNotGivenEndsTheProcess) {
  SimMemory memory;
  void* const piece = memory.allocate(64, 8);
  EXPECT_DEATH(memory.release(piece, 63), "");
}

#ifdef DMR_SANITIZER_address
bool is_poisoned(const std::byte* at) { return __asan_address_is_poisoned(at) != 0; }

TEST(SimMemory, AddressSanitizerSeesUseAfterReleaseAndBeyondTheEnds) {
  SimMemory memory;
  auto* const gone = static_cast<std::byte*>(memory.allocate(64, 8));
  auto* const kept = static_cast<std::byte*>(memory.allocate(64, 8));
  EXPECT_FALSE(is_poisoned(gone));
  memory.release(gone, 64);
  EXPECT_TRUE(is_poisoned(gone));
  for (const int outside : {-1, 64, 64 + 512}) EXPECT_TRUE(is_poisoned(kept + outside));
  for (const int inside : {0, 63}) EXPECT_FALSE(is_poisoned(kept + inside));
}

TEST(SimMemory, AddressSanitizerSeesUseOfWhatAnEarlierLifeHad) {
  SimMemory memory;
  constexpr std::size_t kBytes = 1 << 28;
  for (int life = 0; life < 5; ++life) {
    auto* const last = static_cast<std::byte*>(memory.allocate(kBytes, 4096));
    EXPECT_FALSE(is_poisoned(last));
    EXPECT_FALSE(is_poisoned(last + kBytes - 1));
    memory.release(last, kBytes);
    EXPECT_TRUE(is_poisoned(last));
    auto* const next = static_cast<std::byte*>(memory.allocate(64, 8));
    EXPECT_TRUE(is_poisoned(last + 64));
    EXPECT_FALSE(is_poisoned(next));
    memory.release_all();
    EXPECT_TRUE(is_poisoned(next));
  }
}
#endif

}  // namespace
}  // namespace dmr::sim

// SPDX-License-Identifier: GPL-2.0-or-later
// The CPU's CRC32C gives what the tables give, whatever the length and the alignment.
#include "support/machine_crc32c.h"

#include <vector>

#include <gtest/gtest.h>

namespace dmr::runtime {
namespace {

TEST(MachineCrc32c, GivesWhatTheTablesGive) {
  const Crc32cFunction function = crc32c_of_this_machine();
  std::vector<std::byte> bytes(4096 + 16);
  u32 state = 1;
  for (std::byte& b : bytes) {
    state = state * 1664525U + 1013904223U;
    b = static_cast<std::byte>(state >> 24U);
  }
  for (std::size_t offset = 0; offset < 9; ++offset) {
    for (std::size_t count : {0U, 1U, 7U, 8U, 9U, 63U, 64U, 511U, 4091U, 4096U}) {
      const std::span<const std::byte> part = std::span(bytes).subspan(offset, count);
      use_crc32c(nullptr);
      const u32 expected = crc32c(0x444D5201U, part);
      use_crc32c(function);
      EXPECT_EQ(crc32c(0x444D5201U, part), expected) << offset << "+" << count;
      use_crc32c(nullptr);
    }
  }
}

}  // namespace
}  // namespace dmr::runtime

// SPDX-License-Identifier: GPL-2.0-or-later
// Bit counting against the standard library's.
#include "core/base/bits.h"

#include <bit>
#include <random>

#include <gtest/gtest.h>

namespace dmr {
namespace {

TEST(Bits, CountLikeTheStandardLibrary) {
  EXPECT_EQ(bit_count(0), 0U);
  EXPECT_EQ(bit_count(~u64{0}), 64U);
  std::mt19937_64 random(3);
  for (int i = 0; i < 10000; ++i) {
    const u64 value = random() >> (random() % 64);
    ASSERT_EQ(bit_count(value), static_cast<u32>(std::popcount(value))) << value;
    ASSERT_EQ(is_power_of_two(value), std::has_single_bit(value)) << value;
  }
}

TEST(Bits, PowersOfTwoAreThoseWithOneBit) {
  EXPECT_FALSE(is_power_of_two(0));
  for (u32 shift = 0; shift < 64; ++shift) {
    EXPECT_TRUE(is_power_of_two(u64{1} << shift));
    EXPECT_EQ(bit_count(u64{1} << shift), 1U);
  }
  EXPECT_FALSE(is_power_of_two(3));
  EXPECT_FALSE(is_power_of_two(~u64{0}));
}

}  // namespace
}  // namespace dmr

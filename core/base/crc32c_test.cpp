// SPDX-License-Identifier: GPL-2.0-or-later
// CRC32C against the vectors of RFC 3720 and against a bit-by-bit reference.
#include "core/base/crc32c.h"

#include <array>
#include <random>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace dmr {
namespace {

u32 crc_of(std::string_view text) {
  return crc32c(0, std::as_bytes(std::span(text.data(), text.size())));
}

u32 slow_crc32c(u32 seed, std::span<const std::byte> bytes) {
  u32 crc = ~seed;
  for (const std::byte byte : bytes) {
    crc ^= static_cast<u32>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1U) != 0 ? 0x82F63B78U : 0U);
  }
  return ~crc;
}

TEST(Crc32c, MatchesTheVectorsOfRfc3720) {
  std::array<std::byte, 32> bytes{};
  EXPECT_EQ(crc32c(0, bytes), 0x8A9136AAU);
  bytes.fill(std::byte{0xFF});
  EXPECT_EQ(crc32c(0, bytes), 0x62A8AB43U);
  for (u32 i = 0; i < 32; ++i) bytes[i] = static_cast<std::byte>(i);
  EXPECT_EQ(crc32c(0, bytes), 0x46DD794EU);
  for (u32 i = 0; i < 32; ++i) bytes[i] = static_cast<std::byte>(31 - i);
  EXPECT_EQ(crc32c(0, bytes), 0x113FDB5CU);
  EXPECT_EQ(crc_of("123456789"), 0xE3069283U);
}

TEST(Crc32c, AnIscsiReadCommandMatchesRfc3720) {
  constexpr u8 kCommand[48] = {0x01, 0xC0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,    0, 0, 0, 0,
                               0x14, 0,    0, 0, 0, 0, 4, 0, 0, 0, 0, 0x14, 0, 0, 0, 0x18,
                               0x28, 0,    0, 0, 0, 0, 0, 0, 2, 0, 0, 0,    0, 0, 0, 0};
  EXPECT_EQ(crc32c(0, std::as_bytes(std::span(kCommand))), 0xD9963A56U);
}

TEST(Crc32c, NothingLeavesTheSeedAsItIs) {
  EXPECT_EQ(crc32c(0, {}), 0U);
  EXPECT_EQ(crc32c(0x12345678U, {}), 0x12345678U);
}

TEST(Crc32c, AgreesWithTheBitwiseDefinitionAtEveryLengthAndAlignment) {
  std::mt19937_64 random(7);
  std::vector<std::byte> bytes(96);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  for (std::size_t begin = 0; begin < 8; ++begin) {
    for (std::size_t length = 0; length <= 80; ++length) {
      const auto part = std::span<const std::byte>(bytes).subspan(begin, length);
      const u32 seed = static_cast<u32>(random());
      ASSERT_EQ(crc32c(seed, part), slow_crc32c(seed, part)) << begin << "+" << length;
    }
  }
}

TEST(Crc32c, ContinuesFromAnEarlierResultAtEverySplit) {
  std::vector<std::byte> bytes(61);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 37);
  const std::span<const std::byte> all = bytes;
  const u32 whole = crc32c(0, all);
  for (std::size_t split = 0; split <= bytes.size(); ++split) {
    EXPECT_EQ(crc32c(crc32c(0, all.first(split)), all.subspan(split)), whole);
  }
}

}  // namespace
}  // namespace dmr

// SPDX-License-Identifier: GPL-2.0-or-later
// Slicing-by-8: eight table look-ups take eight bytes, with no instruction that the kernel forbids.
#include "core/base/crc32c.h"

#include <array>
#include <atomic>
#include <cstring>

namespace dmr {
namespace {

constexpr u32 kPolynomial = 0x82F63B78U;
constexpr u32 kSlices = 8;

using Tables = std::array<std::array<u32, 256>, kSlices>;

// Row 0 is the ordinary byte table; row k advances a byte over k more zero bytes.
consteval Tables make_tables() {
  Tables tables{};
  for (u32 byte = 0; byte < 256; ++byte) {
    u32 crc = byte;
    for (u32 bit = 0; bit < 8; ++bit) {
      crc = (crc & 1U) != 0 ? (crc >> 1) ^ kPolynomial : crc >> 1;
    }
    tables[0][byte] = crc;
  }
  for (u32 slice = 1; slice < kSlices; ++slice) {
    for (u32 byte = 0; byte < 256; ++byte) {
      const u32 before = tables[slice - 1][byte];
      tables[slice][byte] = (before >> 8) ^ tables[0][before & 0xFFU];
    }
  }
  return tables;
}

constexpr Tables kTables = make_tables();

constinit std::atomic<Crc32cFunction> host_function{nullptr};

}  // namespace

void use_crc32c(Crc32cFunction function) {
  host_function.store(function, std::memory_order_relaxed);
}

u32 crc32c(u32 seed, std::span<const std::byte> bytes) {
  u32 crc = ~seed;
  if (const Crc32cFunction function = host_function.load(std::memory_order_relaxed)) {
    return ~function(crc, bytes.data(), bytes.size());
  }
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  while (left >= kSlices) {
    u64 word = 0;
    std::memcpy(&word, at, sizeof(word));
    word ^= crc;
    crc = kTables[7][word & 0xFFU] ^ kTables[6][(word >> 8) & 0xFFU] ^
          kTables[5][(word >> 16) & 0xFFU] ^ kTables[4][(word >> 24) & 0xFFU] ^
          kTables[3][(word >> 32) & 0xFFU] ^ kTables[2][(word >> 40) & 0xFFU] ^
          kTables[1][(word >> 48) & 0xFFU] ^ kTables[0][word >> 56];
    at += kSlices;
    left -= kSlices;
  }
  for (; left > 0; --left, ++at) {
    crc = (crc >> 8) ^ kTables[0][(crc ^ static_cast<u32>(*at)) & 0xFFU];
  }
  return ~crc;
}

}  // namespace dmr

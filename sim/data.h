// SPDX-License-Identifier: GPL-2.0-or-later
// The content of one sector. User data is one 64-bit token repeated, which is all that is kept of
// it; anything else (metadata, or data that was mixed up) keeps its 512 bytes.
#pragma once

#include <array>
#include <cstring>
#include <memory>
#include <span>

#include "core/base/types.h"

namespace dmr::sim {

using SectorBytes = std::span<std::byte, kSectorBytes>;
using ConstSectorBytes = std::span<const std::byte, kSectorBytes>;

struct Data {
  u64 token = 0;
  std::shared_ptr<const std::array<std::byte, kSectorBytes>> bytes;  // null: the token repeated

  [[nodiscard]] bool uniform() const { return bytes == nullptr; }
};

// What a failed read leaves in its buffer, so that nobody takes it for data.
inline constexpr u64 kGarbage = 0xBADBADBADBADBAD5U;

// Tokens of user data name their sector, so that data in the wrong place shows.
inline constexpr u32 kTokenSectorBits = 24;
[[nodiscard]] constexpr u64 make_token(Sector sector, u64 write) {
  return ((write + 1) << kTokenSectorBits) | sector.value;
}
[[nodiscard]] constexpr Sector sector_of_token(u64 token) {
  return Sector(token & ((u64{1} << kTokenSectorBits) - 1));
}

inline void unpack(const Data& data, SectorBytes out) {
  if (!data.uniform()) {
    std::memcpy(out.data(), data.bytes->data(), kSectorBytes);
    return;
  }
  for (u32 i = 0; i < kSectorBytes; i += 8) std::memcpy(out.data() + i, &data.token, 8);
}

[[nodiscard]] inline Data pack(ConstSectorBytes in) {
  Data data;
  std::memcpy(&data.token, in.data(), 8);
  if (std::memcmp(in.data(), in.data() + 8, kSectorBytes - 8) == 0) return data;
  auto bytes = std::make_shared<std::array<std::byte, kSectorBytes>>();
  std::memcpy(bytes->data(), in.data(), kSectorBytes);
  data.bytes = std::move(bytes);
  return data;
}

[[nodiscard]] inline Data with_bit_flipped(const Data& data, u32 bit) {
  std::array<std::byte, kSectorBytes> bytes;
  unpack(data, bytes);
  bytes[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
  return pack(bytes);
}

}  // namespace dmr::sim

// SPDX-License-Identifier: GPL-2.0-or-later
// Address types of the engine. A sector is 512 bytes everywhere; a block is the remap unit.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>

namespace dmr {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using i64 = std::int64_t;

inline constexpr u32 kSectorBytes = 512;
inline constexpr u32 kSectorShift = 9;
// Addresses stay below 2^63 bytes, as off_t and loff_t do, so that no byte offset overflows.
inline constexpr u64 kMaxSectors = u64{1} << (63 - kSectorShift);

// An address of one kind. Address + count is an address, the difference of two is a count.
template <class Tag>
struct Address {
  u64 value = 0;

  constexpr Address() = default;
  constexpr explicit Address(u64 number) : value(number) {}

  friend constexpr auto operator<=>(Address, Address) = default;
  friend constexpr Address operator+(Address a, u64 count) { return Address(a.value + count); }
  friend constexpr Address operator-(Address a, u64 count) { return Address(a.value - count); }
  friend constexpr u64 operator-(Address a, Address b) { return a.value - b.value; }
};

using Sector = Address<struct SectorTag>;          // 512-byte sector of one device
using Block = Address<struct BlockTag>;            // block of the volume (and of main)
using SpareBlock = Address<struct SpareBlockTag>;  // block of a spare, from the device's start

// A member of the set: 0 is main, 1 to kMaxSpares are spares in superblock order.
using Member = u8;
inline constexpr Member kMain = 0;
inline constexpr u32 kMaxSpares = 8;
inline constexpr u32 kMaxMembers = kMaxSpares + 1;

// Lost sectors of one block, bit i is sector i. 128 bits serve the largest block (64 KiB).
struct LostMask {
  u64 low = 0;
  u64 high = 0;

  [[nodiscard]] constexpr bool none() const { return (low | high) == 0; }
  [[nodiscard]] constexpr bool test(u32 sector) const {
    return (((sector < 64) ? low >> sector : high >> (sector - 64)) & 1U) != 0;
  }
  constexpr void set(u32 sector) { (sector < 64 ? low : high) |= u64{1} << (sector & 63U); }
  constexpr void clear(u32 sector) { (sector < 64 ? low : high) &= ~(u64{1} << (sector & 63U)); }
  // The mask in which the first `sectors` bits are set (1 to 128).
  [[nodiscard]] static constexpr LostMask all(u32 sectors) {
    if (sectors >= 128) return {~u64{0}, ~u64{0}};
    if (sectors >= 64) return {~u64{0}, (u64{1} << (sectors - 64)) - 1};
    return {(u64{1} << sectors) - 1, 0};
  }
  friend constexpr bool operator==(LostMask, LostMask) = default;
};

struct Uuid {
  u8 bytes[16];  // no initialiser: the packed structs on disk need a plain type; use Uuid{}
  friend constexpr bool operator==(const Uuid&, const Uuid&) = default;
};

}  // namespace dmr

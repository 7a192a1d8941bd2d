// SPDX-License-Identifier: GPL-2.0-or-later
// Bit counting without __popcountdi2, which <bit> calls and the kernel does not have.
#pragma once

#include "core/base/types.h"

namespace dmr {

[[nodiscard]] constexpr bool is_power_of_two(u64 value) {
  return value != 0 && (value & (value - 1)) == 0;
}

[[nodiscard]] constexpr u32 bit_count(u64 value) {
  value -= (value >> 1) & 0x5555555555555555U;
  value = (value & 0x3333333333333333U) + ((value >> 2) & 0x3333333333333333U);
  value = (value + (value >> 4)) & 0x0F0F0F0F0F0F0F0FU;
  return static_cast<u32>((value * 0x0101010101010101U) >> 56);
}

}  // namespace dmr

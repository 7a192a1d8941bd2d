// SPDX-License-Identifier: GPL-2.0-or-later
// CRC32C (Castagnoli, reflected polynomial 0x82F63B78), the checksum of all metadata.
#pragma once

#include <cstddef>
#include <span>

#include "core/base/types.h"

namespace dmr {

// The CRC32C of `bytes` when `seed` is 0 ("123456789" gives 0xE3069283). A result given as seed
// continues: crc32c(crc32c(0, a), b) is the CRC of a followed by b. Any other seed is a salt.
[[nodiscard]] u32 crc32c(u32 seed, std::span<const std::byte> bytes);

// What the engine may not use itself (it also runs where wide registers are forbidden), a host may
// give: a function that takes these bytes into `state`, the CRC before its last inversion. Null
// leaves it to the tables. Any thread; the value of crc32c() is the same with any of them.
using Crc32cFunction = u32 (*)(u32 state, const std::byte* bytes, std::size_t count);
void use_crc32c(Crc32cFunction function);

}  // namespace dmr

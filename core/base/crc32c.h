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

}  // namespace dmr

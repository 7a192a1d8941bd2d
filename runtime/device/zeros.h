// SPDX-License-Identifier: GPL-2.0-or-later
// Zeros to write, aligned for direct I/O. Nobody writes into them.
#pragma once

#include <cstddef>

#include "core/base/types.h"

namespace dmr::runtime {

inline constexpr std::size_t kZeroBytes = 256 * 1024;
[[nodiscard]] std::byte* zero_bytes();

}  // namespace dmr::runtime

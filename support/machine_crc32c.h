// SPDX-License-Identifier: GPL-2.0-or-later
// CRC32C by the CPU's own instruction, where it has one: metadata of a large map is checked several
// times as fast as with tables.
#pragma once

#include "core/base/crc32c.h"

namespace dmr {

// Null when this machine has nothing better than the engine's tables.
[[nodiscard]] Crc32cFunction crc32c_of_this_machine();

}  // namespace dmr

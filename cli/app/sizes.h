// SPDX-License-Identifier: GPL-2.0-or-later
// Numbers on the command line: sizes with binary suffixes, powers of two, ranges of sectors.
#pragma once

#include <string>
#include <string_view>

#include "cli/app/command.h"
#include "cli/app/outcome.h"
#include "core/volume/request.h"

namespace dmr::cli {

// Turns "4096", "4k", "4K" or "4KiB" into bytes.
[[nodiscard]] Transform size_in_bytes();
[[nodiscard]] Check power_of_two(u64 least, u64 most);
[[nodiscard]] Check within(u64 least, u64 most);

// "SECTOR" or "SECTOR+COUNT", decimal, or hexadecimal with 0x.
[[nodiscard]] Expected<SectorRange> parse_range(std::string_view text);

}  // namespace dmr::cli

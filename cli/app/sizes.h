// SPDX-License-Identifier: GPL-2.0-or-later
// Numbers on the command line: sizes with binary suffixes, powers of two, ranges of sectors.
#pragma once

#include <string>
#include <string_view>

#include <CLI/CLI.hpp>

#include "cli/app/outcome.h"
#include "core/volume/request.h"

namespace dmr::cli {

// Turns "4096", "4k", "4K" or "4KiB" into bytes.
[[nodiscard]] CLI::Validator size_in_bytes();
[[nodiscard]] CLI::Validator power_of_two(u64 least, u64 most);

// "SECTOR" or "SECTOR+COUNT", decimal, or hexadecimal with 0x.
[[nodiscard]] Expected<SectorRange> parse_range(std::string_view text);

}  // namespace dmr::cli

// SPDX-License-Identifier: GPL-2.0-or-later
// Mapfiles of GNU ddrescue: which areas of a disk were read, and which could not be. (Before
// version 1.20 ddrescue called them logfiles.)
#pragma once

#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/types.h"
#include "core/volume/request.h"

namespace dmr::cli {

inline constexpr u64 kMaxMapfileBytes = u64{256} << 20;  // of a file: some 7 million areas

struct Mapfile {
  // Areas that ddrescue found bad (`-`), in whole sectors: ascending, adjacent ones joined.
  std::vector<SectorRange> bad;
  // Bytes of the areas that nothing is known of yet.
  u64 non_tried = 0;    // `?`
  u64 non_trimmed = 0;  // `*`
  u64 non_scraped = 0;  // `/`
};

// Comments, one status line, then the areas: each begins where the one before it ends. Whatever
// deviates is an error that names the line, and so is an area past the end of the volume. A sector
// of which a part is bad is bad.
[[nodiscard]] std::expected<Mapfile, std::string> parse_mapfile(std::string_view text,
                                                                u64 volume_sectors);

// A finished mapfile of the whole volume: `bad` (ascending, not overlapping) as bad areas,
// everything else as read.
[[nodiscard]] std::string format_mapfile(std::span<const SectorRange> bad, u64 volume_sectors);

}  // namespace dmr::cli

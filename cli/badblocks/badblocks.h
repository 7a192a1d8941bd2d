// SPDX-License-Identifier: GPL-2.0-or-later
// Lists of bad blocks as badblocks(8) writes and e2fsck reads them: one block number a line.
#pragma once

#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/types.h"
#include "core/volume/request.h"

namespace dmr::cli {

struct BadblocksUnit {
  u64 block_bytes = 1024;  // what badblocks uses when it is not told otherwise (-b)
};
// `block_bytes` as an option: 0 when it was not given.
[[nodiscard]] inline BadblocksUnit unit_of(u64 block_bytes) {
  return block_bytes == 0 ? BadblocksUnit{} : BadblocksUnit{.block_bytes = block_bytes};
}
inline constexpr u64 kMaxBadblocksBytes = u64{256} << 20;  // of a file: 20 million numbers

// "" when a list may count in blocks of this size, else what is wrong with it.
[[nodiscard]] std::string badblocks_unit_fault(BadblocksUnit unit);

// The ranges of the volume that `text` lists: ascending, adjacent ones joined. The numbers may come
// in any order. A line that is not a number, a number that occurs twice or lies past the end of the
// volume is an error that names the line. A block that the volume's end cuts is cut too.
[[nodiscard]] std::expected<std::vector<SectorRange>, std::string> parse_badblocks(
    std::string_view text, BadblocksUnit unit, u64 volume_sectors);

// The list of all blocks that `ranges` (ascending, not overlapping) touch.
[[nodiscard]] std::string format_badblocks(std::span<const SectorRange> ranges, BadblocksUnit unit);

}  // namespace dmr::cli

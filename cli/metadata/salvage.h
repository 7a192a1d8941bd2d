// SPDX-License-Identifier: GPL-2.0-or-later
// What can still be read of a map that does not load: the last resort before a backup of the data.
#pragma once

#include <span>
#include <utility>
#include <vector>

#include "cli/metadata/disk_set.h"
#include "core/format/format.h"

namespace dmr::cli {

// A guess, not a state: records that are missing may have said something else about these blocks.
struct Salvage {
  std::vector<format::Record> records;  // the newest that was found of each block, ascending
  std::vector<std::pair<u64, u64>>
      gaps;                           // first and last journal sequences of which no copy is good
  u64 newest_sequence = 0;            // of the journal blocks that were found
  u64 missing_checkpoint_blocks = 0;  // of the newest checkpoint
  u64 bad_blocks = 0;                 // of all spares: unreadable or damaged
  bool is_layout_known = true;  // false: no superblock is left, customary places were looked at
};

// Of the spares given, in whatever state they are. Reads only. An error when nothing of ours is
// there.
[[nodiscard]] Expected<Salvage> salvage(std::span<const OfflineDisk* const> disks);

}  // namespace dmr::cli

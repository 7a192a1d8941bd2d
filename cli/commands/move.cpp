// SPDX-License-Identifier: GPL-2.0-or-later
// Ranges in, numbers of moved blocks out.
#include "cli/commands/move.h"

#include "cli/app/sizes.h"

namespace dmr::cli {

Expected<std::vector<SectorRange>> parse_ranges(const std::vector<std::string>& words) {
  std::vector<SectorRange> ranges;
  for (const std::string& word : words) {
    auto range = parse_range(word);
    if (!range) return std::unexpected(range.error());
    ranges.push_back(*range);
  }
  return ranges;
}

Json moved_json(const std::string& name, const Moved& moved) {
  return {{"name", name},
          {"blocks_changed", moved.blocks_changed},
          {"blocks_unchanged", moved.blocks_unchanged},
          {"sectors_lost", moved.sectors_lost}};
}

void print_moved_json(const std::string& name, const Moved& moved) {
  print_json(moved_json(name, moved));
}

}  // namespace dmr::cli

// SPDX-License-Identifier: GPL-2.0-or-later
// Ranges in, numbers of moved blocks out.
#include "cli/commands/move.h"

#include <fmt/format.h>

#include "cli/app/sizes.h"

namespace dmr::cli {
namespace {

std::string why_not_moved(bool goes_home, const std::string& status) {
  if (status == "io_error") {
    return goes_home ? "main does not take it, or its spare does not give it"
                     : "no spare takes it, or main as a whole does not answer";
  }
  if (status == "no_space") {
    return goes_home ? "the metadata has no room to record it"
                     : "no spare block is free, the file system below the spare is full, or "
                       "the metadata has no room to record it";
  }
  return status;
}

}  // namespace

Expected<std::vector<SectorRange>> parse_ranges(const std::vector<std::string>& words) {
  std::vector<SectorRange> ranges;
  for (const std::string& word : words) {
    auto range = parse_range(word);
    if (!range) return std::unexpected(range.error());
    ranges.push_back(*range);
  }
  return ranges;
}

Expected<void> check_moved(const std::string& op, const Moved& moved) {
  if (moved.failure.empty()) return {};
  const bool goes_home = op == "forget";
  std::string text = fmt::format(
      "the block at sector {} could not {}: {} (it stays on {}); {} other {} {}", moved.bad_sector,
      goes_home ? "go home" : "be moved", why_not_moved(goes_home, moved.failure),
      goes_home ? "the spare" : "main", grouped(moved.blocks_changed),
      moved.blocks_changed == 1 ? "block is" : "blocks are",
      goes_home ? "back on main" : "on the spare now");
  if (moved.blocks_unchanged > 1) {
    text += fmt::format(", {} left as they were", grouped(moved.blocks_unchanged - 1));
  }
  if (moved.sectors_lost > 0) {
    text += fmt::format(", {} lost", counted(moved.sectors_lost, "sector is", "sectors are"));
  }
  return failed(text);
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

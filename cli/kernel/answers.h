// SPDX-License-Identifier: GPL-2.0-or-later
// The text that the target `remap` answers to messages (docs/sysfs.md), read into the types of the
// user-space host.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/app/outcome.h"
#include "core/index/index.h"
#include "runtime/control/volume_report.h"
#include "runtime/volume/event_log.h"

namespace dmr::cli {

// The answer to `stats`. What is not in it (name, places) is left as it is; the numbers of the
// members' devices come in `numbers`, "" for one that is missing.
[[nodiscard]] Expected<runtime::VolumeReport> parse_report(std::string_view stats,
                                                           std::vector<std::string>& numbers);

struct MapPage {
  std::vector<Run> runs;
  u64 cursor = 0;  // block to go on with
  bool done = false;
};
[[nodiscard]] Expected<MapPage> parse_map(std::string_view answer);

struct EventPage {
  std::vector<runtime::LoggedEvent> events;
  u64 newest = 0;
};
[[nodiscard]] Expected<EventPage> parse_events(std::string_view answer);

struct MoveAnswer {
  u64 changed = 0;
  u64 unchanged = 0;
  u64 lost = 0;
  int error = 0;  // errno of the first block that could not be moved
  u64 bad_sector = 0;
  std::optional<u64> rest;  // a suspend or a signal came between: from here on nothing was done
};
[[nodiscard]] Expected<MoveAnswer> parse_move(std::string_view answer);

// The answer to an order that has nothing to tell.
[[nodiscard]] Expected<void> parse_ok(std::string_view answer);

}  // namespace dmr::cli

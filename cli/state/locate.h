// SPDX-License-Identifier: GPL-2.0-or-later
// Finds the members of a volume: by name, through the note that `create` left and, where that
// fails, by searching all block devices; or from the devices that the user names.
#pragma once

#include <string>
#include <vector>

#include "cli/app/outcome.h"
#include "cli/metadata/survey.h"

namespace dmr::cli {

struct Wanted {
  std::string name;                 // may be empty when the devices are given
  std::string main;                 // "" when it is to be found
  std::vector<std::string> spares;  // likewise
  bool degraded = false;            // go on without spares that are not there
  bool spares_only = false;         // main is not looked for
};

struct Located {
  format::Superblock superblock{};   // the newest that was seen
  std::string main;                  // specs, with absolute paths
  std::vector<std::string> spares;   // those that are there
  std::vector<std::string> members;  // by member number, "" where one is missing
};

// Looks without locking anything. Errors: no such volume, several of that name, members that are
// missing (refused; --degraded overrides for spares) or of different volumes.
[[nodiscard]] Expected<Located> locate(const Wanted& wanted);

}  // namespace dmr::cli

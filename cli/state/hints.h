// SPDX-License-Identifier: GPL-2.0-or-later
// Where the members of a volume were last seen. Only a hint, so that `start NAME` need not search:
// the superblocks say whether it still holds.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/app/outcome.h"

namespace dmr::cli {

struct Hint {
  std::string name;
  std::string set;   // UUID as text
  std::string main;  // with decorators, if there are any; all paths absolute
  std::vector<std::string> spares;
};

// $DM_REMAP_STATE_DIR, else /var/lib/dm-remap/volumes for root, else dm-remap/volumes in
// $XDG_STATE_HOME or ~/.local/state.
[[nodiscard]] std::string state_directory();

[[nodiscard]] Expected<void> save_hint(const Hint& hint);
// Nothing when there is none; an error names the file that cannot be read or understood.
[[nodiscard]] Expected<std::optional<Hint>> read_hint(const std::string& name);
// The same where a note that cannot be used is as good as none: the devices say more.
[[nodiscard]] std::optional<Hint> load_hint(const std::string& name);

struct Hints {
  std::vector<Hint> known;              // sorted by name
  std::vector<std::string> unreadable;  // a line about each file, or the folder, that is not in it
};
[[nodiscard]] Hints all_hints();

// `spec` with its paths made absolute, also those of decorators.
[[nodiscard]] std::string absolute_spec(const std::string& spec);

}  // namespace dmr::cli

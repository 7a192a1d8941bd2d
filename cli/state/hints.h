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
// Nothing when there is none, or none that can be understood.
[[nodiscard]] std::optional<Hint> load_hint(const std::string& name);
[[nodiscard]] std::vector<Hint> all_hints();  // sorted by name

// `spec` with its paths made absolute, also those of decorators.
[[nodiscard]] std::string absolute_spec(const std::string& spec);

}  // namespace dmr::cli

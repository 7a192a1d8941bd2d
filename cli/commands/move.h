// SPDX-License-Identifier: GPL-2.0-or-later
// What `mark`, `forget` and `import` have in common: ranges of sectors that a running volume moves.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "cli/app/outcome.h"
#include "cli/app/output.h"
#include "cli/client/session.h"

namespace dmr::cli {

// "SECTOR[+COUNT]" words into ranges.
[[nodiscard]] Expected<std::vector<SectorRange>> parse_ranges(
    const std::vector<std::string>& words);

// An error when a block could not be moved: which, where it is, and what became of the others.
[[nodiscard]] Expected<void> check_moved(const std::string& op, const Moved& moved);

[[nodiscard]] Json moved_json(const std::string& name, const Moved& moved);
void print_moved_json(const std::string& name, const Moved& moved);

}  // namespace dmr::cli

// SPDX-License-Identifier: GPL-2.0-or-later
// The members of a stopped volume and what is wrong with its metadata, on the screen and as JSON:
// `check`, `repair`, `backup` and `restore` say it alike.
#pragma once

#include <vector>

#include "cli/app/output.h"
#include "cli/metadata/examine.h"

namespace dmr::cli {

// Keys name, set and members.
[[nodiscard]] Json json_of_members(const DiskSet& set);
[[nodiscard]] Json json_of(const std::vector<Told>& told);

void print_members(const DiskSet& set);
void print_findings(const std::vector<Told>& told);

}  // namespace dmr::cli

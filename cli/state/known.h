// SPDX-License-Identifier: GPL-2.0-or-later
// Whether a volume that a note tells of is still there, and what it is made of.
#pragma once

#include <functional>
#include <string>

#include "cli/device/member.h"
#include "cli/state/hints.h"

namespace dmr::cli {

// The place of a spare that still is of the note's volume; "" when none is: such a note is stale.
// Those that `passed_over` names do not count.
[[nodiscard]] std::string spare_left_of(
    const Hint& hint, const std::function<bool(const std::string& spec)>& passed_over);

// Refused when the device is a member of the note's volume, or shares sectors with one.
[[nodiscard]] Expected<void> check_no_member_of(const Hint& hint, const std::string& role,
                                                const runtime::Device& device);

}  // namespace dmr::cli

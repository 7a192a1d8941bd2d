// SPDX-License-Identifier: GPL-2.0-or-later
// A bounded, printable picture of a text that could be anything, for messages about it.
#pragma once

#include <string>
#include <string_view>

namespace dmr::cli {

[[nodiscard]] std::string quoted(std::string_view text);

}  // namespace dmr::cli

// SPDX-License-Identifier: GPL-2.0-or-later
// Cuts texts and replaces what a terminal might obey.
#include "cli/app/quoted.h"

#include <algorithm>

#include <fmt/format.h>

namespace dmr::cli {

std::string quoted(std::string_view text) {
  constexpr std::size_t kShown = 40;
  std::string shown(text.substr(0, kShown));
  std::replace_if(shown.begin(), shown.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return fmt::format("`{}{}`", shown, text.size() > kShown ? "..." : "");
}

}  // namespace dmr::cli

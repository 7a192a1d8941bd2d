// SPDX-License-Identifier: GPL-2.0-or-later
// The names of volumes: they become file names, and are typed by hand.
#pragma once

#include <string>
#include <string_view>

namespace dmr::cli {

inline constexpr std::size_t kMaxNameBytes = 63;

// "" when `name` may name a volume, else the rule that it breaks.
[[nodiscard]] std::string name_fault(std::string_view name);

// The candidate that `word` most likely was meant to be, or "" when none is near.
[[nodiscard]] std::string nearest(std::string_view word, const std::string* begin,
                                  const std::string* end);

}  // namespace dmr::cli

// SPDX-License-Identifier: GPL-2.0-or-later
// Counts what the program allocates through operator new, in programs that call this.
#pragma once

#include <cstddef>

namespace dmr::exports::testing {

// Allocations of the calling thread so far.
[[nodiscard]] std::size_t allocations();

}  // namespace dmr::exports::testing

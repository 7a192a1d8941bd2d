// SPDX-License-Identifier: GPL-2.0-or-later
// The engine's status codes in words for people.
#pragma once

#include "core/base/result.h"

namespace dmr::cli {

[[nodiscard]] const char* text_of(Status status);

}  // namespace dmr::cli

// SPDX-License-Identifier: GPL-2.0-or-later
// Metadata as JSON, the one form from which `dump` prints both of its outputs.
#pragma once

#include "cli/app/output.h"
#include "cli/metadata/survey.h"
#include "cli/metadata/walk.h"

namespace dmr::cli {

[[nodiscard]] const char* text_of(format::Policy policy);

[[nodiscard]] Json json_of(const SuperblockCopy& copy, u32 number);
[[nodiscard]] Json json_of(const format::Record& record);
// A journal slot, a checkpoint header or a block of its body.
[[nodiscard]] Json json_of(const MetaView& seen);

}  // namespace dmr::cli

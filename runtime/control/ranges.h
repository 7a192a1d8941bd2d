// SPDX-License-Identifier: GPL-2.0-or-later
// The ranges of a `mark` or `forget` request.
#pragma once

#include <vector>

#include <nlohmann/json.hpp>

#include "core/volume/request.h"
#include "runtime/device/error.h"

namespace dmr::runtime {

// Sorted, joined, inside the volume; else an error of wrong usage.
[[nodiscard]] Expected<std::vector<SectorRange>> ranges_of(const nlohmann::json& request,
                                                           u64 volume_sectors);

}  // namespace dmr::runtime

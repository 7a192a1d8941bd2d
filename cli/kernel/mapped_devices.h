// SPDX-License-Identifier: GPL-2.0-or-later
// Mapped devices as sysfs shows them to every user.
#pragma once

#include <string>
#include <vector>

#include "cli/kernel/mapper.h"

namespace dmr::cli {

// `folder` is /sys/block, or a copy of it.
[[nodiscard]] std::vector<MappedDevice> mapped_devices(const std::string& folder);

}  // namespace dmr::cli

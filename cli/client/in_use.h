// SPDX-License-Identifier: GPL-2.0-or-later
// By whom a device is used that cannot be had: the kernel says "busy" and no more.
#pragma once

#include <string>

#include "cli/kernel/mapper.h"

namespace dmr::cli {

// "the running volume `tank` (`dm-remap stop tank` ends it)", "a mount on /mnt", "/dev/md0"; ""
// when nobody can be found.
[[nodiscard]] std::string user_of(const std::string& path, const DeviceMapper& mapper);

}  // namespace dmr::cli

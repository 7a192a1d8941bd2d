// SPDX-License-Identifier: GPL-2.0-or-later
// What /sys knows about block devices that opening one does not tell.
#pragma once

#include <string>
#include <vector>

namespace dmr::cli {

// "/dev/loopN" of a loop device on this file, or "".
[[nodiscard]] std::string loop_device_on(const std::string& path);

// Where this block device is mounted, or "".
[[nodiscard]] std::string mounted_at(const std::string& path);

// "/dev/sdb1" of the device number "8:17", or "".
[[nodiscard]] std::string block_device_path(const std::string& number);

// Paths of all block devices and partitions that have a size, sorted.
[[nodiscard]] std::vector<std::string> all_block_devices();

}  // namespace dmr::cli

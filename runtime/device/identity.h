// SPDX-License-Identifier: GPL-2.0-or-later
// Which physical disk a block device is, so that a volume never starts on the wrong one.
#pragma once

#include <string>

namespace dmr::runtime {

// "serial|wwn" from udev's database, else from sysfs; empty when neither knows any. A partition has
// the identity of its disk and its own number: "serial|wwn|part1".
[[nodiscard]] std::string identity_of(int block_device_fd);

}  // namespace dmr::runtime

// SPDX-License-Identifier: GPL-2.0-or-later
// Who has a block device open, beyond mounts: the kernel does not say, the processes' files do.
#pragma once

#include <string>

namespace dmr::cli {

// "dd (process 4711)" of a process, other than this one and `server`, that has the device open
// longer than udev and its like look at one; "" when none can be seen, which takes root.
[[nodiscard]] std::string opener_of(const std::string& path, int server);

}  // namespace dmr::cli

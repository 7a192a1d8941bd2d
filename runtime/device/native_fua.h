// SPDX-License-Identifier: GPL-2.0-or-later
// Whether a block device carries out a FUA write as one command.
#pragma once

namespace dmr::runtime {

// As sysfs says; also true of one that has no write cache, since nothing is flushed there. False
// for all else: the kernel would write, then flush, and give one answer for both.
[[nodiscard]] bool has_native_fua(int block_device_fd);
// False for a block device that says so; files and all else may have one.
[[nodiscard]] bool has_write_cache(int block_device_fd);

}  // namespace dmr::runtime

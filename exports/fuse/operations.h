// SPDX-License-Identifier: GPL-2.0-or-later
// The filesystem that holds one file, the volume: what each operation of the kernel means.
#pragma once

#include <atomic>
#include <string>

#include <fuse3/fuse_lowlevel.h>

#include "exports/source/source.h"

namespace dmr::fuse {

// The session's user data. Outlives the session.
struct Filesystem {
  exports::Source& source;
  std::string file_name;
  std::atomic<unsigned> opened = 0;  // descriptors of the file, all programs' together
};

[[nodiscard]] const fuse_lowlevel_ops& operations();
// Sends replies on the descriptor that the current worker reads from.
[[nodiscard]] const fuse_custom_io& worker_io();

}  // namespace dmr::fuse

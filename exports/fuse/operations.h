// SPDX-License-Identifier: GPL-2.0-or-later
// The filesystem that holds one file, the volume: what each operation of the kernel means.
#pragma once

#include <map>
#include <mutex>
#include <string>

#include <fuse3/fuse_lowlevel.h>

#include "exports/source/source.h"

namespace dmr::fuse {

// Who has the file open: each opening is a client that hears of refused flushes for itself, though
// all of them share the workers' queues.
class OpenFiles {
 public:
  [[nodiscard]] u64 add(exports::Source& source);
  void remove(u64 number);
  // Valid until it is removed: the kernel does that when nobody uses it any more.
  [[nodiscard]] runtime::FlushClient* find(u64 number);
  [[nodiscard]] std::size_t count() const;

 private:
  mutable std::mutex mutex_;
  std::map<u64, runtime::FlushClient> files_;
  u64 next_ = 1;
};

// The session's user data. Outlives the session.
struct Filesystem {
  exports::Source& source;
  std::string file_name;
  OpenFiles opened;  // all programs' together
};

[[nodiscard]] const fuse_lowlevel_ops& operations();
// Sends replies on the descriptor that the current worker reads from.
[[nodiscard]] const fuse_custom_io& worker_io();

}  // namespace dmr::fuse

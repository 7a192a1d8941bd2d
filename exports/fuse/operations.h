// SPDX-License-Identifier: GPL-2.0-or-later
// The filesystem that holds one file, the volume: what each operation of the kernel means.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include <fuse3/fuse_lowlevel.h>

#include "exports/source/source.h"

namespace dmr::fuse {

// Who has the file open: each opening is a client that hears of refused flushes for itself, though
// all of them share the workers' queues.
class OpenFiles {
 public:
  // The handle that the kernel names with each request of this file.
  [[nodiscard]] u64 add(exports::Source& source);
  // By the kernel, when nobody uses it any more.
  void remove(u64 handle);
  // Without a lock: it comes with every write.
  [[nodiscard]] static FlushClient& client(u64 handle);
  [[nodiscard]] std::size_t count() const;

 private:
  mutable std::mutex mutex_;
  std::map<u64, std::unique_ptr<runtime::ConnectedClient>> files_;
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

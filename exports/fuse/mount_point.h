// SPDX-License-Identifier: GPL-2.0-or-later
// The folder that the volume's file appears in: made, cleaned of a dead server's mount, removed.
#pragma once

#include <string>

#include "runtime/device/error.h"

namespace dmr::fuse {

class MountPoint {
 public:
  // `path` is absolute. Makes the folder when it is missing (mode 0700). A mount whose server died
  // is taken away; one that lives, or a folder that holds files, is refused.
  [[nodiscard]] static runtime::Expected<MountPoint> prepare(const std::string& path);
  MountPoint(MountPoint&& other) noexcept;
  MountPoint& operator=(MountPoint&&) = delete;
  ~MountPoint();  // removes the folder, if it was made here and is empty

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  MountPoint(std::string path, bool made) : path_(std::move(path)), made_(made) {}

  std::string path_;
  bool made_;
};

// Takes a mount away, also one in use; without root through fusermount3. False when it stays.
[[nodiscard]] bool unmount(const std::string& path);

}  // namespace dmr::fuse

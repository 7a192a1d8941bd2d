// SPDX-License-Identifier: GPL-2.0-or-later
// A block device of the kernel on top of the volume's file, so that it can be mounted. Needs root.
#pragma once

#include <string>

#include "core/base/types.h"
#include "runtime/device/error.h"
#include "runtime/device/file_descriptor.h"

namespace dmr::fuse {

class LoopDevice {
 public:
  // Direct I/O in blocks of `block_bytes`. The device goes away with its last user, should this
  // process die.
  [[nodiscard]] static runtime::Expected<LoopDevice> attach(const std::string& file,
                                                            u32 block_bytes, bool read_only);
  LoopDevice(LoopDevice&&) = default;
  LoopDevice& operator=(LoopDevice&&) = delete;
  ~LoopDevice();  // detaches: at once, or when its last user closes it

  [[nodiscard]] const std::string& path() const { return path_; }
  // Mounted, or claimed by something else.
  [[nodiscard]] bool in_use() const;

 private:
  LoopDevice(std::string path, runtime::FileDescriptor fd)
      : path_(std::move(path)), fd_(std::move(fd)) {}

  std::string path_;
  runtime::FileDescriptor fd_;  // keeps the device while nobody else has it open
};

}  // namespace dmr::fuse

// SPDX-License-Identifier: GPL-2.0-or-later
// A member device in user space: a block device or a regular file, opened exclusively for direct
// I/O, with decorators over it where a test or the demo asks for them.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/base/types.h"
#include "runtime/device/error.h"
#include "runtime/device/file_descriptor.h"
#include "runtime/device/layer.h"

namespace dmr::runtime {

enum class OddSize : u8 {
  refuse,    // a size that is no multiple of the logical block is an error
  cut_down,  // the rest behind the last whole logical block is not used
};

struct DeviceOptions {
  bool read_only = false;
  bool exclusive = true;        // false: only to look (list, dump); nothing is locked
  bool allow_buffered = false;  // take files whose file system has no direct I/O
  // How long to wait for a device in use: the kernel takes down the rings of a killed server, and
  // with them its claims, a moment after the process has ended.
  std::chrono::milliseconds patience{0};
  OddSize odd_size = OddSize::refuse;
};

class Device {
 public:
  // `spec` is a path, or decorators before a path: "faulty:PLAN.json:/dev/sdb",
  // "trace:LOG:volatile-cache:/tmp/disk" (runtime/device/layer.h). Errors name the path; exit
  // status 3 for a busy device and for a file system without direct I/O, 1 for the rest.
  static Expected<std::unique_ptr<Device>> open(std::string_view spec,
                                                const DeviceOptions& options);

  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  ~Device();

  [[nodiscard]] const std::string& spec() const { return spec_; }  // as given
  [[nodiscard]] const std::string& path() const { return path_; }  // without decorators
  [[nodiscard]] u64 sectors() const { return sectors_; }
  [[nodiscard]] u64 odd_bytes() const { return odd_bytes_; }  // left out behind them
  [[nodiscard]] u32 logical_block_bytes() const { return logical_block_bytes_; }
  [[nodiscard]] u32 physical_block_bytes() const { return physical_block_bytes_; }
  // "serial|wwn" as udev knows them; empty for files and for disks that name neither.
  [[nodiscard]] const std::string& identity() const { return identity_; }
  [[nodiscard]] bool is_block_device() const { return block_device_; }
  [[nodiscard]] bool buffered() const { return buffered_; }  // no direct I/O: rules 3, 4 are weaker
  [[nodiscard]] bool read_only() const { return read_only_; }
  // FUA writes are one command each. Not with decorators: below them a write and a flush are sent.
  [[nodiscard]] bool native_fua() const { return native_fua_ && top_ == nullptr; }
  // False only where a refused write cannot have been a refused flush.
  [[nodiscard]] bool has_cache() const { return has_cache_ || top_ != nullptr; }
  [[nodiscard]] bool in_memory() const { return inline_fd_.valid(); }  // tmpfs or ramfs

  [[nodiscard]] int fd() const { return fd_.get(); }
  // For files in memory: a second descriptor whose ring I/O completes inside the submission, or
  // answers EAGAIN. -1 for all others.
  [[nodiscard]] int inline_fd() const { return inline_fd_.get(); }

  // The outermost decorator, null for a plain device. All I/O goes through it when there is one.
  [[nodiscard]] Layer* layers() const { return top_.get(); }
  [[nodiscard]] Layer* find_layer(std::string_view kind) const;

  // Blocking I/O for open-time work (scans, checks, `create`). Returns 0 or a positive errno.
  // Offset, length and buffer are multiples of the logical block.
  [[nodiscard]] int read(u64 offset_bytes, std::span<std::byte> to) const;
  [[nodiscard]] int write(u64 offset_bytes, std::span<const std::byte> from) const;
  [[nodiscard]] int flush() const;

 private:
  Device() = default;
  Expected<void> open_path(const DeviceOptions& options);
  Expected<void> lock(const DeviceOptions& options) const;
  Expected<void> measure(const DeviceOptions& options);
  [[nodiscard]] int transfer(const LayerIo& io) const;

  std::string spec_;
  std::string path_;
  std::string identity_;
  FileDescriptor fd_;
  FileDescriptor inline_fd_;
  std::unique_ptr<Layer> top_;
  u64 sectors_ = 0;
  u64 odd_bytes_ = 0;
  u32 logical_block_bytes_ = kSectorBytes;
  u32 physical_block_bytes_ = kSectorBytes;
  bool block_device_ = false;
  bool native_fua_ = false;
  bool has_cache_ = true;
  bool buffered_ = false;
  bool read_only_ = false;
};

// Why the two devices must not be members of one volume: the same inode, a disk and its own
// partition, a loop device and its backing file. Empty when they lie apart.
[[nodiscard]] std::string overlap_of(const Device& a, const Device& b);

}  // namespace dmr::runtime

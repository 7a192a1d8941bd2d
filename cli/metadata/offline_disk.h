// SPDX-License-Identifier: GPL-2.0-or-later
// What work on a stopped set does its blocking I/O on: a device that was opened, or an image in
// memory (tests, fuzzers). The functions of this folder know nothing else about where bytes lie.
#pragma once

#include <algorithm>
#include <cerrno>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "runtime/device/device.h"

namespace dmr::cli {

// read, write and flush answer 0 or a positive errno. Offsets and lengths are multiples of the
// logical block and lie inside the disk: whatever asks for more is answered EINVAL.
class OfflineDisk {
 public:
  virtual ~OfflineDisk() = default;
  [[nodiscard]] virtual u64 sectors() const = 0;
  [[nodiscard]] virtual u32 logical_block_bytes() const = 0;
  [[nodiscard]] virtual const std::string& identity() const = 0;  // "serial|wwn", or empty
  [[nodiscard]] virtual const std::string& path() const = 0;      // how the user calls it
  [[nodiscard]] virtual int read(u64 offset_bytes, std::span<std::byte> to) const = 0;
  [[nodiscard]] virtual int write(u64 offset_bytes, std::span<const std::byte> from) const = 0;
  [[nodiscard]] virtual int flush() const = 0;
};

// The device must outlive it.
class DeviceDisk final : public OfflineDisk {
 public:
  explicit DeviceDisk(const runtime::Device& device) : device_(device) {}
  [[nodiscard]] u64 sectors() const override { return device_.sectors(); }
  [[nodiscard]] u32 logical_block_bytes() const override { return device_.logical_block_bytes(); }
  [[nodiscard]] const std::string& identity() const override { return device_.identity(); }
  [[nodiscard]] const std::string& path() const override { return device_.path(); }
  [[nodiscard]] int read(u64 offset_bytes, std::span<std::byte> to) const override {
    return device_.read(offset_bytes, to);
  }
  [[nodiscard]] int write(u64 offset_bytes, std::span<const std::byte> from) const override {
    return device_.write(offset_bytes, from);
  }
  [[nodiscard]] int flush() const override { return device_.flush(); }

 private:
  const runtime::Device& device_;
};

// An image of whole sectors. `strays` counts what was asked for outside of it.
class MemoryDisk final : public OfflineDisk {
 public:
  MemoryDisk(std::string path, std::vector<std::byte> image)
      : path_(std::move(path)), image_(std::move(image)) {
    image_.resize(image_.size() / kSectorBytes * kSectorBytes);
  }
  [[nodiscard]] u64 sectors() const override { return image_.size() / kSectorBytes; }
  [[nodiscard]] u32 logical_block_bytes() const override { return kSectorBytes; }
  [[nodiscard]] const std::string& identity() const override { return identity_; }
  [[nodiscard]] const std::string& path() const override { return path_; }
  [[nodiscard]] int read(u64 offset_bytes, std::span<std::byte> to) const override {
    if (!covers(offset_bytes, to.size())) return EINVAL;
    std::copy_n(image_.begin() + static_cast<std::ptrdiff_t>(offset_bytes), to.size(), to.begin());
    return 0;
  }
  [[nodiscard]] int write(u64 offset_bytes, std::span<const std::byte> from) const override {
    if (!covers(offset_bytes, from.size())) return EINVAL;
    ++writes;
    std::copy(from.begin(), from.end(), image_.begin() + static_cast<std::ptrdiff_t>(offset_bytes));
    return 0;
  }
  [[nodiscard]] int flush() const override { return 0; }

  [[nodiscard]] std::vector<std::byte>& image() { return image_; }

  mutable u64 writes = 0;
  mutable u64 strays = 0;

 private:
  [[nodiscard]] bool covers(u64 offset, u64 length) const {
    const bool inside = offset <= image_.size() && length <= image_.size() - offset;
    if (!inside) ++strays;
    return inside && offset % kSectorBytes == 0 && length % kSectorBytes == 0;
  }

  std::string path_;
  std::string identity_;
  mutable std::vector<std::byte> image_;
};

}  // namespace dmr::cli

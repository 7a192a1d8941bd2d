// SPDX-License-Identifier: GPL-2.0-or-later
// Opening a device: direct, exclusive, measured.
#include "runtime/device/device.h"

#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include <cerrno>
#include <fcntl.h>
#include <thread>

#include <fmt/format.h>

#include "runtime/device/identity.h"
#include "runtime/device/native_fua.h"

namespace dmr::runtime {
namespace {

constexpr u32 kMaxLogicalBlockBytes = 64 * 1024;

bool lives_in_memory(int fd) {
  struct statfs info{};
  if (::fstatfs(fd, &info) != 0) return false;
  return info.f_type == TMPFS_MAGIC || info.f_type == RAMFS_MAGIC;
}

// What direct I/O on this file wants; 512 where the kernel cannot say.
u32 direct_alignment(const std::string& path) {
#ifdef STATX_DIOALIGN
  struct statx info{};
  if (::statx(AT_FDCWD, path.c_str(), 0, STATX_DIOALIGN, &info) == 0 &&
      (info.stx_mask & STATX_DIOALIGN) != 0 && info.stx_dio_offset_align >= kSectorBytes) {
    return info.stx_dio_offset_align;
  }
#else
  (void)path;
#endif
  return kSectorBytes;
}

// For a device that is in use: whether to try again, after a pause.
class Attempts {
 public:
  explicit Attempts(std::chrono::milliseconds patience) : end_(Clock::now() + patience) {}
  // Keeps errno.
  [[nodiscard]] bool another() const {
    const int error = errno;
    const bool more = Clock::now() < end_;
    if (more) std::this_thread::sleep_for(kPause);
    errno = error;
    return more;
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds kPause{10};
  const Clock::time_point end_;
};

}  // namespace

Expected<std::unique_ptr<Device>> Device::open(std::string_view spec,
                                               const DeviceOptions& options) {
  auto parsed = parse_spec(spec);
  if (!parsed) return std::unexpected(parsed.error());
  std::unique_ptr<Device> device(new Device);
  device->spec_ = std::string(spec);
  device->path_ = parsed->path;
  device->read_only_ = options.read_only;
  if (auto opened = device->open_path(options); !opened) return std::unexpected(opened.error());
  if (auto locked = device->lock(options); !locked) return std::unexpected(locked.error());
  if (auto measured = device->measure(options); !measured) {
    return std::unexpected(measured.error());
  }
  if (!parsed->layers.empty()) {
    auto layers = stack_layers(*parsed, make_file_layer(device->fd_.get()));
    if (!layers) return std::unexpected(layers.error());
    device->top_ = std::move(*layers);
  }
  return device;
}

Device::~Device() {
  // Explicitly: a child process or a ring may still hold the open file for a while.
  if (fd_.valid() && !block_device_) (void)::flock(fd_.get(), LOCK_UN);
}

Expected<void> Device::open_path(const DeviceOptions& options) {
  struct stat info{};
  if (::stat(path_.c_str(), &info) != 0) return fail_errno(path_, errno);
  block_device_ = S_ISBLK(info.st_mode);
  if (!block_device_ && !S_ISREG(info.st_mode)) {
    return fail(path_ + ": neither a block device nor a regular file");
  }
  const int access = options.read_only ? O_RDONLY : O_RDWR;
  // O_EXCL without O_CREAT claims a block device, against mounts and other claimers.
  const int exclusive = block_device_ && options.exclusive ? O_EXCL : 0;
  const int flags = access | exclusive | O_CLOEXEC | O_NOCTTY;
  Attempts attempts(options.patience);
  do {
    fd_ = FileDescriptor(::open(path_.c_str(), flags | O_DIRECT));
  } while (!fd_.valid() && errno == EBUSY && attempts.another());
  if (!fd_.valid() && errno == EINVAL) {
    if (!options.allow_buffered) {
      return fail(
          path_ +
              ": its file system has no direct I/O, so errors and flushes of the disk could "
              "be missed; --allow-buffered takes it nevertheless",
          kExitRefused);
    }
    fd_ = FileDescriptor(::open(path_.c_str(), flags));
    buffered_ = fd_.valid();
  }
  if (!fd_.valid()) {
    if (errno == EBUSY) {
      return fail(path_ + ": is in use (mounted, or claimed by another program)", kExitRefused);
    }
    return fail_errno(path_, errno);
  }
  // Ring I/O on a file in memory is handed to a kernel thread unless the file is non-blocking.
  if (!block_device_ && lives_in_memory(fd_.get())) {
    inline_fd_ = FileDescriptor(
        ::open(path_.c_str(), access | O_CLOEXEC | O_NONBLOCK | (buffered_ ? 0 : O_DIRECT)));
  }
  return {};
}

Expected<void> Device::lock(const DeviceOptions& options) const {
  if (!options.exclusive || block_device_) return {};
  // flock, not fcntl: it belongs to the open file, so a second opening in this process fails too.
  Attempts attempts(options.patience);
  do {
    if (::flock(fd_.get(), LOCK_EX | LOCK_NB) == 0) return {};
  } while (errno == EWOULDBLOCK && attempts.another());
  if (errno == EWOULDBLOCK) {
    return fail(path_ + ": is in use (locked by another program)", kExitRefused);
  }
  return fail_errno(path_ + ": cannot be locked", errno);
}

Expected<void> Device::measure(const DeviceOptions& options) {
  u64 bytes = 0;
  if (block_device_) {
    int logical = 0;
    unsigned physical = 0;
    if (::ioctl(fd_.get(), BLKGETSIZE64, &bytes) != 0 ||
        ::ioctl(fd_.get(), BLKSSZGET, &logical) != 0 ||
        ::ioctl(fd_.get(), BLKPBSZGET, &physical) != 0) {
      return fail_errno(path_ + ": cannot be measured", errno);
    }
    logical_block_bytes_ = static_cast<u32>(logical);
    physical_block_bytes_ = physical;
    int is_read_only = 0;
    if (::ioctl(fd_.get(), BLKROGET, &is_read_only) == 0 && is_read_only != 0 && !read_only_) {
      return fail(path_ + ": is read-only");
    }
    identity_ = identity_of(fd_.get());
    native_fua_ = has_native_fua(fd_.get());
    has_cache_ = has_write_cache(fd_.get());
  } else {
    struct stat info{};
    if (::fstat(fd_.get(), &info) != 0) return fail_errno(path_, errno);
    bytes = static_cast<u64>(info.st_size);
    logical_block_bytes_ = buffered_ || inline_fd_.valid() ? kSectorBytes : direct_alignment(path_);
    physical_block_bytes_ = logical_block_bytes_;
  }
  const u32 logical = logical_block_bytes_;
  if (logical < kSectorBytes || logical > kMaxLogicalBlockBytes || (logical & (logical - 1)) != 0) {
    return fail(
        fmt::format("{}: has logical blocks of {} bytes, which is not supported", path_, logical));
  }
  odd_bytes_ = bytes % logical;
  if (odd_bytes_ != 0 && options.odd_size == OddSize::refuse) {
    return fail(fmt::format("{}: its size of {} bytes is not a multiple of its logical block of {}",
                            path_, bytes, logical));
  }
  sectors_ = bytes / logical * (logical / kSectorBytes);
  if (sectors_ == 0) return fail(path_ + ": is empty");
  if (sectors_ >= kMaxSectors) return fail(path_ + ": is too large");
  return {};
}

Layer* Device::find_layer(std::string_view kind) const {
  for (Layer* layer = top_.get(); layer != nullptr; layer = layer->below()) {
    if (layer->kind() == kind) return layer;
  }
  return nullptr;
}

int Device::transfer(const LayerIo& io) const {
  if (top_ != nullptr) {
    const LayerResult result = top_->run(io);
    return result.again ? ETIMEDOUT : result.error;
  }
  return make_file_layer(fd_.get())->run(io).error;
}

int Device::read(u64 offset_bytes, std::span<std::byte> to) const {
  return transfer(
      {.op = IoOp::read, .offset = offset_bytes, .length = to.size(), .data = to.data()});
}

int Device::write(u64 offset_bytes, std::span<const std::byte> from) const {
  // A layer never writes through `data` of a write.
  return transfer({.op = IoOp::write,
                   .offset = offset_bytes,
                   .length = from.size(),
                   .data = const_cast<std::byte*>(from.data())});
}

int Device::flush() const { return transfer({.op = IoOp::flush}); }

}  // namespace dmr::runtime

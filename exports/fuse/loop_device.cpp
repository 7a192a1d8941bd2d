// SPDX-License-Identifier: GPL-2.0-or-later
// /dev/loop-control and LOOP_CONFIGURE.
#include "exports/fuse/loop_device.h"

#include <linux/loop.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>

#include <fmt/format.h>

#include "exports/fuse/limits.h"

namespace dmr::fuse {

using runtime::Expected;
using runtime::fail;
using runtime::fail_errno;
using runtime::FileDescriptor;

Expected<LoopDevice> LoopDevice::attach(const std::string& file, u32 block_bytes, bool read_only) {
  const int access = read_only ? O_RDONLY : O_RDWR;
  const FileDescriptor control(open("/dev/loop-control", O_RDWR | O_CLOEXEC));
  if (!control.valid()) return fail_errno("/dev/loop-control", errno);
  const FileDescriptor backing(open(file.c_str(), access | O_DIRECT | O_CLOEXEC));
  if (!backing.valid()) return fail_errno(file, errno);

  loop_config config{};
  config.fd = static_cast<__u32>(backing.get());
  config.block_size = block_bytes;
  config.info.lo_flags = LO_FLAGS_DIRECT_IO | LO_FLAGS_AUTOCLEAR;
  if (read_only) config.info.lo_flags |= LO_FLAGS_READ_ONLY;
  const std::size_t name_bytes = std::min(file.size(), sizeof config.info.lo_file_name - 1);
  std::memcpy(config.info.lo_file_name, file.data(), name_bytes);

  for (unsigned attempt = 0; attempt < kLoopAttempts; ++attempt) {
    const int number = ioctl(control.get(), LOOP_CTL_GET_FREE);
    if (number < 0) return fail_errno("no free loop device", errno);
    std::string path = fmt::format("/dev/loop{}", number);
    FileDescriptor device(open(path.c_str(), access | O_CLOEXEC));
    if (!device.valid()) return fail_errno(path, errno);
    if (ioctl(device.get(), LOOP_CONFIGURE, &config) == 0) {
      return LoopDevice(std::move(path), std::move(device));
    }
    // Somebody else was faster.
    if (errno != EBUSY) return fail_errno(path, errno);
  }
  return fail("no free loop device: others take them faster than they are made");
}

bool LoopDevice::in_use() const {
  const FileDescriptor claim(open(path_.c_str(), O_RDONLY | O_EXCL | O_CLOEXEC));
  return !claim.valid() && errno == EBUSY;
}

LoopDevice::~LoopDevice() {
  if (fd_.valid()) ioctl(fd_.get(), LOOP_CLR_FD);
}

}  // namespace dmr::fuse

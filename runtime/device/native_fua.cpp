// SPDX-License-Identifier: GPL-2.0-or-later
// What the queue of the disk, or of the disk of the partition, says in sysfs.
#include "runtime/device/native_fua.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <string>

#include <fmt/format.h>

#include "runtime/device/first_line.h"

namespace dmr::runtime {

namespace {

bool queue_says(int block_device_fd, const char* name, const char* what) {
  struct stat info{};
  if (::fstat(block_device_fd, &info) != 0 || !S_ISBLK(info.st_mode)) return false;
  const std::string device =
      fmt::format("/sys/dev/block/{}:{}/", major(info.st_rdev), minor(info.st_rdev));
  return first_line(device + "queue/" + name) == what ||
         first_line(device + "../queue/" + name) == what;
}

}  // namespace

bool has_write_cache(int block_device_fd) {
  return !queue_says(block_device_fd, "write_cache", "write through");
}

bool has_native_fua(int block_device_fd) {
  return queue_says(block_device_fd, "fua", "1") || !has_write_cache(block_device_fd);
}

}  // namespace dmr::runtime

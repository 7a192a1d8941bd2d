// SPDX-License-Identifier: GPL-2.0-or-later
// What the queue of the disk, or of the disk of the partition, says in sysfs.
#include "runtime/device/native_fua.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <string>

#include <fmt/format.h>

#include "runtime/device/first_line.h"

namespace dmr::runtime {

bool has_native_fua(int block_device_fd) {
  struct stat info{};
  if (::fstat(block_device_fd, &info) != 0 || !S_ISBLK(info.st_mode)) return false;
  const std::string device =
      fmt::format("/sys/dev/block/{}:{}/", major(info.st_rdev), minor(info.st_rdev));
  const auto says = [&device](const char* name, const char* what) {
    return first_line(device + "queue/" + name) == what ||
           first_line(device + "../queue/" + name) == what;
  };
  return says("fua", "1") || says("write_cache", "write through");
}

}  // namespace dmr::runtime

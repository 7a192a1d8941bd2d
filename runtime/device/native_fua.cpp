// SPDX-License-Identifier: GPL-2.0-or-later
// What the queue of the disk, or of the disk of the partition, says in sysfs.
#include "runtime/device/native_fua.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <fstream>
#include <string>

#include <fmt/format.h>

namespace dmr::runtime {

bool has_native_fua(int block_device_fd) {
  struct stat info{};
  if (::fstat(block_device_fd, &info) != 0 || !S_ISBLK(info.st_mode)) return false;
  const std::string device =
      fmt::format("/sys/dev/block/{}:{}/", major(info.st_rdev), minor(info.st_rdev));
  const auto line_of = [&device](const char* name) {
    std::string line;
    for (const char* queue : {"queue/", "../queue/"}) {
      std::ifstream file(device + queue + name);
      if (std::getline(file, line)) break;
    }
    return line;
  };
  return line_of("fua") == "1" || line_of("write_cache") == "write through";
}

}  // namespace dmr::runtime

// SPDX-License-Identifier: GPL-2.0-or-later
// Reads /sys and /proc about block devices.
#include "cli/device/sysfs.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

#include <fmt/format.h>

#include "runtime/device/first_line.h"

namespace dmr::cli {
namespace {

namespace fs = std::filesystem;

}  // namespace

std::string loop_device_on(const std::string& path) {
  struct stat wanted{};
  if (stat(path.c_str(), &wanted) != 0) return "";
  std::error_code error;
  for (const auto& disk : fs::directory_iterator("/sys/block", error)) {
    const std::string file = runtime::first_line(disk.path() / "loop/backing_file");
    struct stat found{};
    if (file.empty() || stat(file.c_str(), &found) != 0) continue;
    if (found.st_dev == wanted.st_dev && found.st_ino == wanted.st_ino) {
      return "/dev/" + disk.path().filename().string();
    }
  }
  return "";
}

std::string mounted_at(const std::string& path) {
  struct stat wanted{};
  if (stat(path.c_str(), &wanted) != 0 || !S_ISBLK(wanted.st_mode)) return "";
  std::ifstream mounts("/proc/self/mountinfo");
  // ID, parent, MAJOR:MINOR, root, TARGET, ...: see proc(5).
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream fields(line);
    std::string id;
    std::string parent;
    std::string number;
    std::string root;
    std::string target;
    fields >> id >> parent >> number >> root >> target;
    if (number == fmt::format("{}:{}", major(wanted.st_rdev), minor(wanted.st_rdev))) return target;
  }
  return "";
}

std::string block_device_path(const std::string& number) {
  std::error_code error;
  const fs::path folder = fs::canonical("/sys/dev/block/" + number, error);
  if (error) return "";
  std::string name = folder.filename().string();
  std::replace(name.begin(), name.end(), '!', '/');
  return "/dev/" + name;
}

std::vector<std::string> all_block_devices() {
  std::vector<std::string> paths;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/sys/class/block", error)) {
    std::string name = entry.path().filename().string();
    std::replace(name.begin(), name.end(), '!', '/');  // how sysfs writes cciss/c0d0
    const std::string size = runtime::first_line(entry.path() / "size");
    if (!size.empty() && size != "0") paths.push_back("/dev/" + name);
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace dmr::cli

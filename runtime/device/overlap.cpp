// SPDX-License-Identifier: GPL-2.0-or-later
// Members that share sectors: one device under two names, a disk and its own partition, a loop
// device and its backing file.
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "runtime/device/device.h"

namespace dmr::runtime {
namespace {

namespace fs = std::filesystem;

struct Slice {
  bool known = false;
  std::string disk;  // sysfs folder of the whole disk
  u64 begin = 0;     // sectors of that disk
  u64 sectors = 0;
};

u64 read_number(const fs::path& path) {
  std::ifstream in(path);
  u64 value = 0;
  in >> value;
  return value;
}

Slice slice_of(const Device& device, const struct stat& info) {
  const fs::path link =
      fmt::format("/sys/dev/block/{}:{}", major(info.st_rdev), minor(info.st_rdev));
  std::error_code error;
  const fs::path folder = fs::canonical(link, error);
  if (error) return {};
  if (!fs::exists(folder / "partition", error)) {
    return {.known = true, .disk = folder.string(), .begin = 0, .sectors = device.sectors()};
  }
  return {.known = true,
          .disk = folder.parent_path().string(),
          .begin = read_number(folder / "start"),
          .sectors = device.sectors()};
}

// The file that a loop device (or a partition of one) is made of; empty for others.
std::string backing_file(const Slice& slice) {
  if (!slice.known) return {};
  std::ifstream in(fs::path(slice.disk) / "loop" / "backing_file");
  std::string path;
  std::getline(in, path);
  return path;
}

bool same_file(const std::string& path, const struct stat& info) {
  struct stat other{};
  return !path.empty() && ::stat(path.c_str(), &other) == 0 && other.st_dev == info.st_dev &&
         other.st_ino == info.st_ino;
}

}  // namespace

std::string overlap_of(const Device& a, const Device& b) {
  struct stat info_a{};
  struct stat info_b{};
  if (::fstat(a.fd(), &info_a) != 0 || ::fstat(b.fd(), &info_b) != 0) {
    return fmt::format("{} and {} cannot be told apart", a.path(), b.path());
  }
  const std::string both = fmt::format("{} and {}", a.path(), b.path());
  if (!a.is_block_device() && !b.is_block_device()) {
    const bool same = info_a.st_dev == info_b.st_dev && info_a.st_ino == info_b.st_ino;
    return same ? both + " are the same file" : std::string();
  }
  const Slice slice_a = a.is_block_device() ? slice_of(a, info_a) : Slice{};
  const Slice slice_b = b.is_block_device() ? slice_of(b, info_b) : Slice{};
  if (a.is_block_device() && b.is_block_device()) {
    if (info_a.st_rdev == info_b.st_rdev) return both + " are the same device";
    const std::string file = backing_file(slice_a);
    if (!file.empty() && slice_a.disk != slice_b.disk && file == backing_file(slice_b)) {
      return both + " are loop devices on one file";
    }
    const bool overlap = slice_a.known && slice_b.known && slice_a.disk == slice_b.disk &&
                         slice_a.begin < slice_b.begin + slice_b.sectors &&
                         slice_b.begin < slice_a.begin + slice_a.sectors;
    return overlap ? both + " share sectors: one is a part of the other" : std::string();
  }
  const bool on_it = a.is_block_device() ? same_file(backing_file(slice_a), info_b)
                                         : same_file(backing_file(slice_b), info_a);
  return on_it ? both + " are a loop device and its own file" : std::string();
}

}  // namespace dmr::runtime

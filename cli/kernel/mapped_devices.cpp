// SPDX-License-Identifier: GPL-2.0-or-later
// Reads /sys/block/dm-*.
#include "cli/kernel/mapped_devices.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <system_error>

#include "cli/device/sysfs.h"
#include "runtime/device/first_line.h"

namespace dmr::cli {
namespace {

namespace fs = std::filesystem;

u64 number_in(const fs::path& path) {
  std::ifstream file(path);
  u64 number = 0;
  file >> number;
  return number;
}

std::vector<std::string> numbers_in(const fs::path& folder) {
  std::vector<std::string> numbers;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    numbers.push_back(runtime::first_line(entry.path() / "dev"));
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

}  // namespace

std::vector<MappedDevice> mapped_devices(const std::string& folder) {
  std::vector<MappedDevice> devices;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string number = entry.path().filename().string();
    if (!number.starts_with("dm-")) continue;
    MappedDevice device{.name = runtime::first_line(entry.path() / "dm/name"),
                        .uuid = runtime::first_line(entry.path() / "dm/uuid"),
                        .path = "/dev/" + number,
                        .sectors = number_in(entry.path() / "size"),
                        .members = numbers_in(entry.path() / "slaves"),
                        .is_volume = false};
    if (device.name.empty()) continue;  // on its way up or down
    // The folder tells those that were made with dmsetup, too.
    device.is_volume =
        device.uuid.starts_with(kMappingPrefix) || fs::exists(entry.path() / "remap", error);
    devices.push_back(std::move(device));
  }
  std::sort(devices.begin(), devices.end(),
            [](const MappedDevice& a, const MappedDevice& b) { return a.name < b.name; });
  return devices;
}

bool is_in_kernel(const DeviceMapper& mapper, std::string_view name) {
  const std::vector<MappedDevice> devices = mapper.devices();
  return std::any_of(devices.begin(), devices.end(), [&](const MappedDevice& device) {
    return device.is_volume && device.name == name;
  });
}

std::string path_of(const MappedDevice& device) {
  std::string named = "/dev/mapper/" + device.name;
  struct stat info{};
  const bool is_there = stat(named.c_str(), &info) == 0 && S_ISBLK(info.st_mode);
  return is_there ? named : device.path;
}

}  // namespace dmr::cli

// SPDX-License-Identifier: GPL-2.0-or-later
// Looks through the running volumes, then asks sysfs and the list of mounts.
#include "cli/client/in_use.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string_view>
#include <system_error>

#include <fmt/format.h>

#include "cli/client/link.h"
#include "cli/device/sysfs.h"
#include "runtime/control/client.h"
#include "runtime/control/paths.h"

namespace dmr::cli {
namespace {

namespace fs = std::filesystem;

// Where sysfs keeps the device: a partition lies in the folder of its disk.
std::string folder_of(const std::string& number) {
  std::error_code error;
  const fs::path folder = fs::canonical("/sys/dev/block/" + number, error);
  return error ? "" : folder.string() + "/";
}

// The same device, or a disk and its own partition.
bool overlap(const std::string& a, const std::string& b) {
  if (a == b) return true;
  const std::string x = folder_of(a);
  const std::string y = folder_of(b);
  return !x.empty() && !y.empty() && (x.starts_with(y) || y.starts_with(x));
}

std::string number_of(const struct stat& info) {
  return fmt::format("{}:{}", major(info.st_rdev), minor(info.st_rdev));
}

std::string mapped_volume_on(const std::string& number, const DeviceMapper& mapper) {
  for (const MappedDevice& device : mapper.devices()) {
    if (!device.is_volume) continue;
    const bool is_member =
        std::any_of(device.members.begin(), device.members.end(),
                    [&](const std::string& member) { return overlap(member, number); });
    if (is_member) return device.name;
  }
  return "";
}

// Of the servers that answer this user.
std::string served_volume_on(const struct stat& wanted) {
  for (const std::string& name : runtime::running_names()) {
    auto client = runtime::ControlClient::connect(name, std::chrono::seconds(1));
    if (!client) continue;
    const auto status = client->call({{"op", "status"}}, std::chrono::seconds(5));
    if (!status) continue;
    for (const auto& member : status->at("members")) {
      struct stat info{};
      if (!member.at("path").is_string() ||
          stat(member.at("path").get<std::string>().c_str(), &info) != 0) {
        continue;
      }
      const bool is_it = S_ISBLK(wanted.st_mode)
                             ? S_ISBLK(info.st_mode) && overlap(number_of(info), number_of(wanted))
                             : info.st_dev == wanted.st_dev && info.st_ino == wanted.st_ino;
      if (is_it) return name;
    }
  }
  return "";
}

std::string holder_of(const std::string& number) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder_of(number) + "holders", error)) {
    return "/dev/" + entry.path().filename().string();
  }
  return "";
}

std::string volume_text(const std::string& name, std::string_view where) {
  return fmt::format("the running volume `{}`{} (`dm-remap stop {}` ends it)", name, where, name);
}

}  // namespace

std::string user_of(const std::string& path, const DeviceMapper& mapper) {
  struct stat info{};
  if (stat(path.c_str(), &info) != 0) return "";
  if (const std::string name = served_volume_on(info); !name.empty()) return volume_text(name, "");
  if (!S_ISBLK(info.st_mode)) return "";
  const std::string number = number_of(info);
  if (const std::string name = mapped_volume_on(number, mapper); !name.empty()) {
    return volume_text(name, " in the kernel");
  }
  if (const std::string mount = mounted_at(path); !mount.empty()) return "a mount on " + mount;
  return holder_of(number);
}

}  // namespace dmr::cli

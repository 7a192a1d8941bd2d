// SPDX-License-Identifier: GPL-2.0-or-later
// Asking udev, which also knows sysfs.
#include "runtime/device/identity.h"

#include <sys/stat.h>

#include <libudev.h>
#include <memory>

#include "core/format/format.h"

namespace dmr::runtime {
namespace {

struct UdevUnref {
  void operator()(udev* object) const { udev_unref(object); }
  void operator()(udev_device* object) const { udev_device_unref(object); }
};

std::string trimmed(const char* text) {
  if (text == nullptr) return {};
  std::string result(text);
  result.erase(0, result.find_first_not_of(" \t\r\n"));
  result.erase(result.find_last_not_of(" \t\r\n") + 1);
  // '|' separates the fields.
  for (char& c : result) {
    if (c == '|' || static_cast<unsigned char>(c) < 0x20) c = '_';
  }
  return result;
}

std::string property(udev_device* device, const char* name, const char* attribute) {
  std::string value = trimmed(udev_device_get_property_value(device, name));
  if (value.empty()) value = trimmed(udev_device_get_sysattr_value(device, attribute));
  return value;
}

}  // namespace

std::string identity_of(int block_device_fd) {
  struct stat info{};
  if (::fstat(block_device_fd, &info) != 0 || !S_ISBLK(info.st_mode)) return {};
  const std::unique_ptr<udev, UdevUnref> context(udev_new());
  if (context == nullptr) return {};
  const std::unique_ptr<udev_device, UdevUnref> device(
      udev_device_new_from_devnum(context.get(), 'b', info.st_rdev));
  if (device == nullptr) return {};

  udev_device* disk = device.get();
  std::string partition;
  const char* type = udev_device_get_devtype(device.get());
  if (type != nullptr && std::string(type) == "partition") {
    partition = trimmed(udev_device_get_sysattr_value(device.get(), "partition"));
    udev_device* parent = udev_device_get_parent_with_subsystem_devtype(disk, "block", "disk");
    if (parent != nullptr) disk = parent;  // belongs to `device`
  }
  const std::string serial = property(disk, "ID_SERIAL", "device/serial");
  const std::string wwn = property(disk, "ID_WWN", "wwid");
  if (serial.empty() && wwn.empty()) return {};
  std::string result = serial;
  result += '|';
  result += wwn;
  if (!partition.empty()) result += "|part" + partition;
  // One byte is left for the terminating zero on disk.
  if (result.size() >= format::kIdentityBytes) result.resize(format::kIdentityBytes - 1);
  return result;
}

}  // namespace dmr::runtime

// SPDX-License-Identifier: GPL-2.0-or-later
// Opens devices under their role and examines them.
#include "cli/device/member.h"

#include <linux/fs.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <unistd.h>

#include <fmt/format.h>

#include "cli/client/in_use.h"
#include "cli/device/content.h"
#include "cli/device/sysfs.h"
#include "cli/metadata/survey.h"
#include "runtime/device/layer.h"

namespace dmr::cli {
namespace {

std::string path_of_spec(const std::string& spec) {
  const auto parsed = runtime::parse_spec(spec);
  return parsed ? parsed->path : spec;
}

}  // namespace

Expected<DevicePtr> open_member(const std::string& role, const std::string& spec,
                                const runtime::DeviceOptions& options) {
  Expected<DevicePtr> device = runtime::Device::open(spec, options);
  if (!device) {
    const bool is_refused = device.error().exit_code == runtime::kExitRefused;
    const std::string user = is_refused ? user_of(path_of_spec(spec), system_mapper()) : "";
    if (!user.empty()) {
      return refused(fmt::format("{} {}: is in use by {}", role, path_of_spec(spec), user));
    }
    return runtime::fail(fmt::format("{} {}", role, device.error().message),
                         device.error().exit_code);
  }
  if (options.exclusive && !(*device)->is_block_device()) {
    const std::string loop = loop_device_on((*device)->path());
    if (!loop.empty()) {
      return refused(
          fmt::format("{} {}: is in use by {}; name that device, or detach it with "
                      "`losetup -d {}`",
                      role, (*device)->path(), loop, loop));
    }
  }
  return device;
}

Expected<void> check_apart(const std::vector<NamedMember>& members) {
  std::vector<DevicePtr> devices;
  for (const NamedMember& member : members) {
    auto device = open_member(member.role, member.spec, kLook);
    if (!device) return std::unexpected(device.error());
    for (const DevicePtr& other : devices) {
      const std::string overlap = runtime::overlap_of(*other, **device);
      if (!overlap.empty()) {
        return refused(fmt::format("{}; give each member a device of its own", overlap));
      }
    }
    devices.push_back(std::move(*device));
  }
  return {};
}

Expected<void> check_writable(const std::string& role, const runtime::Device& device,
                              const char* advice) {
  int read_only = 0;
  const bool is_read_only = device.is_block_device()
                                ? ioctl(device.fd(), BLKROGET, &read_only) == 0 && read_only != 0
                                : access(device.path().c_str(), W_OK) != 0;
  if (!is_read_only) return {};
  return failed(fmt::format("{} {}: is read-only; {}", role, device.path(), advice));
}

Expected<void> check_no_metadata(const std::string& role, const runtime::Device& device) {
  const Survey found = survey(device);
  if (!found.ours()) return {};
  const SuperblockCopy* const intact = found.newest_intact();
  const std::string volume = intact == nullptr ? "a volume whose superblock is damaged"
                                               : fmt::format("volume `{}`", name_of(intact->block));
  const char* const advice =
      role == "main" ? "are main and spare swapped?" : "to use it anew and lose that volume,";
  return refused(fmt::format("{} {}: is a spare of {} (dm-remap); {} --force overrides", role,
                             device.path(), volume, advice));
}

Expected<void> check_no_content(const std::string& role, const runtime::Device& device) {
  const Expected<std::string> content = content_of(device);
  if (!content) {
    return refused(
        fmt::format("{} {}; --force takes it nevertheless", role, content.error().message));
  }
  if (content->empty()) return {};
  return refused(fmt::format("{} {}: holds {}, which would be destroyed; --force overrides", role,
                             device.path(), *content));
}

MemberDevice member_device(const OfflineDisk& device) {
  MemberDevice member;
  member.present = true;
  member.sectors = device.sectors();
  member.logical_block_bytes = device.logical_block_bytes();
  const std::size_t length =
      std::min<std::size_t>(device.identity().size(), format::kIdentityBytes - 1);
  std::copy_n(device.identity().begin(), length, member.identity);
  return member;
}

}  // namespace dmr::cli

// SPDX-License-Identifier: GPL-2.0-or-later
// Opens the members of a stopped volume.
#include "cli/metadata/stopped_set.h"

#include <fmt/format.h>

#include "cli/client/link.h"

namespace dmr::cli {
namespace {

// Whose it is, when the device is in use: a hint that leads further than "busy".
std::string running_volume_on(const std::string& spec) {
  const auto device = runtime::Device::open(spec, kLook);
  if (!device) return "";
  const Survey found = survey(**device);
  if (found.newest() == nullptr) return "";
  const std::string name = name_of(*found.newest());
  return runner_of(name, system_mapper()).empty() ? "" : name;
}

Expected<DevicePtr> open_stopped(const std::string& spec, bool is_written,
                                 std::chrono::milliseconds patience) {
  auto device = open_member(
      "device", spec,
      {.read_only = !is_written, .exclusive = true, .allow_buffered = true, .patience = patience});
  if (device) return device;
  const std::string name = running_volume_on(spec);
  if (name.empty()) return device;
  return refused(
      fmt::format("device {}: belongs to the running volume `{}`; stop it first "
                  "(`dm-remap stop {}`)",
                  spec, name, name));
}

}  // namespace

std::vector<const OfflineDisk*> OpenDisks::all() const {
  std::vector<const OfflineDisk*> pointers;
  for (const auto& disk : disks) pointers.push_back(disk.get());
  return pointers;
}

Expected<OpenDisks> open_disks(const std::vector<std::string>& specs,
                               const std::vector<bool>& is_written,
                               std::chrono::milliseconds patience) {
  DMR_ASSERT(specs.size() == is_written.size());
  if (specs.size() > kMaxMembers) {
    return misused(fmt::format("{} devices given; a volume has at most {} members", specs.size(),
                               kMaxMembers));
  }
  std::vector<NamedMember> named;
  for (const std::string& spec : specs) named.push_back({"device", spec});
  if (auto apart = check_apart(named); !apart) return std::unexpected(apart.error());
  OpenDisks opened;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    auto device = open_stopped(specs[i], is_written[i], patience);
    if (!device) return std::unexpected(device.error());
    opened.disks.push_back(std::make_unique<DeviceDisk>(**device));
    opened.devices.push_back(std::move(*device));
  }
  return opened;
}

Expected<StoppedSet> open_set(const std::vector<std::string>& specs, Purpose purpose) {
  std::vector<bool> is_written(specs.size(), false);
  auto opened = open_disks(specs, is_written);
  if (!opened) return std::unexpected(opened.error());
  auto set = arrange(opened->all());
  if (!set) return std::unexpected(set.error());
  if (purpose == Purpose::mend) {
    // Who is main is known only now: it stays closed to writing.
    for (std::size_t i = 0; i < specs.size(); ++i) {
      is_written[i] = set->disk[kMain] != opened->disks[i].get();
    }
    *opened = OpenDisks{};
    opened = open_disks(specs, is_written);
    if (!opened) return std::unexpected(opened.error());
    set = arrange(opened->all());
    if (!set) return std::unexpected(set.error());
    for (std::size_t i = 0; i < specs.size(); ++i) {
      const bool is_main = set->disk[kMain] == opened->disks[i].get();
      if (is_main == is_written[i]) {
        return failed(fmt::format("{}: has changed meanwhile; try again", specs[i]));
      }
    }
  }
  return StoppedSet{.opened = std::move(*opened), .set = *set};
}

}  // namespace dmr::cli

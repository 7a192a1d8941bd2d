// SPDX-License-Identifier: GPL-2.0-or-later
// Who runs a volume: a server that holds the lock of its name, or the kernel.
#include "cli/client/link.h"

#include <algorithm>

#include <fmt/format.h>

#include "cli/client/socket_link.h"
#include "cli/kernel/kernel_link.h"
#include "cli/state/hints.h"
#include "runtime/control/paths.h"

namespace dmr::cli {

Expected<std::unique_ptr<VolumeLink>> open_link(const std::string& name, DeviceMapper& mapper) {
  if (runtime::NameLock::holder(name) != 0) return SocketLink::open(name);
  if (is_in_kernel(mapper, name)) return std::make_unique<KernelLink>(name, mapper);
  if (auto path = runtime::socket_path(name, ".sock"); !path) return std::unexpected(path.error());
  // A note that cannot be read is one: then the volume is known.
  const auto hint = read_hint(name);
  if (hint && !*hint) {
    return failed(
        fmt::format("no volume `{}` is known here; `dm-remap list` shows those that are", name));
  }
  return failed(
      fmt::format("volume `{}` is not running; start it with `dm-remap start {}`", name, name));
}

std::vector<std::string> running_volumes(const DeviceMapper& mapper) {
  std::vector<std::string> names = runtime::running_names();
  for (const MappedDevice& device : mapper.devices()) {
    if (device.is_volume && runtime::valid_name(device.name)) names.push_back(device.name);
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

std::string runner_of(const std::string& name, const DeviceMapper& mapper) {
  if (const int process = runtime::NameLock::holder(name); process != 0) {
    return fmt::format("process {}", process);
  }
  return is_in_kernel(mapper, name) ? "in the kernel" : "";
}

}  // namespace dmr::cli

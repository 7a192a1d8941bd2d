// SPDX-License-Identifier: GPL-2.0-or-later
// `dm-remap stop`: ends a running volume cleanly and waits until it has ended.
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "cli/app/sizes.h"
#include "cli/client/session.h"
#include "cli/commands/commands.h"
#include "cli/device/openers.h"
#include "cli/device/sysfs.h"

namespace dmr::cli {
namespace {

constexpr CommandText kStopText{
    .name = "stop",
    .group = "Use",
    .summary = "End a running volume",
    .explanation =
        "Finishes the requests that are under way, writes the map in full, and ends the server or\n"
        "the kernel's mapping. Unmount what is on the volume first: a device in use is refused.\n"
        "Returns when all has ended, so that the devices are free.",
    .examples = "  umount /mnt && dm-remap stop tank"};

struct StopOptions {
  std::string name;
  unsigned timeout_s = 120;
  bool force = false;
};

// The block devices that a server serves the volume as.
std::vector<std::string> devices_of(const nlohmann::json& status) {
  std::vector<std::string> devices;
  for (const auto& exported : status.value("exports", nlohmann::json::array())) {
    const auto device = exported.find("device");
    const auto path = exported.find("path");
    for (const auto& place : {device, path}) {
      if (place == exported.end() || !place->is_string()) continue;
      devices.push_back(place->get<std::string>());
    }
  }
  return devices;
}

// Whom the end of the volume would cost data. Of one in the kernel the device mapper knows its
// users, and KernelLink asks it.
Expected<void> check_unused(const std::string& name, const nlohmann::json& status) {
  for (const std::string& device : devices_of(status)) {
    if (const std::string target = mounted_at(device); !target.empty()) {
      return refused(
          fmt::format("volume `{}` is mounted on {}; unmount it first, or --force to "
                      "pull it out from under the file system",
                      name, target));
    }
    if (status.at("pid").is_null()) continue;
    const std::string opener = opener_of(device, status.at("pid").get<int>());
    if (opener.empty()) continue;
    return refused(
        fmt::format("volume `{}` is in use: {} has {} open; end that first, or --force "
                    "to pull it out",
                    name, opener, device));
  }
  return {};
}

Expected<Exit> stop(const StopOptions& options) {
  auto session = Session::open(options.name);
  if (!session) return std::unexpected(session.error());
  if (!options.force) {
    const auto status = session->status();
    if (!status) return std::unexpected(status.error());
    if (auto unused = check_unused(options.name, *status); !unused) {
      return std::unexpected(unused.error());
    }
  }
  const std::chrono::seconds timeout(options.timeout_s);
  if (auto stopped = session->stop(timeout, options.force); !stopped) {
    return std::unexpected(stopped.error());
  }
  return Exit::ok;
}

}  // namespace

void add_stop(CommandLine& line) {
  Command& command = line.add(kStopText);
  const auto options = std::make_shared<StopOptions>();
  add_name(command, options->name);
  command.add_option("--timeout", options->timeout_s, "How long to wait for its end (120)")
      ->type_name("SECONDS")
      ->check(within(1, 86'400));
  command.add_flag("--force", options->force, "Also when it is in use: writes may be lost");
  line.on_run(command, [options] { return stop(*options); });
}

}  // namespace dmr::cli

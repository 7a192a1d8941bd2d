// SPDX-License-Identifier: GPL-2.0-or-later
// `dm-remap stop`: ends a running volume cleanly and waits until it has ended.
#include <chrono>
#include <memory>
#include <string>

#include <fmt/format.h>

#include "cli/app/sizes.h"
#include "cli/client/session.h"
#include "cli/commands/commands.h"
#include "cli/device/sysfs.h"

namespace dmr::cli {
namespace {

constexpr CommandText kStopText{
    .name = "stop",
    .group = "Use",
    .summary = "End a running volume",
    .explanation =
        "Finishes the requests that are under way, writes the map in full, and ends the server or\n"
        "the kernel's mapping. Unmount what is on the volume first: a mounted device is refused.\n"
        "Returns when all has ended, so that the devices are free.",
    .examples = "  umount /mnt && dm-remap stop tank"};

struct StopOptions {
  std::string name;
  unsigned timeout_s = 120;
  bool force = false;
};

// Where something of the volume is mounted, or "".
std::string mount_point_of(const nlohmann::json& status) {
  for (const auto& exported : status.value("exports", nlohmann::json::array())) {
    for (const char* key : {"path", "device"}) {
      const auto path = exported.find(key);
      if (path == exported.end() || !path->is_string()) continue;
      std::string target = mounted_at(path->get<std::string>());
      if (!target.empty()) return target;
    }
  }
  return "";
}

Expected<Exit> stop(const StopOptions& options) {
  auto session = Session::open(options.name);
  if (!session) return std::unexpected(session.error());
  if (!options.force) {
    const auto status = session->status();
    if (!status) return std::unexpected(status.error());
    const std::string target = mount_point_of(*status);
    if (!target.empty()) {
      return refused(
          fmt::format("volume `{}` is mounted on {}; unmount it first, or --force to pull "
                      "it out from under the file system",
                      options.name, target));
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
  command.add_flag("--force", options->force, "Also when it is mounted: writes may be lost");
  line.on_run(command, [options] { return stop(*options); });
}

}  // namespace dmr::cli

// SPDX-License-Identifier: GPL-2.0-or-later
// Opens, exports, waits and closes, in that order and back.
#include "cli/server/serve.h"

#include <chrono>
#include <csignal>
#include <memory>
#include <vector>

#include "cli/device/member.h"
#include "cli/metadata/findings.h"
#include "cli/server/stop_event.h"
#include "runtime/control/paths.h"
#include "runtime/control/volume_control.h"
#include "runtime/volume/log_line.h"

namespace dmr::cli {
namespace {

// With devices that a killed server's rings still hold.
constexpr std::chrono::milliseconds kPatience{3'000};

struct Opened {
  DevicePtr main;
  std::vector<DevicePtr> spares;
};

Expected<Opened> open_devices(const ServeOptions& options) {
  const runtime::DeviceOptions how{.read_only = options.read_only,
                                   .allow_buffered = options.allow_buffered,
                                   .patience = kPatience};
  if (auto well = check_members(options); !well) return std::unexpected(well.error());
  Opened opened;
  auto main = open_member("main", options.members.main, how);
  if (!main) return std::unexpected(main.error());
  opened.main = std::move(*main);
  for (const std::string& spec : options.members.spares) {
    auto spare = open_member("spare", spec, how);
    if (!spare) return std::unexpected(spare.error());
    opened.spares.push_back(std::move(*spare));
  }
  return opened;
}

void warn_of_buffering(const Opened& opened) {
  bool is_buffered = opened.main->buffered();
  for (const DevicePtr& spare : opened.spares) is_buffered = is_buffered || spare->buffered();
  if (!is_buffered) return;
  runtime::log_line(
      "dm-remap: warning: --allow-buffered: errors of a disk below may be noticed late, and a "
      "flush "
      "reaches only as far as the file system");
}

Expected<std::unique_ptr<runtime::UserVolume>> open_volume(const ServeOptions& options) {
  auto opened = open_devices(options);
  if (!opened) return std::unexpected(opened.error());
  warn_of_buffering(*opened);
  const runtime::VolumeOptions how{.name = options.exported.name,
                                   .read_only = options.read_only,
                                   .allow_degraded = options.degraded,
                                   .ignore_identity = options.ignore_identity,
                                   .config = {}};
  std::vector<Finding> findings;
  auto volume =
      runtime::UserVolume::open(std::move(opened->main), std::move(opened->spares), how, &findings);
  if (volume)
    print_findings(findings, options.members.members,
                   {.repaired = (*volume)->writable(), .degraded = options.degraded});
  return volume;
}

}  // namespace

Expected<void> check_members(const ServeOptions& options) {
  std::vector<NamedMember> named{{"main", options.members.main}};
  for (const std::string& spec : options.members.spares) named.push_back({"spare", spec});
  if (auto apart = check_apart(named); !apart) return apart;
  if (options.read_only) return {};
  for (const NamedMember& member : named) {
    const auto device = open_member(member.role, member.spec, kLook);
    if (!device) return std::unexpected(device.error());
    if (auto writable = check_writable(member.role, **device,
                                       "--read-only starts the volume without writing anything");
        !writable) {
      return writable;
    }
  }
  return {};
}

Expected<Exit> serve(const ServeOptions& options,
                     const std::function<bool(const std::string& path)>& ready) {
  std::signal(SIGPIPE, SIG_IGN);  // who reads the log may leave, and the volume stays
  const std::string& name = options.exported.name;
  if (auto folder = runtime::prepare_runtime_directory(); !folder) {
    return std::unexpected(folder.error());
  }
  if (auto path = runtime::socket_path(name, ".sock"); !path) {
    return std::unexpected(path.error());
  }
  auto lock = runtime::NameLock::take(name);
  if (!lock) return std::unexpected(lock.error());
  auto stop = StopEvent::make();
  if (!stop) return std::unexpected(stop.error());
  auto volume = open_volume(options);
  if (!volume) return std::unexpected(volume.error());
  (void)runtime::protect_process();  // as far as this user may; nothing depends on it
  auto exported = start_export(**volume, options.exported);
  if (!exported) return std::unexpected(exported.error());
  runtime::ControlContext context{.volume = volume->get(),
                                  .stop = [&stop] { (*stop)->raise(); },
                                  .exports = nlohmann::json::array({(*exported)->json()})};
  auto control = runtime::ControlServer::start(name, runtime::volume_handler(std::move(context)));
  if (!control) return std::unexpected(control.error());

  if (ready((*exported)->path())) (void)(*stop)->wait();
  (*volume)->end_commands();  // while their senders can still be told how far they came
  (*exported)->stop();
  control->reset();
  if (auto closed = (*volume)->close(); !closed) return std::unexpected(closed.error());
  return Exit::ok;
}

}  // namespace dmr::cli

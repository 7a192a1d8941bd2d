// SPDX-License-Identifier: GPL-2.0-or-later
// Requests of the control socket turned into calls of the volume, and its answers into JSON.
#include "runtime/control/volume_control.h"

#include <algorithm>
#include <unistd.h>

#include <fmt/format.h>

#include "core/format/validate.h"
#include "runtime/control/ranges.h"
#include "runtime/control/scrub_order.h"
#include "runtime/device/errno_status.h"
#include "runtime/volume/superblock_scan.h"

namespace dmr::runtime {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMapPage = 10'000;  // runs in one answer, at most
constexpr std::size_t kEventPage = 1'000;
constexpr u64 kForever = 1'000'000;  // seconds

Json map_page(UserVolume& volume, const Json& request) {
  u64 cursor = request.value("cursor", u64{0});
  const auto limit =
      std::clamp<std::size_t>(request.value("limit", std::size_t{1000}), 1, kMapPage);
  const std::vector<Run> runs = volume.map(cursor, limit);
  return Json{{"block_sectors", volume.geometry().block_sectors},
              {"runs", map_json(runs, volume.geometry())},
              {"cursor", cursor},
              {"done", runs.size() < limit}};
}

Json event_page(UserVolume& volume, const Json& request) {
  const u64 after = request.value("after", u64{0});
  const auto limit =
      std::clamp<std::size_t>(request.value("limit", std::size_t{100}), 1, kEventPage);
  Json list = Json::array();
  for (const LoggedEvent& entry : volume.events().since(after, limit)) {
    list.push_back(event_json(entry));
  }
  return Json{{"events", std::move(list)}, {"newest", volume.events().newest()}};
}

void run_command(UserVolume& volume, CommandKind kind, const Json& request,
                 const Responder& responder) {
  std::vector<SectorRange> ranges;
  if (kind != CommandKind::checkpoint) {
    auto parsed = ranges_of(request, volume.sectors());
    if (!parsed) return responder.error(parsed.error());
    ranges = std::move(*parsed);
  }
  const u64 seconds = request.value("max_seconds", kForever);
  const u64 until_ns = seconds < kForever ? monotonic_ns() + seconds * kSecond : ~u64{0};
  volume.command(
      kind, std::move(ranges),
      [responder](const CommandResult& result) {
        responder.ok(Json{
            {"status", name_of(result.status)},
            {"blocks_changed", result.blocks_changed},
            {"blocks_unchanged", result.blocks_unchanged},
            {"sectors_lost", result.sectors_lost},
            {"bad_sector", result.status == Status::ok ? Json() : Json(result.bad_sector.value)},
            {"rest", result.rest ? Json(result.rest->value) : Json()}});
      },
      until_ns);
}

void run_faults(UserVolume& volume, const Json& request, const Responder& responder) {
  const u64 member = request.value("member", u64{0});
  const std::string kind = request.value("layer", "faulty");
  const std::vector<Device*> devices = volume.devices();
  Device* device = member < devices.size() ? devices[member] : nullptr;
  if (device == nullptr) {
    return responder.error(Error{fmt::format("there is no member {}", member), kExitUsage});
  }
  Layer* layer = device->find_layer(kind);
  if (layer == nullptr) {
    return responder.error(
        Error{fmt::format("{}: has no `{}` decorator", device->path(), kind), kExitUsage});
  }
  auto answer = layer->control(request.value("request", Json::object()));
  if (answer) {
    responder.ok(std::move(*answer));
  } else {
    responder.error(answer.error());
  }
}

void run_scrub(UserVolume& volume, const Json& request, const Responder& responder) {
  const auto parsed = scrub_order_of(request, volume.sectors(), volume.stats().scrub);
  if (!parsed) return responder.error(parsed.error());
  const ScrubOrder order = *parsed;
  if (order.kib_per_s) (void)volume.set_scrub_rate(*order.kib_per_s);  // it is in its range
  const Status status = volume.scrub(order.action, order.from.value_or(Sector(0)));
  if (status == Status::closed) return responder.error(Error{"the volume is being stopped"});
  // It may have ended since it was looked at.
  if (status != Status::ok) return responder.error(nothing_to_pause());
  responder.ok(Json{{"scrub", scrub_json(volume.stats().scrub, volume.scrub_rate())}});
}

void handle(const ControlContext& context, const Json& request, const Responder& responder) {
  UserVolume& volume = *context.volume;
  const std::string op = request.value("op", "");
  if (op == "status") {
    Json status = status_json(volume);
    status["exports"] = context.exports;
    responder.ok(std::move(status));
  } else if (op == "map") {
    responder.ok(map_page(volume, request));
  } else if (op == "events") {
    responder.ok(event_page(volume, request));
  } else if (op == "mark") {
    run_command(volume, CommandKind::mark, request, responder);
  } else if (op == "forget") {
    run_command(volume, CommandKind::forget, request, responder);
  } else if (op == "checkpoint") {
    run_command(volume, CommandKind::checkpoint, request, responder);
  } else if (op == "scrub") {
    run_scrub(volume, request, responder);
  } else if (op == "faults") {
    run_faults(volume, request, responder);
  } else if (op == "stop" && context.stop) {
    responder.ok(Json{{"pid", ::getpid()}});
    context.stop();
  } else {
    responder.error(Error{"`op` is not known", kExitUsage});
  }
}

}  // namespace

Json status_json(UserVolume& volume) {
  VolumeReport report;
  report.pid = ::getpid();
  report.name = volume.name();
  const format::Superblock superblock = volume.superblock();
  report.set = uuid_text(superblock.header.set);
  report.read_only = volume.read_only();
  report.logical_block_bytes = volume.logical_block_bytes();
  report.stats = volume.stats();
  report.scrub_kib_per_s = volume.scrub_rate();
  report.io = volume.io_counters();
  const std::vector<Device*> devices = volume.devices();
  for (u32 m = 0; m < devices.size() && m < report.place.size(); ++m) {
    const Device* const device = devices[m];
    if (device == nullptr) continue;
    report.place[m] = {.path = device->path(),
                       .spec = device->spec(),
                       .identity = device->identity(),
                       .buffered = device->buffered()};
  }
  report.newest_event = volume.events().newest();
  return status_json(report);
}

ControlServer::Handler volume_handler(ControlContext context) {
  return [context = std::move(context)](const Json& request, const Responder& responder) {
    handle(context, request, responder);
  };
}

}  // namespace dmr::runtime

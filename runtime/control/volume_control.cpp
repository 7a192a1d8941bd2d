// SPDX-License-Identifier: GPL-2.0-or-later
// Requests of the control socket turned into calls of the volume, and its answers into JSON.
#include "runtime/control/volume_control.h"

#include <algorithm>
#include <unistd.h>

#include <fmt/format.h>

#include "core/base/bits.h"
#include "core/format/validate.h"
#include "runtime/device/errno_status.h"
#include "runtime/volume/superblock_scan.h"

namespace dmr::runtime {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMapPage = 10'000;  // runs in one answer, at most
constexpr std::size_t kEventPage = 1'000;

const char* name_of_state(format::MemberState state) {
  switch (state) {
    case format::MemberState::absent:
      return "absent";
    case format::MemberState::live:
      return "live";
    case format::MemberState::missing:
      return "missing";
    case format::MemberState::failed:
      return "failed";
    case format::MemberState::removed:
      return "removed";
  }
  return "unknown";
}

Json pool_json(const PoolCounters& pool) {
  return Json{{"size", pool.size},
              {"in_use", pool.in_use},
              {"high_water", pool.high_water},
              {"exhausted", pool.exhausted}};
}

Json errors_json(const u64 (&errors)[kErrorClasses]) {
  const auto of = [&](ErrorClass c) { return errors[static_cast<u32>(c)]; };
  return Json{{"medium", of(ErrorClass::medium)},
              {"unspecified", of(ErrorClass::unspecified)},
              {"device", of(ErrorClass::device)},
              {"not_disk", of(ErrorClass::not_disk)}};
}

Json member_json(u32 number, const MemberStats& stats, const Device* device) {
  Json json{{"member", number},
            {"role", number == kMain ? "main" : "spare"},
            {"state", name_of_state(stats.state)},
            {"present", device != nullptr},
            {"breaker_open", stats.breaker_open},
            {"sectors", stats.sectors},
            {"errors", Json{{"read", errors_json(stats.errors[0])},
                            {"write", errors_json(stats.errors[1])}}}};
  if (number != kMain) {
    json["data_blocks"] = stats.data_blocks;
    json["used_blocks"] = stats.used_blocks;
    json["free_blocks"] = stats.free_blocks;
    json["bad_blocks"] = stats.bad_blocks;
  }
  json["path"] = device != nullptr ? Json(device->path()) : Json();
  json["spec"] = device != nullptr ? Json(device->spec()) : Json();
  json["identity"] = device != nullptr ? Json(device->identity()) : Json();
  json["buffered"] = device != nullptr && device->buffered();
  return json;
}

Json io_json(const IoCounters& io) {
  return Json{{"reads", io.reads},
              {"writes", io.writes},
              {"flushes", io.flushes},
              {"discards", io.discards},
              {"write_zeroes", io.write_zeroes},
              {"read_bytes", io.read_bytes},
              {"write_bytes", io.write_bytes},
              {"fast_pieces", io.fast_pieces},
              {"slow_pieces", io.slow_pieces},
              {"errors", io.errors}};
}

Json engine_json(const VolumeStats& stats) {
  return Json{{"writable", stats.writable},
              {"read_only_by_failure", stats.read_only_by_failure},
              {"volume_sectors", stats.volume_sectors},
              {"block_sectors", stats.block_sectors},
              {"remapped_blocks", stats.remapped_blocks},
              {"lost_sectors", stats.lost_sectors},
              {"runs", stats.runs},
              {"weak_blocks", stats.weak_blocks},
              {"index_bytes", stats.index_bytes},
              {"recovered_reads", stats.recovered_reads},
              {"failed_reads", stats.failed_reads},
              {"redirected_writes", stats.redirected_writes},
              {"retried_writes", stats.retried_writes},
              {"failed_writes", stats.failed_writes},
              {"relocated_blocks", stats.relocated_blocks},
              {"returned_blocks", stats.returned_blocks},
              {"held_requests", stats.held_requests},
              {"commits", stats.commits},
              {"commit_records", stats.commit_records},
              {"commit_flushes", stats.commit_flushes},
              {"checkpoints", stats.checkpoints}};
}

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
    const Event& event = entry.event;
    list.push_back(Json{{"number", entry.number},
                        {"time_ms", entry.unix_time_ms},
                        {"kind", name_of(event.kind)},
                        {"member", event.member},
                        {"status", name_of(event.status)},
                        {"sector", event.sector.value},
                        {"sectors", event.sectors},
                        {"text", text_of(event)}});
  }
  return Json{{"events", std::move(list)}, {"newest", volume.events().newest()}};
}

// Sorted, joined, inside the volume.
Expected<std::vector<SectorRange>> ranges_of(const Json& request, u64 volume_sectors) {
  std::vector<SectorRange> ranges;
  const auto list = request.find("ranges");
  if (list == request.end() || !list->is_array() || list->empty()) {
    return fail("`ranges` is missing", kExitUsage);
  }
  for (const Json& entry : *list) {
    const SectorRange range{.begin = Sector(entry.at("sector").get<u64>()),
                            .sectors = entry.value("count", u64{1})};
    if (range.sectors == 0 || range.begin.value >= volume_sectors ||
        range.sectors > volume_sectors - range.begin.value) {
      return fail(fmt::format("sectors {}+{} are not inside the volume of {} sectors",
                              range.begin.value, range.sectors, volume_sectors),
                  kExitUsage);
    }
    ranges.push_back(range);
  }
  std::sort(ranges.begin(), ranges.end(),
            [](const SectorRange& a, const SectorRange& b) { return a.begin < b.begin; });
  std::vector<SectorRange> joined;
  for (const SectorRange& range : ranges) {
    if (!joined.empty() && range.begin <= joined.back().begin + joined.back().sectors) {
      const Sector end =
          std::max(joined.back().begin + joined.back().sectors, range.begin + range.sectors);
      joined.back().sectors = end - joined.back().begin;
    } else {
      joined.push_back(range);
    }
  }
  return joined;
}

void run_command(UserVolume& volume, CommandKind kind, const Json& request,
                 const Responder& responder) {
  std::vector<SectorRange> ranges;
  if (kind != CommandKind::checkpoint) {
    auto parsed = ranges_of(request, volume.sectors());
    if (!parsed) return responder.error(parsed.error());
    ranges = std::move(*parsed);
  }
  volume.command(kind, std::move(ranges), [responder](const CommandResult& result) {
    responder.ok(
        Json{{"status", name_of(result.status)},
             {"blocks_changed", result.blocks_changed},
             {"blocks_unchanged", result.blocks_unchanged},
             {"sectors_lost", result.sectors_lost},
             {"bad_sector", result.status == Status::ok ? Json() : Json(result.bad_sector.value)}});
  });
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
  const VolumeStats stats = volume.stats();
  Json json = engine_json(stats);
  json["protocol"] = 1;
  json["pid"] = ::getpid();
  json["name"] = volume.name();
  const format::Superblock superblock = volume.superblock();
  json["set"] = uuid_text(superblock.header.set);
  json["restored_older"] = format::is_restored_older(superblock);
  json["read_only"] = volume.read_only();
  json["logical_block_bytes"] = volume.logical_block_bytes();
  json["io"] = io_json(volume.io_counters());
  json["pools"] = Json{{"health_records", pool_json(stats.health_records)},
                       {"io_contexts", pool_json(stats.io_contexts)},
                       {"work_items", pool_json(stats.work_items)},
                       {"buffers", pool_json(stats.buffers)}};
  const std::vector<Device*> devices = volume.devices();
  Json members = Json::array();
  for (u32 m = 0; m < stats.members; ++m) {
    members.push_back(member_json(m, stats.member[m], m < devices.size() ? devices[m] : nullptr));
  }
  json["members"] = std::move(members);
  json["newest_event"] = volume.events().newest();
  return json;
}

Json map_json(const std::vector<Run>& runs, const Geometry& geometry) {
  Json list = Json::array();
  for (const Run& run : runs) {
    const Sector first = geometry.first_sector(run.begin);
    const Block last = run.begin + (run.length - 1);
    const u64 sectors = geometry.first_sector(last) - first + geometry.sectors_in(last);
    Json entry{{"block", run.begin.value},
               {"length", run.length},
               {"sector", first.value},
               {"sectors", sectors},
               {"member", run.home.member}};
    if (run.home.member != kMain) {
      entry["home_block"] = run.home.spare.value;
      entry["home_sector"] = geometry.spare_sector(run.home.spare).value;
    }
    u64 lost = 0;
    if (run.home.lost == LostKind::all) lost = sectors;
    if (run.home.lost == LostKind::some) {
      lost = bit_count(run.home.mask.low) + bit_count(run.home.mask.high);
      Json which = Json::array();
      for (u32 i = 0; i < geometry.block_sectors; ++i) {
        if (run.home.mask.test(i)) which.push_back(first.value + i);
      }
      entry["lost"] = std::move(which);
    }
    entry["lost_sectors"] = lost;
    list.push_back(std::move(entry));
  }
  return list;
}

ControlServer::Handler volume_handler(ControlContext context) {
  return [context = std::move(context)](const Json& request, const Responder& responder) {
    handle(context, request, responder);
  };
}

}  // namespace dmr::runtime

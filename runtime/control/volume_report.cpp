// SPDX-License-Identifier: GPL-2.0-or-later
// The one place where the documented keys are written.
#include "runtime/control/volume_report.h"

#include "core/base/bits.h"

namespace dmr::runtime {
namespace {

using Json = nlohmann::json;

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

Json member_json(u32 number, const MemberStats& stats, const std::optional<MemberPlace>& place) {
  Json json{{"member", number},
            {"role", number == kMain ? "main" : "spare"},
            {"state", name_of(stats.state)},
            {"present", place.has_value()},
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
  json["path"] = place ? Json(place->path) : Json();
  json["spec"] = place ? Json(place->spec) : Json();
  json["identity"] = place ? Json(place->identity) : Json();
  json["buffered"] = place && place->buffered;
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
              {"errors", io.errors},
              {"failed_reads", io.failed_reads},
              {"failed_writes", io.failed_writes}};
}

Json engine_json(const VolumeStats& stats) {
  return Json{{"writable", stats.writable},
              {"read_only_by_failure", stats.read_only_by_failure},
              {"restored_older", stats.restored_older},
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

}  // namespace

const char* name_of(format::MemberState state) {
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

std::optional<format::MemberState> member_state_of(std::string_view name) {
  using format::MemberState;
  for (const MemberState state : {MemberState::absent, MemberState::live, MemberState::missing,
                                  MemberState::failed, MemberState::removed}) {
    if (name == name_of(state)) return state;
  }
  return std::nullopt;
}

const char* name_of(ScrubState state) {
  switch (state) {
    case ScrubState::idle:
      return "idle";
    case ScrubState::running:
      return "running";
    case ScrubState::paused:
      return "paused";
    case ScrubState::held:
      return "held";
  }
  return "unknown";
}

std::optional<ScrubState> scrub_state_of(std::string_view name) {
  for (u32 i = 0; i < kScrubStates; ++i) {
    const auto state = static_cast<ScrubState>(i);
    if (name == name_of(state)) return state;
  }
  return std::nullopt;
}

Json scrub_json(const ScrubStats& scrub, u64 kib_per_s) {
  return Json{{"state", name_of(scrub.state)},
              {"position", scrub.position.value},
              {"passes", scrub.passes},
              {"read_sectors", scrub.read_sectors},
              {"skipped_sectors", scrub.skipped_sectors},
              {"failed_reads", scrub.failed_reads},
              {"unreadable_blocks", scrub.unreadable_blocks},
              {"kib_per_s", kib_per_s}};
}

Json status_json(const VolumeReport& report) {
  const VolumeStats& stats = report.stats;
  Json json = engine_json(stats);
  json["protocol"] = 1;
  json["pid"] = report.pid != 0 ? Json(report.pid) : Json();
  json["name"] = report.name;
  json["set"] = report.set;
  json["flush_refused"] = report.flush_refused;
  json["read_only"] = report.read_only;
  json["logical_block_bytes"] = report.logical_block_bytes;
  json["scrub"] = scrub_json(stats.scrub, report.scrub_kib_per_s);
  json["io"] = io_json(report.io);
  json["pools"] = Json{{"health_records", pool_json(stats.health_records)},
                       {"io_contexts", pool_json(stats.io_contexts)},
                       {"work_items", pool_json(stats.work_items)},
                       {"buffers", pool_json(stats.buffers)}};
  Json members = Json::array();
  for (u32 m = 0; m < stats.members; ++m) {
    members.push_back(member_json(m, stats.member[m], report.place[m]));
  }
  json["members"] = std::move(members);
  json["newest_event"] = report.newest_event;
  return json;
}

Json event_json(const LoggedEvent& entry) {
  const Event& event = entry.event;
  return Json{{"number", entry.number},          {"time_ms", entry.unix_time_ms},
              {"kind", name_of(event.kind)},     {"member", event.member},
              {"status", name_of(event.status)}, {"sector", event.sector.value},
              {"sectors", event.sectors},        {"text", text_of(event)}};
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

}  // namespace dmr::runtime

// SPDX-License-Identifier: GPL-2.0-or-later
// Messages to the target `remap`, put into the words of the control protocol.
#include "cli/kernel/kernel_link.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <vector>

#include <fmt/format.h>

#include "cli/device/sysfs.h"
#include "cli/kernel/answers.h"
#include "runtime/control/ranges.h"
#include "runtime/control/scrub_order.h"
#include "runtime/device/errno_status.h"
#include "runtime/device/file_descriptor.h"
#include "runtime/device/identity.h"

namespace dmr::cli {
namespace {

using nlohmann::json;

// A message cannot be interrupted: it moves so much at once, whole blocks of any size.
constexpr u64 kSectorsPerMessage = 8192;
static_assert(kSectorsPerMessage % kMaxBlockSectors == 0);

runtime::MemberPlace place_of(const std::string& number) {
  runtime::MemberPlace place;
  place.path = block_device_path(number);
  if (place.path.empty()) place.path = number;
  place.spec = place.path;
  const runtime::FileDescriptor device(open(place.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (device.valid()) place.identity = runtime::identity_of(device.get());
  return place;
}

const char* status_name(int error) {
  if (error == 0) return "ok";
  if (error == ENOSPC) return "no_space";
  return error == EROFS ? "read_only" : "io_error";
}

// Adds the answer to one message. As a server does, it keeps the first failure; false when none of
// the rest could be moved either.
bool add_move(json& sum, const MoveAnswer& moved) {
  sum["blocks_changed"] = sum["blocks_changed"].get<u64>() + moved.changed;
  sum["blocks_unchanged"] = sum["blocks_unchanged"].get<u64>() + moved.unchanged;
  sum["sectors_lost"] = sum["sectors_lost"].get<u64>() + moved.lost;
  if (moved.error == 0) return true;
  if (sum["status"] == "ok") {
    sum["status"] = status_name(moved.error);
    sum["bad_sector"] = moved.bad_sector;
  }
  return moved.error != EROFS;
}

}  // namespace

Expected<json> KernelLink::call(const json& request, std::chrono::milliseconds /*timeout*/) {
  const std::string op = request.value("op", "");
  if (op == "status") return status();
  if (op == "map") return map(request);
  if (op == "events") return events(request);
  if (op == "mark" || op == "forget") return move(request);
  if (op == "scrub") return scrub(request);
  return misused(fmt::format("a volume in the kernel does not know `{}`", op));
}

Expected<runtime::VolumeReport> KernelLink::report(std::vector<std::string>& numbers) {
  const auto stats = mapper_.message(name_, "stats");
  if (!stats) return std::unexpected(stats.error());
  return parse_report(*stats, numbers);
}

Expected<json> KernelLink::status() {
  std::vector<std::string> numbers;
  auto report = this->report(numbers);
  if (!report) return std::unexpected(report.error());
  report->name = name_;
  for (std::size_t m = 0; m < numbers.size(); ++m) {
    if (!numbers[m].empty()) report->place[m] = place_of(numbers[m]);
  }
  json status = runtime::status_json(*report);
  status["exports"] = json::array();
  for (const MappedDevice& device : mapper_.devices()) {
    if (device.name != name_) continue;
    status["exports"].push_back({{"kind", "dm"}, {"path", path_of(device)}});
  }
  return status;
}

Expected<Geometry> KernelLink::geometry() {
  if (geometry_) return *geometry_;
  const auto volume = status();
  if (!volume) return std::unexpected(volume.error());
  const Result<Geometry> geometry = Geometry::make(volume->at("volume_sectors").get<u64>(),
                                                   volume->at("block_sectors").get<u32>());
  if (!geometry) return failed(fmt::format("the sizes of volume `{}` cannot be", name_));
  geometry_ = *geometry;
  return *geometry;
}

Expected<json> KernelLink::map(const json& request) {
  const auto shape = geometry();
  if (!shape) return std::unexpected(shape.error());
  const auto answer =
      mapper_.message(name_, fmt::format("map {}", request.value("cursor", u64{0})));
  if (!answer) return std::unexpected(answer.error());
  const auto page = parse_map(*answer);
  if (!page) return std::unexpected(page.error());
  for (const Run& run : page->runs) {
    if (run.begin.value >= shape->blocks() || run.length > shape->blocks() - run.begin.value) {
      return failed(fmt::format("the map of `{}` reaches beyond the volume", name_));
    }
  }
  return json{{"block_sectors", shape->block_sectors},
              {"runs", runtime::map_json(page->runs, *shape)},
              {"cursor", page->cursor},
              {"done", page->done}};
}

Expected<json> KernelLink::events(const json& request) {
  const auto answer =
      mapper_.message(name_, fmt::format("events {}", request.value("after", u64{0})));
  if (!answer) return std::unexpected(answer.error());
  const auto page = parse_events(*answer);
  if (!page) return std::unexpected(page.error());
  json list = json::array();
  for (const runtime::LoggedEvent& entry : page->events) {
    list.push_back(runtime::event_json(entry));
  }
  return json{{"events", std::move(list)}, {"newest", page->newest}};
}

Expected<json> KernelLink::move(const json& request) {
  const auto shape = geometry();
  if (!shape) return std::unexpected(shape.error());
  const auto ranges = runtime::ranges_of(request, shape->volume_sectors);
  if (!ranges) return std::unexpected(ranges.error());
  const std::string op = request.at("op").get<std::string>();
  json sum{{"status", "ok"},
           {"blocks_changed", 0},
           {"blocks_unchanged", 0},
           {"sectors_lost", 0},
           {"bad_sector", nullptr}};
  for (const SectorRange& range : *ranges) {
    const u64 end = range.begin.value + range.sectors;
    for (u64 at = range.begin.value; at < end;) {
      const u64 next = std::min(end, (at / kSectorsPerMessage + 1) * kSectorsPerMessage);
      const auto answer = mapper_.message(name_, fmt::format("{} {}+{}", op, at, next - at));
      if (!answer) return std::unexpected(answer.error());
      const auto moved = parse_move(*answer);
      if (!moved) return std::unexpected(moved.error());
      if (!add_move(sum, *moved)) return sum;
      if (moved->rest && *moved->rest <= at) {
        return failed(fmt::format(
            "volume `{}` is being stopped: {} ended at sector {}; run it again", name_, op, at));
      }
      at = moved->rest.value_or(next);
    }
  }
  return sum;
}

Expected<void> KernelLink::order(const std::string& words) {
  const auto answer = mapper_.message(name_, words);
  if (!answer) return std::unexpected(answer.error());
  return parse_ok(*answer);
}

// What the kernel would refuse by an errno is refused here, in words.
Expected<json> KernelLink::scrub(const json& request) {
  std::vector<std::string> unused;
  auto now = report(unused);
  if (!now) return std::unexpected(now.error());
  const auto wanted = runtime::scrub_order_of(request, now->stats.volume_sectors, now->stats.scrub);
  if (!wanted) return std::unexpected(wanted.error());
  if (wanted->kib_per_s) {
    const auto set = order(fmt::format("scrub rate {}", *wanted->kib_per_s));
    if (!set) return std::unexpected(set.error());
  }
  std::string words = fmt::format("scrub {}", runtime::name_of(wanted->action));
  if (wanted->from) words += fmt::format(" {}", wanted->from->value);
  if (auto done = order(words); !done) return std::unexpected(done.error());
  now = report(unused);
  if (!now) return std::unexpected(now.error());
  return json{{"scrub", runtime::scrub_json(now->stats.scrub, now->scrub_kib_per_s)}};
}

Expected<void> KernelLink::stop(std::chrono::seconds /*timeout*/, bool force) {
  const auto users = mapper_.users_of(name_);
  if (!users) return std::unexpected(users.error());
  if (*users == 0) return mapper_.remove(name_);
  if (force) return mapper_.pull_out(name_);
  return refused(
      fmt::format("volume `{}` is in use (opened {} times: a mount, a mapping on it, a program); "
                  "end that first, or --force to pull it out",
                  name_, *users));
}

}  // namespace dmr::cli

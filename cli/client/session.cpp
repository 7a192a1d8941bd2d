// SPDX-License-Identifier: GPL-2.0-or-later
// Requests to a running volume, in pages and portions.
#include "cli/client/session.h"

#include <algorithm>

#include <fmt/format.h>

namespace dmr::cli {
namespace {

using nlohmann::json;

constexpr std::size_t kRunsPerPage = 10'000;
constexpr std::size_t kEventsPerPage = 1'000;
constexpr std::size_t kRangesPerRequest = 1'000;  // well below the server's limit of a request
// Moving reads every sector of the range from a disk that may take half a minute for each try: the
// server goes on that long, and ends with what it has begun.
constexpr u64 kMoveSeconds = 5;
constexpr std::chrono::hours kMoveTimeout{1};
constexpr std::chrono::minutes kTimeout{1};

}  // namespace

Expected<Session> Session::open(const std::string& name) {
  auto link = open_link(name, system_mapper());
  if (!link) return std::unexpected(link.error());
  return Session(name, std::move(*link));
}

bool Session::is_running() const { return !runner_of(name_, system_mapper()).empty(); }

Expected<json> Session::status() { return link_->call({{"op", "status"}}, kTimeout); }

Expected<void> Session::for_each_run(const std::function<void(const json& run)>& visit) {
  u64 cursor = 0;
  while (true) {
    const auto page =
        link_->call({{"op", "map"}, {"cursor", cursor}, {"limit", kRunsPerPage}}, kTimeout);
    if (!page) return std::unexpected(page.error());
    for (const json& run : page->at("runs")) visit(run);
    if (page->at("done").get<bool>()) return {};
    cursor = page->at("cursor").get<u64>();
  }
}

Expected<json> Session::events(u64 after) {
  return link_->call({{"op", "events"}, {"after", after}, {"limit", kEventsPerPage}}, kTimeout);
}

// One request; what it left of the ranges is still in them afterwards.
Expected<json> Session::move_some(const std::string& op, std::span<SectorRange>& ranges) {
  json list = json::array();
  for (const SectorRange& range : ranges) {
    list.push_back({{"sector", range.begin.value}, {"count", range.sectors}});
  }
  auto result = link_->call(
      {{"op", op}, {"ranges", std::move(list)}, {"max_seconds", kMoveSeconds}}, kMoveTimeout);
  if (!result) return result;
  const json rest = result->value("rest", json());
  if (result->at("status") == "closed") {
    ranges = ranges_from(Sector(result->at("bad_sector").get<u64>()), ranges);
  } else if (rest.is_number()) {
    ranges = ranges_from(Sector(rest.get<u64>()), ranges);
  } else {
    ranges = {};
  }
  return result;
}

Expected<Moved> Session::move(const std::string& op, std::span<const SectorRange> ranges) {
  Moved sum;
  for (std::size_t begun = 0; begun < ranges.size(); begun += kRangesPerRequest) {
    const auto part = ranges.subspan(begun, std::min(ranges.size() - begun, kRangesPerRequest));
    std::vector<SectorRange> own(part.begin(), part.end());
    std::span<SectorRange> left = own;
    std::string failure;     // the first of this part, whose other ranges are moved all the same
    while (!left.empty()) {  // each request moves at least one block
      const auto result = move_some(op, left);
      if (!result) return std::unexpected(result.error());
      sum.blocks_changed += result->at("blocks_changed").get<u64>();
      sum.blocks_unchanged += result->at("blocks_unchanged").get<u64>();
      sum.sectors_lost += result->at("sectors_lost").get<u64>();
      const std::string status = result->at("status").get<std::string>();
      if (status == "closed") {
        return failed(fmt::format(
            "volume `{}` is being stopped: {} ended after {} of {} ranges; run it again", name_, op,
            begun + part.size() - left.size(), ranges.size()));
      }
      if (status == "ok" || !failure.empty()) continue;
      failure = fmt::format("sector {} ({})", result->at("bad_sector").get<u64>(), status);
    }
    if (!failure.empty()) {
      return failed(fmt::format("{} stopped at {} after {} blocks; see `dm-remap events {}`", op,
                                failure, sum.blocks_changed, name_));
    }
  }
  return sum;
}

Expected<void> Session::stop(std::chrono::seconds timeout, bool force) {
  return link_->stop(timeout, force);
}

}  // namespace dmr::cli

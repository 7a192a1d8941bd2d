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
// Moving reads every sector of the range from a disk that may take seconds for each.
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

Expected<Moved> Session::move(const std::string& op, std::span<const SectorRange> ranges) {
  Moved sum;
  while (!ranges.empty()) {
    const auto part = ranges.first(std::min(ranges.size(), kRangesPerRequest));
    ranges = ranges.subspan(part.size());
    json list = json::array();
    for (const SectorRange& range : part) {
      list.push_back({{"sector", range.begin.value}, {"count", range.sectors}});
    }
    const auto result = link_->call({{"op", op}, {"ranges", std::move(list)}}, kMoveTimeout);
    if (!result) return std::unexpected(result.error());
    sum.blocks_changed += result->at("blocks_changed").get<u64>();
    sum.blocks_unchanged += result->at("blocks_unchanged").get<u64>();
    sum.sectors_lost += result->at("sectors_lost").get<u64>();
    const std::string status = result->at("status").get<std::string>();
    if (status == "ok") continue;
    return failed(
        fmt::format("{} stopped at sector {} ({}) after {} blocks; see `dm-remap events {}`", op,
                    result->at("bad_sector").get<u64>(), status, sum.blocks_changed, name_));
  }
  return sum;
}

Expected<void> Session::stop(std::chrono::seconds timeout, bool force) {
  return link_->stop(timeout, force);
}

}  // namespace dmr::cli

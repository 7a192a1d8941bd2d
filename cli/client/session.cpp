// SPDX-License-Identifier: GPL-2.0-or-later
// Requests to a running volume, in pages and portions.
#include "cli/client/session.h"

#include <algorithm>

#include <fmt/format.h>

#include "runtime/control/paths.h"

namespace dmr::cli {
namespace {

using nlohmann::json;

constexpr std::size_t kRunsPerPage = 10'000;
constexpr std::size_t kEventsPerPage = 1'000;
constexpr std::size_t kRangesPerRequest = 1'000;  // well below the server's limit of a request
// Moving reads every sector of the range from a disk that may take seconds for each.
constexpr runtime::ControlClient::Timeout kMoveTimeout = std::chrono::hours(1);

}  // namespace

Expected<Session> Session::open(const std::string& name) {
  if (auto path = runtime::socket_path(name, ".sock"); !path) return std::unexpected(path.error());
  if (runtime::NameLock::holder(name) == 0) {
    return failed(
        fmt::format("volume `{}` is not running; start it with `dm-remap start {}`", name, name));
  }
  auto client = runtime::ControlClient::connect(name);
  if (!client) return std::unexpected(client.error());
  return Session(name, std::move(*client));
}

Expected<json> Session::status() { return client_.call({{"op", "status"}}); }

Expected<void> Session::for_each_run(const std::function<void(const json& run)>& visit) {
  u64 cursor = 0;
  while (true) {
    const auto page = client_.call({{"op", "map"}, {"cursor", cursor}, {"limit", kRunsPerPage}});
    if (!page) return std::unexpected(page.error());
    for (const json& run : page->at("runs")) visit(run);
    if (page->at("done").get<bool>()) return {};
    cursor = page->at("cursor").get<u64>();
  }
}

Expected<json> Session::events(u64 after) {
  return client_.call({{"op", "events"}, {"after", after}, {"limit", kEventsPerPage}});
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
    const auto result = client_.call({{"op", op}, {"ranges", std::move(list)}}, kMoveTimeout);
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

Expected<int> Session::stop() {
  const auto answer = client_.call({{"op", "stop"}});
  if (!answer) return std::unexpected(answer.error());
  return answer->at("pid").get<int>();
}

}  // namespace dmr::cli

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
// The server begins no block after that long, and ends with the last one begun. That one has no
// limit: a disk may take half a minute for each try of each of its sectors.
constexpr u64 kMoveSeconds = 5;
// Meanwhile it answers others. One that hangs does not.
constexpr std::chrono::seconds kMoveSilence{60};
constexpr std::chrono::hours kMoveLimit{1};  // for a disk that keeps a request for ever

// Why the volume takes no changes, and what to do; "" when nothing is known against it.
std::string why_unchangeable(const json& status) {
  const std::string name = status.at("name").get<std::string>();
  if (status.value("restored_older", false)) {
    return fmt::format(
        "the map of volume `{}` was restored from a backup that may be older than "
        "its data, so it is read-only for good; copy the data away and create a "
        "volume anew",
        name);
  }
  if (status.value("read_only", false)) {
    return fmt::format("volume `{}` was started with --read-only; stop it and start it without",
                       name);
  }
  if (status.value("read_only_by_failure", false)) {
    return fmt::format(
        "the metadata of volume `{}` could not be written, so it is read-only now; "
        "copy the data away, then stop it and check its spares",
        name);
  }
  return "";
}

}  // namespace

Expected<Session> Session::open(const std::string& name) {
  auto link = open_link(name, system_mapper());
  if (!link) return std::unexpected(link.error());
  return Session(name, std::move(*link));
}

bool Session::is_running() const { return !runner_of(name_, system_mapper()).empty(); }

Expected<json> Session::status(std::chrono::milliseconds timeout) {
  return link_->call({{"op", "status"}}, timeout);
}

Expected<void> Session::for_each_run(const std::function<void(const json& run)>& visit) {
  u64 cursor = 0;
  while (true) {
    const auto page =
        link_->call({{"op", "map"}, {"cursor", cursor}, {"limit", kRunsPerPage}}, kAnswerTimeout);
    if (!page) return std::unexpected(page.error());
    for (const json& run : page->at("runs")) visit(run);
    if (page->at("done").get<bool>()) return {};
    cursor = page->at("cursor").get<u64>();
  }
}

Expected<json> Session::events(u64 after) {
  return link_->call({{"op", "events"}, {"after", after}, {"limit", kEventsPerPage}},
                     kAnswerTimeout);
}

// One request; what it left of the ranges is still in them afterwards.
Expected<json> Session::move_some(const std::string& op, std::span<SectorRange>& ranges) {
  json list = json::array();
  for (const SectorRange& range : ranges) {
    list.push_back({{"sector", range.begin.value}, {"count", range.sectors}});
  }
  auto result =
      link_->call_long({{"op", op}, {"ranges", std::move(list)}, {"max_seconds", kMoveSeconds}},
                       kMoveSilence, kMoveLimit);
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

Expected<void> Session::check_takes_changes() {
  const auto now = status();
  if (!now) return std::unexpected(now.error());
  const std::string why = why_unchangeable(*now);
  return why.empty() ? Expected<void>() : failed(why);
}

// After an answer that it is read-only.
Error Session::read_only_error(const std::string& op, u64 blocks_changed) {
  const auto now = status();
  if (!now) return now.error();
  if (const std::string why = why_unchangeable(*now); !why.empty()) return {why};
  if (now->value("flush_refused", false)) {
    return {
        fmt::format("a member of volume `{}` refused a flush, so that it takes no changes until "
                    "it is stopped and started again",
                    name_)};
  }
  return {
      fmt::format("volume `{}` takes no changes: {} ended after {} blocks; see `dm-remap status "
                  "{}`",
                  name_, op, blocks_changed, name_)};
}

Expected<Moved> Session::move(const std::string& op, std::span<const SectorRange> ranges) {
  if (auto takes = check_takes_changes(); !takes) return std::unexpected(takes.error());
  Moved sum;
  for (std::size_t begun = 0; begun < ranges.size(); begun += kRangesPerRequest) {
    const auto part = ranges.subspan(begun, std::min(ranges.size() - begun, kRangesPerRequest));
    std::vector<SectorRange> own(part.begin(), part.end());
    std::span<SectorRange> left = own;
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
      if (status == "read_only") {
        return std::unexpected(read_only_error(op, sum.blocks_changed));
      }
      if (status == "ok" || !sum.failure.empty()) continue;
      sum.failure = status;
      sum.bad_sector = result->at("bad_sector").get<u64>();
    }
  }
  return sum;
}

Expected<json> Session::scrub(const json& order) {
  json request = order;
  request["op"] = "scrub";
  auto answer = link_->call(request, kAnswerTimeout);
  if (!answer) return answer;
  return answer->at("scrub");
}

Expected<void> Session::stop(std::chrono::seconds timeout, bool force) {
  return link_->stop(timeout, force);
}

}  // namespace dmr::cli

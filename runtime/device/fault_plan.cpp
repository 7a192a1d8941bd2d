// SPDX-License-Identifier: GPL-2.0-or-later
// Reading the plan of the faulty decorator; whatever is unknown in it is an error, not ignored.
#include <algorithm>
#include <cerrno>
#include <initializer_list>

#include "runtime/device/errno_status.h"
#include "runtime/device/faulty.h"

namespace dmr::runtime {
namespace {

using Json = nlohmann::json;

std::string unknown_key(const Json& object, std::initializer_list<std::string_view> known) {
  for (const auto& [key, value] : object.items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) return key;
  }
  return {};
}

// Throws nlohmann's exceptions on wrong types; the public functions turn them into errors.
int error_named(const Json& object, const char* key, int otherwise) {
  if (!object.contains(key)) return otherwise;
  const auto name = object.at(key).get<std::string>();
  if (name == "none") return 0;
  const int value = errno_named(name);
  if (value == 0) throw std::invalid_argument("no errno is called `" + name + "`");
  return value;
}

constexpr u64 kMostWait_ms = 3'600'000;

FaultRange range_of(const Json& object) {
  const std::string unknown = unknown_key(
      object,
      {"sector", "count", "on", "error", "times", "healed_by_write", "torn", "slow_ms", "held_ms"});
  if (!unknown.empty()) throw std::invalid_argument("a range has no `" + unknown + "`");
  FaultRange range;
  range.sector = object.at("sector").get<u64>();
  range.count = object.value("count", u64{1});
  const std::string on = object.value("on", "both");
  if (on != "both" && on != "read" && on != "write") {
    throw std::invalid_argument("`on` is read, write or both");
  }
  range.on_read = on != "write";
  range.on_write = on != "read";
  range.error = error_named(object, "error", EIO);
  range.times = object.value("times", FaultRange::kForEver);
  range.healed_by_write = object.value("healed_by_write", false);
  range.torn = object.value("torn", false);
  range.slow_ms = object.value("slow_ms", u64{0});
  range.held_ms = object.value("held_ms", u64{0});
  if (range.count == 0 || range.times == 0 || range.sector >= kMaxSectors ||
      range.count > kMaxSectors) {
    throw std::invalid_argument("a range has an impossible `sector`, `count` or `times`");
  }
  if (range.slow_ms > kMostWait_ms || range.held_ms > kMostWait_ms) {
    throw std::invalid_argument("a range has a `slow_ms` or `held_ms` of more than an hour");
  }
  return range;
}

std::vector<FaultRange> ranges_of(const Json& array) {
  std::vector<FaultRange> ranges;
  if (!array.is_array()) throw std::invalid_argument("`ranges` is not a list");
  ranges.reserve(array.size());
  for (const Json& object : array) ranges.push_back(range_of(object));
  std::sort(ranges.begin(), ranges.end(),
            [](const FaultRange& a, const FaultRange& b) { return a.sector < b.sector; });
  return ranges;
}

}  // namespace

Expected<std::vector<FaultRange>> parse_fault_ranges(const Json& json) {
  try {
    return ranges_of(json);
  } catch (const std::exception& error) {
    return fail(std::string("fault plan: ") + error.what());
  }
}

Expected<FaultPlan> parse_fault_plan(const Json& json) {
  try {
    if (!json.is_object()) throw std::invalid_argument("it is not an object");
    const std::string unknown =
        unknown_key(json, {"ranges", "flush_error", "gone", "gone_error", "gone_after"});
    if (!unknown.empty()) throw std::invalid_argument("it has no `" + unknown + "`");
    FaultPlan plan;
    if (json.contains("ranges")) plan.ranges = ranges_of(json.at("ranges"));
    plan.flush_error = error_named(json, "flush_error", 0);
    plan.gone = json.value("gone", false);
    plan.gone_error = error_named(json, "gone_error", ENODEV);
    plan.gone_after = json.value("gone_after", FaultRange::kForEver);
    return plan;
  } catch (const std::exception& error) {
    return fail(std::string("fault plan: ") + error.what());
  }
}

}  // namespace dmr::runtime

// SPDX-License-Identifier: GPL-2.0-or-later
// The map of a stopped volume as runs that records cut and replace.
#include "cli/metadata/map_model.h"

#include <algorithm>
#include <limits>

#include "core/base/bits.h"

namespace dmr::cli {
namespace {

bool is_plain(const format::Mapping& mapping) {
  return mapping.member == kMain && !mapping.lost_all && mapping.lost.none();
}

// One record can say both.
bool continues(const format::Mapping& run, const format::Mapping& next) {
  if (run.block + run.length != next.block || run.member != next.member) return false;
  if (run.lost_all != next.lost_all || !run.lost.none() || !next.lost.none()) return false;
  if (run.member != kMain && run.home + run.length != next.home) return false;
  return u64{run.length} + next.length <= std::numeric_limits<u32>::max();
}

u64 lost_in(const format::Mapping& mapping, const Geometry& geometry) {
  if (!mapping.lost_all) return bit_count(mapping.lost.low) + bit_count(mapping.lost.high);
  const Block last = mapping.block + (mapping.length - 1);
  return u64{mapping.length - 1} * geometry.block_sectors + geometry.sectors_in(last);
}

}  // namespace

// Makes a run begin at `at`, if one lies across it.
void MapModel::cut(u64 at) {
  auto next = runs_.lower_bound(at);
  if (next == runs_.begin()) return;
  format::Mapping& run = std::prev(next)->second;
  const u64 before = at - run.block.value;
  if (before >= run.length) return;
  format::Mapping rest = run;
  rest.block = Block(at);
  rest.length = static_cast<u32>(run.length - before);
  if (rest.member != kMain) rest.home = run.home + before;
  run.length = static_cast<u32>(before);
  runs_.emplace(at, rest);
}

Status MapModel::apply(const format::Record& record) {
  if (record.type != static_cast<u8>(format::RecordType::mapping)) {
    u32& length = bad_[{record.member, u64{record.block}}];
    length = std::max(length, u32{record.length});
    return Status::ok;
  }
  const format::Mapping mapping = format::decode_mapping(record);
  const u64 begin = mapping.block.value;
  const u64 end = begin + mapping.length;
  cut(begin);
  cut(end);
  runs_.erase(runs_.lower_bound(begin), runs_.lower_bound(end));
  if (!is_plain(mapping)) runs_.emplace(begin, mapping);
  return Status::ok;
}

MapModel::Summary MapModel::summary(const Geometry& geometry) const {
  Summary sum;
  for (const auto& [begin, run] : runs_) {
    ++sum.runs;
    if (run.member != kMain) sum.remapped_blocks += run.length;
    sum.lost_sectors += lost_in(run, geometry);
  }
  return sum;
}

std::optional<MapModel::Owner> MapModel::shared_block() const {
  std::vector<format::Mapping> by_home;
  for (const auto& [begin, run] : runs_) {
    if (run.member != kMain) by_home.push_back(run);
  }
  std::sort(by_home.begin(), by_home.end(), [](const auto& a, const auto& b) {
    return a.member != b.member ? a.member < b.member : a.home < b.home;
  });
  for (std::size_t i = 1; i < by_home.size(); ++i) {
    const format::Mapping& before = by_home[i - 1];
    if (before.member == by_home[i].member && before.home + before.length > by_home[i].home) {
      return Owner{.member = by_home[i].member, .block = by_home[i].home};
    }
  }
  return std::nullopt;
}

std::vector<format::Record> MapModel::records(const Geometry& geometry) const {
  std::vector<format::Mapping> joined;
  for (const auto& [begin, run] : runs_) {
    if (!joined.empty() && continues(joined.back(), run)) {
      joined.back().length += run.length;
    } else {
      joined.push_back(run);
    }
  }
  std::vector<format::Record> all;
  all.reserve(joined.size() + bad_.size());
  for (const format::Mapping& run : joined) all.push_back(format::encode_mapping(run, geometry));
  for (const auto& [begin, length] : bad_) {
    all.push_back(format::encode_bad_spare(begin.first, SpareBlock(begin.second), length));
  }
  return all;
}

std::vector<format::Mapping> MapModel::mappings() const {
  std::vector<format::Mapping> all;
  all.reserve(runs_.size());
  for (const auto& [begin, run] : runs_) all.push_back(run);
  return all;
}

}  // namespace dmr::cli

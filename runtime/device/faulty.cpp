// SPDX-License-Identifier: GPL-2.0-or-later
// Judging each I/O by the plan, and changing the plan at run time.
#include "runtime/device/faulty.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <fstream>

namespace dmr::runtime {
namespace {

using Json = nlohmann::json;

Expected<FaultPlan> load(const std::string& file) {
  if (file.empty()) return FaultPlan{};
  std::ifstream in(file);
  if (!in) return fail_errno(file, errno);
  const Json json = Json::parse(in, nullptr, false);
  if (json.is_discarded()) return fail(file + ": is not JSON");
  auto plan = parse_fault_plan(json);
  if (!plan) return fail(file + ": " + plan.error().message);
  return plan;
}

}  // namespace

Expected<std::unique_ptr<Layer>> FaultyLayer::make(const std::string& file,
                                                   std::unique_ptr<Layer> below) {
  auto plan = load(file);
  if (!plan) return std::unexpected(plan.error());
  return std::make_unique<FaultyLayer>(file, std::move(*plan), std::move(below));
}

FaultyLayer::FaultyLayer(std::string file, FaultPlan plan, std::unique_ptr<Layer> below)
    : file_(std::move(file)), below_(std::move(below)) {
  install(std::move(plan));
}

void FaultyLayer::install(FaultPlan plan) {
  plan_ = std::move(plan);
  longest_ = 0;
  for (const FaultRange& range : plan_.ranges) longest_ = std::max(longest_, range.count);
}

// Index of the first range that may reach `sector`.
std::size_t FaultyLayer::first_candidate(u64 sector) const {
  const u64 from = sector > longest_ ? sector - longest_ : 0;
  const auto at = std::lower_bound(plan_.ranges.begin(), plan_.ranges.end(), from,
                                   [](const FaultRange& r, u64 s) { return r.sector < s; });
  return static_cast<std::size_t>(at - plan_.ranges.begin());
}

FaultyLayer::Hold FaultyLayer::hold(u64 sector, u64 end) {
  for (std::size_t i = first_candidate(sector); i < plan_.ranges.size(); ++i) {
    FaultRange& range = plan_.ranges[i];
    if (range.sector >= end) break;
    if (range.held_ms == 0 || range.sector + range.count <= sector) continue;
    const auto now = std::chrono::steady_clock::now();
    if (!range.held_since) range.held_since = now;
    const bool is_over = now - *range.held_since >= std::chrono::milliseconds(range.held_ms);
    return is_over ? Hold::too_long : Hold::on;
  }
  return Hold::none;
}

FaultyLayer::Verdict FaultyLayer::judge(u64 sector, u64 end, bool write) {
  Verdict verdict;
  bool used_up = false;
  for (std::size_t i = first_candidate(sector); i < plan_.ranges.size(); ++i) {
    FaultRange& range = plan_.ranges[i];
    if (range.sector >= end) break;
    if (range.sector + range.count <= sector) continue;
    if (!(write ? range.on_write : range.on_read)) continue;
    verdict.delay_ms = std::max(verdict.delay_ms, range.slow_ms);
    if (range.error != 0 && verdict.error == 0) {
      verdict.error = range.error;
      verdict.torn = range.torn;
    }
    if (range.times != FaultRange::kForEver) used_up |= --range.times == 0;
  }
  if (used_up) std::erase_if(plan_.ranges, [](const FaultRange& r) { return r.times == 0; });
  return verdict;
}

// Takes [sector, end) out of all ranges that a write heals.
void FaultyLayer::heal(u64 sector, u64 end) {
  std::vector<FaultRange> behind;
  for (std::size_t i = first_candidate(sector); i < plan_.ranges.size(); ++i) {
    FaultRange& range = plan_.ranges[i];
    const u64 range_end = range.sector + range.count;
    if (range.sector >= end) break;
    if (range_end <= sector || !range.healed_by_write) continue;
    if (range_end > end) {
      FaultRange rest = range;
      rest.sector = end;
      rest.count = range_end - end;
      behind.push_back(rest);
    }
    range.count = sector > range.sector ? sector - range.sector : 0;
  }
  std::erase_if(plan_.ranges, [](const FaultRange& r) { return r.count == 0; });
  for (const FaultRange& rest : behind) {
    const auto at = std::upper_bound(plan_.ranges.begin(), plan_.ranges.end(), rest.sector,
                                     [](u64 s, const FaultRange& r) { return s < r.sector; });
    plan_.ranges.insert(at, rest);
  }
}

bool FaultyLayer::bad_for_write(u64 sector) const {
  for (std::size_t i = first_candidate(sector); i < plan_.ranges.size(); ++i) {
    const FaultRange& range = plan_.ranges[i];
    if (range.sector > sector) break;
    if (sector < range.sector + range.count && range.on_write && range.error != 0) return true;
  }
  return false;
}

// Stores the sectors of a failing write that are not bad themselves.
void FaultyLayer::write_around(const LayerIo& io) {
  for (u64 at = 0; at < io.length; at += kSectorBytes) {
    if (bad_for_write((io.offset + at) / kSectorBytes)) continue;
    LayerIo part = io;
    part.offset += at;
    part.length = kSectorBytes;
    if (part.data != nullptr) part.data += at;
    (void)below_->run(part);  // the write as a whole fails anyway
  }
}

LayerResult FaultyLayer::run(const LayerIo& io) {
  const bool write = is_write(io.op);
  Verdict verdict;
  int flush_error = 0;  // of the flush that a FUA write has behind it
  {
    const std::lock_guard lock(mutex_);
    const u64 sector = io.offset / kSectorBytes;
    const u64 end = sector + io.length / kSectorBytes;
    const Hold held = io.op == IoOp::read && !plan_.gone ? hold(sector, end) : Hold::none;
    if (held == Hold::on) return {.delay_ms = 1, .again = true};
    if (held == Hold::too_long) return {.error = ETIMEDOUT};
    if (plan_.gone_after != FaultRange::kForEver) {
      if (plan_.gone_after == 0) plan_.gone = true;
      if (plan_.gone_after > 0) --plan_.gone_after;
    }
    if (plan_.gone) {
      verdict.error = plan_.gone_error;
    } else if (io.op == IoOp::flush) {
      verdict.error = plan_.flush_error;
    } else if (io.op != IoOp::discard) {
      verdict = judge(sector, end, write);
      if (write && verdict.error == 0) heal(sector, end);
    }
    if (write && io.fua && verdict.error == 0) flush_error = plan_.flush_error;
    if (flush_error != 0) ++failed_flushes_;
    if (verdict.delay_ms != 0) ++slow_;
    if (verdict.error != 0) {
      ++(io.op == IoOp::flush ? failed_flushes_ : (write ? failed_writes_ : failed_reads_));
      if (verdict.torn && write) write_around(io);
    }
  }
  if (verdict.error == 0) {
    LayerIo part = io;
    part.fua = io.fua && flush_error == 0;
    LayerResult result = below_->run(part);
    if (result.error == 0) result.error = flush_error;
    result.delay_ms += verdict.delay_ms;
    return result;
  }
  if (io.op == IoOp::read) std::fill_n(io.data, io.length, kGarbage);
  return {.error = verdict.error, .delay_ms = verdict.delay_ms};
}

Expected<Json> FaultyLayer::control(const Json& request) {
  if (!request.is_object()) return fail("faulty: the request is not an object");
  const std::lock_guard lock(mutex_);
  FaultPlan next = plan_;
  for (const auto& [key, value] : request.items()) {
    if (key == "set" || key == "reload") {
      auto plan = key == "set" ? parse_fault_plan(value) : load(file_);
      if (!plan) return std::unexpected(plan.error());
      next = std::move(*plan);
    } else if (key == "add") {
      auto ranges = parse_fault_ranges(value);
      if (!ranges) return std::unexpected(ranges.error());
      next.ranges.insert(next.ranges.end(), ranges->begin(), ranges->end());
    } else if (key == "clear") {
      next = FaultPlan{};
    } else if (key == "release") {
      for (FaultRange& range : next.ranges) range.held_ms = 0;
    } else if (key == "gone" || key == "flush_error" || key == "gone_after") {
      auto plan = parse_fault_plan(Json{{key, value}});
      if (!plan) return std::unexpected(plan.error());
      if (key == "gone") next.gone = plan->gone;
      if (key == "flush_error") next.flush_error = plan->flush_error;
      if (key == "gone_after") next.gone_after = plan->gone_after;
    } else {
      return fail("faulty: nothing is called `" + key + "`");
    }
  }
  std::sort(next.ranges.begin(), next.ranges.end(),
            [](const FaultRange& a, const FaultRange& b) { return a.sector < b.sector; });
  install(std::move(next));
  return report();
}

Json FaultyLayer::report() const {
  return Json{{"ranges", plan_.ranges.size()},     {"gone", plan_.gone},
              {"failed_reads", failed_reads_},     {"failed_writes", failed_writes_},
              {"failed_flushes", failed_flushes_}, {"slow", slow_}};
}

}  // namespace dmr::runtime

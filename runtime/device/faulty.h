// SPDX-License-Identifier: GPL-2.0-or-later
// The decorator `faulty`: a device that fails as its plan says.
#pragma once

#include <cerrno>
#include <chrono>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "runtime/device/layer.h"

namespace dmr::runtime {

// The plan is a JSON file:
//
//   { "ranges": [ { "sector": 4096, "count": 8,
//                   "on": "both",              "read", "write" or "both" (default)
//                   "error": "EIO",            default EIO; "none": only slow
//                   "times": 3,                fails that often, then works; default: for ever
//                   "healed_by_write": true,   a write takes away the fault of its sectors
//                   "torn": true,              a failing write has stored the good sectors around
//                   "slow_ms": 250,            default 0, at most an hour
//                   "held_ms": 60000 } ],      reads begin with {"release": true}; after that long,
//                                              at most an hour, they fail with ETIMEDOUT
//     "flush_error": "EIO",                    every flush fails; default "none"
//     "gone": false, "gone_error": "ENODEV",   everything fails
//     "gone_after": 1000 }                     gone after so many more I/Os
//
// At run time, through control(): {"set": PLAN} replaces all, {"add": [RANGE, ...]} adds ranges,
// {"clear": true} forgets them, {"release": true} lets reads go on that are held, {"reload": true}
// reads the file again, {"gone": BOOL}, {"flush_error": NAME}; {} only asks. The answer holds the
// plan's size and the counters.
struct FaultRange {
  static constexpr u64 kForEver = std::numeric_limits<u64>::max();
  u64 sector = 0;
  u64 count = 1;
  bool on_read = true;
  bool on_write = true;
  int error = 0;  // 0: only slow
  u64 times = kForEver;
  bool healed_by_write = false;
  bool torn = false;
  u64 slow_ms = 0;
  u64 held_ms = 0;
  std::optional<std::chrono::steady_clock::time_point> held_since;  // the first read
};

struct FaultPlan {
  std::vector<FaultRange> ranges;  // ascending by sector
  int flush_error = 0;
  bool gone = false;
  int gone_error = ENODEV;
  u64 gone_after = FaultRange::kForEver;
};
[[nodiscard]] Expected<FaultPlan> parse_fault_plan(const nlohmann::json& json);
[[nodiscard]] Expected<std::vector<FaultRange>> parse_fault_ranges(const nlohmann::json& json);

class FaultyLayer final : public Layer {
 public:
  // An empty `file` is an empty plan.
  static Expected<std::unique_ptr<Layer>> make(const std::string& file,
                                               std::unique_ptr<Layer> below);
  FaultyLayer(std::string file, FaultPlan plan, std::unique_ptr<Layer> below);

  [[nodiscard]] std::string_view kind() const override { return "faulty"; }
  [[nodiscard]] Layer* below() const override { return below_.get(); }
  LayerResult run(const LayerIo& io) override;
  Expected<nlohmann::json> control(const nlohmann::json& request) override;

  // What a failed read leaves in the buffer: never the disk's content, and never zeros.
  static constexpr std::byte kGarbage{0xBD};

 private:
  struct Verdict {
    int error = 0;
    bool torn = false;
    u64 delay_ms = 0;
  };

  void install(FaultPlan plan);
  [[nodiscard]] std::size_t first_candidate(u64 sector) const;
  enum class Hold : u8 { none, on, too_long };
  Hold hold(u64 sector, u64 end);
  Verdict judge(u64 sector, u64 end, bool write);
  void heal(u64 sector, u64 end);
  void write_around(const LayerIo& io);
  [[nodiscard]] bool bad_for_write(u64 sector) const;
  [[nodiscard]] nlohmann::json report() const;

  const std::string file_;
  std::unique_ptr<Layer> below_;
  std::mutex mutex_;
  FaultPlan plan_;
  u64 longest_ = 0;  // count of the longest range
  u64 failed_reads_ = 0;
  u64 failed_writes_ = 0;
  u64 failed_flushes_ = 0;
  u64 slow_ = 0;
};

}  // namespace dmr::runtime

// SPDX-License-Identifier: GPL-2.0-or-later
// Halves, quarters, eighths, ... single steps are left out in turn.
#include "sim/shrink.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

namespace dmr::sim {
namespace {

class Shrinker {
 public:
  Shrinker(const Plan& plan, const Outcome& failure, const ShrinkLimits& limits,
           const std::function<bool()>& stop)
      : plan_(plan),
        failure_(failure),
        limits_(limits),
        stop_(stop),
        deadline_(std::chrono::steady_clock::now() + std::chrono::seconds(limits.seconds)) {
    const Steps all = plan.only != nullptr ? *plan.only : Steps::first(plan.steps);
    list_ = all.list();
  }

  Shrunk shrink() {
    cut_tail();
    std::size_t chunk = std::max<std::size_t>(list_.size() / 2, 1);
    while (!exhausted()) {
      const bool removed = remove_chunks(chunk);
      if (chunk == 1 && !removed) break;
      if (chunk > 1) chunk = chunk / 2;
    }
    const bool finished = !exhausted();
    return {.steps = Steps(list_), .attempts = attempts_, .finished = finished};
  }

 private:
  [[nodiscard]] bool exhausted() const {
    return attempts_ >= limits_.attempts || std::chrono::steady_clock::now() >= deadline_ ||
           stop_();
  }

  [[nodiscard]] bool still_fails(const std::vector<u32>& list) {
    ++attempts_;
    const Steps steps(list);
    Plan plan = plan_;
    plan.only = &steps;
    plan.trace = nullptr;
    return run_isolated(plan).same_kind(failure_);
  }

  bool take_if_it_fails(std::vector<u32> list) {
    if (!still_fails(list)) return false;
    list_ = std::move(list);
    return true;
  }

  // What would have come after the failure was never played.
  void cut_tail() {
    if (failure_.last_step == 0) return;
    std::vector<u32> list = list_;
    std::erase_if(list, [this](u32 step) { return step > failure_.last_step; });
    if (list.size() < list_.size()) (void)take_if_it_fails(std::move(list));
  }

  // From the end, where a step hangs on fewer others.
  bool remove_chunks(std::size_t chunk) {
    bool removed = false;
    for (std::size_t end = list_.size(); end > 0 && !exhausted();) {
      const std::size_t begin = end > chunk ? end - chunk : 0;
      std::vector<u32> list = list_;
      list.erase(list.begin() + static_cast<std::ptrdiff_t>(begin),
                 list.begin() + static_cast<std::ptrdiff_t>(end));
      removed |= take_if_it_fails(std::move(list));
      end = begin;
    }
    return removed;
  }

  const Plan& plan_;
  const Outcome& failure_;
  const ShrinkLimits limits_;
  const std::function<bool()>& stop_;
  const std::chrono::steady_clock::time_point deadline_;
  std::vector<u32> list_;
  u32 attempts_ = 0;
};

}  // namespace

Shrunk shrink(const Plan& plan, const Outcome& failure, const ShrinkLimits& limits,
              const std::function<bool()>& stop) {
  return Shrinker(plan, failure, limits, stop).shrink();
}

}  // namespace dmr::sim

// SPDX-License-Identifier: GPL-2.0-or-later
// Shortens a failing run and reads its history from a trace, which a crash leaves behind, too.
#include "sim/failure.h"

#include <array>
#include <deque>
#include <memory>
#include <stdexcept>

#include <fmt/format.h>

namespace dmr::sim {
namespace {

void read_history(std::FILE* trace, Failure& failure) {
  if (std::fseek(trace, 0, SEEK_SET) != 0) return;
  std::deque<std::string> lines;
  std::array<char, 512> line{};
  while (std::fgets(line.data(), static_cast<int>(line.size()), trace) != nullptr) {
    std::string text = line.data();
    while (!text.empty() && text.back() == '\n') text.pop_back();
    lines.push_back(std::move(text));
    if (lines.size() <= Failure::kMostLines) continue;
    lines.pop_front();
    ++failure.lines_before;
  }
  failure.history.assign(lines.begin(), lines.end());
}

}  // namespace

std::string Failure::command() const {
  return fmt::format("dm-remap simulate --seed {} --profile {}{}{}", plan.seed, plan.profile->name,
                     steps ? " --only-steps " : "", steps ? steps->text() : "");
}

Failure explain(const Plan& plan, const Outcome& outcome, const ShrinkLimits& limits,
                const std::function<bool()>& stop) {
  Failure failure{.plan = plan, .outcome = outcome};
  if (plan.only != nullptr) {
    failure.steps = *plan.only;
  } else {
    Shrunk shrunk = shrink(plan, outcome, limits, stop);
    failure.steps = std::move(shrunk.steps);
    failure.shortest = shrunk.finished;
  }
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> trace(std::tmpfile(), std::fclose);
  if (trace == nullptr) throw std::runtime_error("a temporary file cannot be made");
  Plan shortest = plan;
  shortest.only = &*failure.steps;
  shortest.trace = trace.get();
  failure.outcome = run_isolated(shortest);
  failure.is_repeatable = failure.outcome.same_kind(outcome);
  if (!failure.is_repeatable) failure.outcome = outcome;
  failure.plan.only = nullptr;
  failure.plan.trace = nullptr;
  read_history(trace.get(), failure);
  return failure;
}

}  // namespace dmr::sim

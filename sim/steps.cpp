// SPDX-License-Identifier: GPL-2.0-or-later
// Lists of steps, in and out.
#include "sim/steps.h"

#include <charconv>

#include <fmt/format.h>

#include "core/base/assert.h"

namespace dmr::sim {
namespace {

// Takes a number of 1 to `last` off the front of `text`.
std::optional<u32> take_step(std::string_view& text, u32 last) {
  u32 step = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), step);
  if (error != std::errc() || step == 0 || step > last) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return step;
}

}  // namespace

Steps::Steps(const std::vector<u32>& list) : played_(list.empty() ? 0 : list.back() + 1) {
  for (const u32 step : list) {
    DMR_ASSERT(step > 0 && step < played_.size() && !played_[step]);
    played_[step] = true;
  }
}

Steps Steps::first(u32 count) {
  std::vector<u32> list;
  for (u32 step = 1; step <= count; ++step) list.push_back(step);
  return Steps(list);
}

std::optional<Steps> Steps::parse(std::string_view text, u32 last) {
  std::vector<u32> list;
  while (true) {
    const auto begin = take_step(text, last);
    auto end = begin;
    if (begin && text.starts_with('-')) {
      text.remove_prefix(1);
      end = take_step(text, last);
    }
    const bool is_ascending = begin && end && *begin <= *end;
    if (!is_ascending || (!list.empty() && *begin <= list.back())) return std::nullopt;
    for (u32 step = *begin; step <= *end; ++step) list.push_back(step);
    if (text.empty()) return Steps(list);
    if (!text.starts_with(',')) return std::nullopt;
    text.remove_prefix(1);
  }
}

std::vector<u32> Steps::list() const {
  std::vector<u32> list;
  for (u32 step = 1; step < played_.size(); ++step) {
    if (played_[step]) list.push_back(step);
  }
  return list;
}

std::string Steps::text() const {
  std::string text;
  for (u32 step = 1; step < played_.size(); ++step) {
    if (!contains(step)) continue;
    const u32 begin = step;
    while (contains(step + 1)) ++step;
    if (!text.empty()) text += ',';
    text += begin == step ? fmt::format("{}", begin) : fmt::format("{}-{}", begin, step);
  }
  return text;
}

}  // namespace dmr::sim

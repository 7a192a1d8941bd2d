// SPDX-License-Identifier: GPL-2.0-or-later
// Draws the line over the one before.
#include "cli/app/progress_line.h"

#include <algorithm>
#include <cstdio>
#include <unistd.h>

#include <fmt/format.h>

namespace dmr::cli {

std::string progress_bar(double part) {
  constexpr std::size_t kCells = 24;
  const double shown = std::clamp(part, 0.0, 1.0);
  const auto full = static_cast<std::size_t>(shown * kCells);
  return fmt::format("[{}{}] {:>3} %", std::string(full, '#'), std::string(kCells - full, '.'),
                     static_cast<int>(shown * 100));
}

ProgressLine::ProgressLine() : is_wanted_(isatty(STDERR_FILENO) == 1) {}

ProgressLine::~ProgressLine() {
  if (is_shown_) fmt::print(stderr, "\r\x1b[K");
}

void ProgressLine::show(const std::string& text) {
  if (!is_wanted_) return;
  is_shown_ = true;
  fmt::print(stderr, "\r{}\x1b[K", text);
  (void)std::fflush(stderr);
}

}  // namespace dmr::cli

// SPDX-License-Identifier: GPL-2.0-or-later
// Draws the line a few times a second over the one before.
#include "cli/simulate/progress_bar.h"

#include <algorithm>
#include <cstdio>
#include <unistd.h>

#include <fmt/format.h>

#include "cli/app/output.h"

namespace dmr::cli {
namespace {

constexpr std::size_t kCells = 24;
constexpr double kEvery_s = 0.2;

// Of the runs or of the time, whichever ends it sooner.
double part_of(const sim::BatchRequest& request, const sim::Progress& progress) {
  double part = static_cast<double>(progress.runs) / static_cast<double>(request.runs);
  if (request.seconds != 0) {
    part = std::max(part, progress.seconds / static_cast<double>(request.seconds));
  }
  return std::clamp(part, 0.0, 1.0);
}

}  // namespace

std::string progress_line(const sim::Progress& progress, double part) {
  const auto full = static_cast<std::size_t>(part * kCells);
  const auto per_second =
      static_cast<u64>(static_cast<double>(progress.runs) / std::max(progress.seconds, 0.001));
  return fmt::format("[{}{}] {:>3} %  {}, {} runs/s, {}", std::string(full, '#'),
                     std::string(kCells - full, '.'), static_cast<u32>(part * 100),
                     counted(progress.runs, "run", "runs"), grouped(per_second),
                     counted(progress.power_cuts, "power cut", "power cuts"));
}

ProgressBar::ProgressBar(const sim::BatchRequest& request)
    : request_(request), is_wanted_(isatty(STDERR_FILENO) == 1) {}

ProgressBar::~ProgressBar() {
  if (shown_at_ > 0) fmt::print(stderr, "\r\x1b[K");
}

void ProgressBar::show(const sim::Progress& progress) {
  if (!is_wanted_ || progress.seconds < shown_at_ + kEvery_s) return;
  shown_at_ = progress.seconds;
  fmt::print(stderr, "\r{}\x1b[K", progress_line(progress, part_of(request_, progress)));
  (void)std::fflush(stderr);
}

}  // namespace dmr::cli

// SPDX-License-Identifier: GPL-2.0-or-later
// Draws the line a few times a second over the one before.
#include "cli/simulate/progress_bar.h"

#include <algorithm>

#include <fmt/format.h>

#include "cli/app/output.h"

namespace dmr::cli {
namespace {

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
  const auto per_second =
      static_cast<u64>(static_cast<double>(progress.runs) / std::max(progress.seconds, 0.001));
  return fmt::format("{}  {}, {} runs/s, {}", progress_bar(part),
                     counted(progress.runs, "run", "runs"), grouped(per_second),
                     counted(progress.power_cuts, "power cut", "power cuts"));
}

void ProgressBar::show(const sim::Progress& progress) {
  if (!line_.is_wanted() || progress.seconds < shown_at_ + kEvery_s) return;
  shown_at_ = progress.seconds;
  line_.show(progress_line(progress, part_of(request_, progress)));
}

}  // namespace dmr::cli

// SPDX-License-Identifier: GPL-2.0-or-later
// The progress line of a simulation.
#pragma once

#include <string>

#include "cli/app/progress_line.h"
#include "sim/batch.h"

namespace dmr::cli {

// "[#######.............]  35 %  12,345 runs, 2,345 runs/s, 45,000 power cuts"
[[nodiscard]] std::string progress_line(const sim::Progress& progress, double part);

class ProgressBar {
 public:
  explicit ProgressBar(const sim::BatchRequest& request) : request_(request) {}

  void show(const sim::Progress& progress);

 private:
  const sim::BatchRequest& request_;
  ProgressLine line_;
  double shown_at_ = 0;
};

}  // namespace dmr::cli

// SPDX-License-Identifier: GPL-2.0-or-later
// One line on stderr that tells how far a simulation is. On a terminal only.
#pragma once

#include <string>

#include "core/base/types.h"
#include "sim/batch.h"

namespace dmr::cli {

// "[#######.............]  35 %  12,345 runs, 2,345 runs/s, 45,000 power cuts"
[[nodiscard]] std::string progress_line(const sim::Progress& progress, double part);

class ProgressBar {
 public:
  explicit ProgressBar(const sim::BatchRequest& request);
  ~ProgressBar();  // wipes it out
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void show(const sim::Progress& progress);

 private:
  const sim::BatchRequest& request_;
  const bool is_wanted_;
  double shown_at_ = 0;
};

}  // namespace dmr::cli

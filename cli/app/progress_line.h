// SPDX-License-Identifier: GPL-2.0-or-later
// One line on stderr that tells how far a long work is. On a terminal only.
#pragma once

#include <string>

namespace dmr::cli {

// "[#######.................]  35 %"; `part` of 1.
[[nodiscard]] std::string progress_bar(double part);

class ProgressLine {
 public:
  ProgressLine();
  ~ProgressLine();  // wipes it out
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  [[nodiscard]] bool is_wanted() const { return is_wanted_; }
  void show(const std::string& text);  // in place of the one before

 private:
  const bool is_wanted_;
  bool is_shown_ = false;
};

}  // namespace dmr::cli

// SPDX-License-Identifier: GPL-2.0-or-later
// What is wrong with a volume's metadata, in words: the place, and what it means for the user.
// `start` and `check` tell it alike.
#pragma once

#include <string>
#include <vector>

#include "core/log/store.h"

namespace dmr::cli {

enum class Weight {
  note,   // a crash or an absent device explains it; nothing is lost
  fault,  // damage, of which another copy is left
  fatal,  // the volume does not start
};

struct FindingText {
  const char* kind = "";  // stable, for --json
  Weight weight = Weight::note;
  std::string what;  // begins with the place
  std::string consequence;
};

// `paths[i]` is member i's device, "" when it was not given.
[[nodiscard]] FindingText describe(const Finding& finding, const std::vector<std::string>& paths);
[[nodiscard]] const char* text_of(Weight weight);

// On stderr, one line each. With `repairs` the damage that can be repaired has been.
void print_findings(const std::vector<Finding>& findings, const std::vector<std::string>& paths,
                    bool repairs);

class FindingList final : public FindingSink {
 public:
  void found(const Finding& finding) override { all_.push_back(finding); }
  [[nodiscard]] const std::vector<Finding>& all() const { return all_; }

 private:
  std::vector<Finding> all_;
};

}  // namespace dmr::cli

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

// How a volume was started.
struct Started {
  bool repaired = false;  // what can be repaired or brought up to date has been
  bool degraded = false;  // without the members that are missing, as its user wants
};
// What the start says about a finding.
[[nodiscard]] std::string line_about(const Finding& finding, const std::vector<std::string>& paths,
                                     const Started& started);
// On stderr, one line each.
void print_findings(const std::vector<Finding>& findings, const std::vector<std::string>& paths,
                    const Started& started);

class FindingList final : public FindingSink {
 public:
  void found(const Finding& finding) override { all_.push_back(finding); }
  [[nodiscard]] const std::vector<Finding>& all() const { return all_; }

 private:
  std::vector<Finding> all_;
};

}  // namespace dmr::cli

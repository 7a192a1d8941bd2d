// SPDX-License-Identifier: GPL-2.0-or-later
// Which steps of a scenario are played, and how a user writes that down: "3,17,40-42". Steps are
// counted from 1.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/types.h"

namespace dmr::sim {

class Steps {
 public:
  [[nodiscard]] static Steps first(u32 count);
  // None when it is no such list, or names a step beyond `last`.
  [[nodiscard]] static std::optional<Steps> parse(std::string_view text, u32 last);
  // Ascending, each once.
  explicit Steps(const std::vector<u32>& list);

  [[nodiscard]] bool contains(u32 step) const { return step < played_.size() && played_[step]; }
  [[nodiscard]] std::vector<u32> list() const;
  [[nodiscard]] std::string text() const;

 private:
  std::vector<bool> played_;  // by step; [0] is unused
};

}  // namespace dmr::sim

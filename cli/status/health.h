// SPDX-License-Identifier: GPL-2.0-or-later
// Judging the state of a running volume: how it is, why, and what its user should do now.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/volume/health.h"

namespace dmr::cli {

using Health = HealthGrade;

struct Diagnosis {
  Health health = Health::healthy;
  u32 score = 100;
  std::vector<std::string> reasons;  // the gravest first
  std::string advice;                // one sentence
};

// `status` is the answer of the control socket.
[[nodiscard]] Diagnosis diagnose(const nlohmann::json& status);
// Whether the blocks of this member of `status` count as spare.
[[nodiscard]] bool takes_blocks(const nlohmann::json& member);
[[nodiscard]] const char* text_of(Health health);

}  // namespace dmr::cli

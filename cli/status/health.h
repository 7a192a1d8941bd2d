// SPDX-License-Identifier: GPL-2.0-or-later
// Judging the state of a running volume: how it is, why, and what its user should do now.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace dmr::cli {

enum class Health {
  healthy,    // nothing to do
  attention,  // it works; something should be done before long
  failing,    // data is lost or at risk
};

struct Diagnosis {
  Health health = Health::healthy;
  std::vector<std::string> reasons;  // the gravest first
  std::string advice;                // one sentence
};

// `status` is the answer of the control socket.
[[nodiscard]] Diagnosis diagnose(const nlohmann::json& status);
[[nodiscard]] const char* text_of(Health health);

}  // namespace dmr::cli

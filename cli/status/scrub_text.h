// SPDX-License-Identifier: GPL-2.0-or-later
// What a scrub is and has found, in words. `status` is the answer of the control socket.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "core/base/types.h"

namespace dmr::cli {

enum class ScrubPhase : u8 { never, running, held, paused, stopped, ended };

[[nodiscard]] ScrubPhase scrub_phase(const nlohmann::json& status);
// How much of the volume lies before its position, of 1.
[[nodiscard]] double scrub_part(const nlohmann::json& status);
// "35 %"
[[nodiscard]] std::string scrub_percent(const nlohmann::json& status);
// What has been found so far; a line without a full stop.
[[nodiscard]] std::string scrub_findings(const nlohmann::json& status);
// For one line of the screen `status`.
[[nodiscard]] std::string scrub_summary(const nlohmann::json& status);
// "12 s", "34 min", "5 h 6 min", "3 days"
[[nodiscard]] std::string duration_text(u64 seconds);

}  // namespace dmr::cli

// SPDX-License-Identifier: GPL-2.0-or-later
// One sentence for each thing that a scrub may be or have found.
#include "cli/status/scrub_text.h"

#include <fmt/format.h>

#include "cli/app/output.h"

namespace dmr::cli {
namespace {

u64 figure(const nlohmann::json& status, const char* key) {
  return status.at("scrub").at(key).get<u64>();
}

}  // namespace

ScrubPhase scrub_phase(const nlohmann::json& status) {
  const std::string state = status.at("scrub").at("state").get<std::string>();
  if (state == "running") return ScrubPhase::running;
  if (state == "held") return ScrubPhase::held;
  if (state == "paused") return ScrubPhase::paused;
  const u64 position = figure(status, "position");
  if (figure(status, "passes") == 0 && position == 0) return ScrubPhase::never;
  return position < status.at("volume_sectors").get<u64>() ? ScrubPhase::stopped
                                                           : ScrubPhase::ended;
}

double scrub_part(const nlohmann::json& status) {
  return static_cast<double>(figure(status, "position")) /
         static_cast<double>(status.at("volume_sectors").get<u64>());
}

std::string scrub_percent(const nlohmann::json& status) {
  return fmt::format("{} %", static_cast<u32>(scrub_part(status) * 100));
}

std::string scrub_findings(const nlohmann::json& status) {
  const u64 failed = figure(status, "failed_reads");
  const bool all_came =
      scrub_phase(status) == ScrubPhase::ended && figure(status, "skipped_sectors") == 0;
  if (failed == 0)
    return all_came ? "nothing: every block came at once" : "nothing in what was read";
  const std::string reads =
      fmt::format("{} did not come at once", counted(failed, "block", "blocks"));
  const u64 unreadable = figure(status, "unreadable_blocks");
  if (unreadable == 0) {
    const ScrubPhase phase = scrub_phase(status);
    const bool is_between = phase == ScrubPhase::paused || phase == ScrubPhase::held;
    return is_between ? reads : reads + ", but came in the end";
  }
  return fmt::format("{}, and {} could not be read whole{}", reads,
                     counted(unreadable, "block", "blocks"),
                     status.at("writable").get<bool>()
                         ? ""
                         : "; nothing of it is recorded, because the volume takes no writes");
}

std::string scrub_summary(const nlohmann::json& status) {
  const u64 unreadable = figure(status, "unreadable_blocks");
  const std::string found =
      unreadable == 0 ? "no new unreadable block"
                      : counted(unreadable, "new unreadable block", "new unreadable blocks");
  switch (scrub_phase(status)) {
    case ScrubPhase::never:
      return "none since the volume was started";
    case ScrubPhase::running:
      return fmt::format("running, {} done; {} so far", scrub_percent(status), found);
    case ScrubPhase::held:
      return fmt::format("held at {} until the volume is resumed", scrub_percent(status));
    case ScrubPhase::paused:
      return fmt::format("paused at {}; `dm-remap scrub {} start` goes on", scrub_percent(status),
                         status.at("name").get<std::string>());
    case ScrubPhase::stopped:
      return fmt::format("stopped at {}; {} up to there", scrub_percent(status), found);
    case ScrubPhase::ended:
      return fmt::format("{} since the start; the last found {}",
                         counted(figure(status, "passes"), "pass", "passes"), found);
  }
  return "";
}

std::string duration_text(u64 seconds) {
  constexpr u64 kMinute = 60;
  constexpr u64 kHour = 60 * kMinute;
  constexpr u64 kDay = 24 * kHour;
  if (seconds < 2 * kMinute) return fmt::format("{} s", seconds);
  if (seconds < 2 * kHour) return fmt::format("{} min", seconds / kMinute);
  if (seconds < 2 * kDay) {
    return fmt::format("{} h {} min", seconds / kHour, seconds % kHour / kMinute);
  }
  return fmt::format("{} days", seconds / kDay);
}

}  // namespace dmr::cli

// SPDX-License-Identifier: GPL-2.0-or-later
// An order to the scrub of a volume, whether a server or the kernel runs it.
#pragma once

#include <optional>

#include <nlohmann/json.hpp>

#include "core/volume/scrubber.h"
#include "runtime/device/error.h"

namespace dmr::runtime {

struct ScrubOrder {
  ScrubAction action = ScrubAction::start;
  std::optional<Sector> from;
  std::optional<u64> kib_per_s;
};

[[nodiscard]] const char* name_of(ScrubAction action);
// Reads the request `scrub`. An order that means nothing to a scrub that is as `now` says is an
// error here: the engine would only say that it is wrong.
[[nodiscard]] Expected<ScrubOrder> scrub_order_of(const nlohmann::json& request, u64 volume_sectors,
                                                  const ScrubStats& now);
[[nodiscard]] Error nothing_to_pause();

}  // namespace dmr::runtime

// SPDX-License-Identifier: GPL-2.0-or-later
// Each rule of an order with the line that says what it breaks.
#include "runtime/control/scrub_order.h"

#include <string>

#include <fmt/format.h>

#include "core/volume/tuning.h"

namespace dmr::runtime {
namespace {

Expected<ScrubAction> action_of(const std::string& word) {
  for (u32 i = 0; i < kScrubActions; ++i) {
    const auto action = static_cast<ScrubAction>(i);
    if (word == name_of(action)) return action;
  }
  return fail("`action` is none of start, pause, stop", kExitUsage);
}

Expected<void> check_from(const ScrubOrder& order, u64 volume_sectors, const ScrubStats& now) {
  if (!order.from) return {};
  if (order.action != ScrubAction::start) {
    return fail("a sector to begin at goes with `start`", kExitUsage);
  }
  if (order.from->value >= volume_sectors) {
    return fail(fmt::format("sector {} is not inside the volume of {} sectors", order.from->value,
                            volume_sectors),
                kExitUsage);
  }
  if (now.state == ScrubState::idle) return {};
  return fail(fmt::format("a scrub is {} at sector {}, and begins nowhere else; stop it first",
                          now.state == ScrubState::paused ? "paused" : "under way",
                          now.position.value));
}

Expected<void> check_rate(const ScrubOrder& order) {
  const TunableRange& range = kTunableRange[static_cast<u32>(Tunable::scrub_kib_per_s)];
  if (!order.kib_per_s || range.allows(*order.kib_per_s)) return {};
  return fail(fmt::format("a scrub's speed is {} to {} KiB a second, not {}", range.lowest,
                          range.highest, *order.kib_per_s),
              kExitUsage);
}

}  // namespace

const char* name_of(ScrubAction action) {
  switch (action) {
    case ScrubAction::start:
      return "start";
    case ScrubAction::pause:
      return "pause";
    case ScrubAction::stop:
      return "stop";
  }
  return "unknown";
}

Error nothing_to_pause() { return Error{"there is nothing to pause: no scrub is under way"}; }

Expected<ScrubOrder> scrub_order_of(const nlohmann::json& request, u64 volume_sectors,
                                    const ScrubStats& now) {
  ScrubOrder order;
  const auto action = action_of(request.value("action", ""));
  if (!action) return std::unexpected(action.error());
  order.action = *action;
  if (request.contains("from")) order.from = Sector(request.at("from").get<u64>());
  if (request.contains("kib_per_s")) order.kib_per_s = request.at("kib_per_s").get<u64>();
  if (auto good = check_rate(order); !good) return std::unexpected(good.error());
  if (auto good = check_from(order, volume_sectors, now); !good) {
    return std::unexpected(good.error());
  }
  if (order.action == ScrubAction::pause && now.state == ScrubState::idle) {
    return std::unexpected(nothing_to_pause());
  }
  return order;
}

}  // namespace dmr::runtime

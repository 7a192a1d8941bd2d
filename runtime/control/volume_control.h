// SPDX-License-Identifier: GPL-2.0-or-later
// What the control socket of a volume understands: status, map, mark, forget, checkpoint, events,
// scrub, faults, stop. The keys are stable; docs/control-protocol.md lists them.
#pragma once

#include <functional>

#include <nlohmann/json.hpp>

#include "runtime/control/server.h"
#include "runtime/control/volume_report.h"
#include "runtime/volume/user_volume.h"

namespace dmr::runtime {

struct ControlContext {
  UserVolume* volume = nullptr;
  std::function<void()>
      stop;                // asked for by "stop"; called on the server's thread, returns at once
  nlohmann::json exports;  // what "status" shows under "exports"
};

// The handler for ControlServer::start. The volume must outlive the server.
[[nodiscard]] ControlServer::Handler volume_handler(ControlContext context);

// Also used without a server (`--read-only` looks, tests).
[[nodiscard]] nlohmann::json status_json(UserVolume& volume);

}  // namespace dmr::runtime

// SPDX-License-Identifier: GPL-2.0-or-later
// Talking to a running volume: the requests of the control socket as the subcommands need them.
#pragma once

#include <chrono>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "cli/app/outcome.h"
#include "core/volume/request.h"
#include "runtime/control/client.h"

namespace dmr::cli {

struct Moved {
  u64 blocks_changed = 0;
  u64 blocks_unchanged = 0;
  u64 sectors_lost = 0;
};

class Session {
 public:
  // An error that says how to start the volume when it does not run.
  [[nodiscard]] static Expected<Session> open(const std::string& name);

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] Expected<nlohmann::json> status();
  // All runs that are not plain, in order, in pages.
  [[nodiscard]] Expected<void> for_each_run(
      const std::function<void(const nlohmann::json& run)>& visit);
  [[nodiscard]] Expected<nlohmann::json> events(u64 after);
  // "mark" or "forget". Long lists go in several requests; each is as durable as it says.
  [[nodiscard]] Expected<Moved> move(const std::string& op, std::span<const SectorRange> ranges);
  // Asks the server to stop; returns its process id.
  [[nodiscard]] Expected<int> stop();

 private:
  Session(std::string name, runtime::ControlClient client)
      : name_(std::move(name)), client_(std::move(client)) {}

  std::string name_;
  runtime::ControlClient client_;
};

}  // namespace dmr::cli

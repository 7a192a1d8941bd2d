// SPDX-License-Identifier: GPL-2.0-or-later
// Talking to a running volume: the requests of the control protocol as the subcommands need them,
// whether a server or the kernel answers them.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "cli/app/outcome.h"
#include "cli/client/link.h"
#include "core/volume/request.h"

namespace dmr::cli {

struct Moved {
  u64 blocks_changed = 0;
  u64 blocks_unchanged = 0;
  u64 sectors_lost = 0;
  std::string failure;  // status of the first block that could not be moved, "" when there is none
  u64 bad_sector = 0;   // where that block begins
};

// What a running volume is asked for goes to a server that answers at once, or hangs.
inline constexpr std::chrono::seconds kAnswerTimeout{15};

class Session {
 public:
  // An error that says how to start the volume when it does not run.
  [[nodiscard]] static Expected<Session> open(const std::string& name);

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] Expected<nlohmann::json> status(std::chrono::milliseconds timeout = kAnswerTimeout);
  // All runs that are not plain, in order, in pages.
  [[nodiscard]] Expected<void> for_each_run(
      const std::function<void(const nlohmann::json& run)>& visit);
  [[nodiscard]] Expected<nlohmann::json> events(u64 after);
  // "mark" or "forget". Long lists go in several requests; each is as durable as it says. A block
  // that cannot be moved is no error here, and keeps no other from being moved.
  [[nodiscard]] Expected<Moved> move(const std::string& op, std::span<const SectorRange> ranges);
  // An order to the scrub, with the keys of the protocol; what the scrub is then.
  [[nodiscard]] Expected<nlohmann::json> scrub(const nlohmann::json& order);
  // Returns when it has ended and its members are free; with `force` also when it is in use.
  [[nodiscard]] Expected<void> stop(std::chrono::seconds timeout, bool force);
  [[nodiscard]] bool is_running() const;

 private:
  [[nodiscard]] Expected<void> check_takes_changes();
  [[nodiscard]] Error read_only_error(const std::string& op, u64 blocks_changed);
  [[nodiscard]] Expected<nlohmann::json> move_some(const std::string& op,
                                                   std::span<SectorRange>& ranges);

  Session(std::string name, std::unique_ptr<VolumeLink> link)
      : name_(std::move(name)), link_(std::move(link)) {}

  std::string name_;
  std::unique_ptr<VolumeLink> link_;
};

}  // namespace dmr::cli

// SPDX-License-Identifier: GPL-2.0-or-later
// A volume that a server runs: its control socket and its process.
#pragma once

#include <memory>
#include <string>

#include "cli/client/link.h"
#include "runtime/control/client.h"

namespace dmr::cli {

class SocketLink final : public VolumeLink {
 public:
  [[nodiscard]] static Expected<std::unique_ptr<VolumeLink>> open(const std::string& name);
  // A long request is waited for without a look at the server for `between_looks`.
  SocketLink(std::string name, runtime::ControlClient client,
             std::chrono::milliseconds between_looks = std::chrono::seconds(5))
      : name_(std::move(name)), client_(std::move(client)), between_looks_(between_looks) {}

  [[nodiscard]] Expected<nlohmann::json> call(const nlohmann::json& request,
                                              std::chrono::milliseconds timeout) override;
  [[nodiscard]] Expected<nlohmann::json> call_long(const nlohmann::json& request,
                                                   std::chrono::milliseconds silence,
                                                   std::chrono::milliseconds limit) override;
  [[nodiscard]] Expected<void> stop(std::chrono::seconds timeout, bool force) override;

 private:
  [[nodiscard]] bool answers_others(std::chrono::milliseconds timeout) const;
  [[nodiscard]] Error silent_for(std::chrono::milliseconds time) const;

  std::string name_;
  runtime::ControlClient client_;
  std::chrono::milliseconds between_looks_;
};

}  // namespace dmr::cli

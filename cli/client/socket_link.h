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
  SocketLink(std::string name, runtime::ControlClient client)
      : name_(std::move(name)), client_(std::move(client)) {}

  [[nodiscard]] Expected<nlohmann::json> call(const nlohmann::json& request,
                                              std::chrono::milliseconds timeout) override;
  [[nodiscard]] Expected<void> stop(std::chrono::seconds timeout, bool force) override;

 private:
  std::string name_;
  runtime::ControlClient client_;
};

}  // namespace dmr::cli

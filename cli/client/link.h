// SPDX-License-Identifier: GPL-2.0-or-later
// A running volume, wherever it runs: what answers the requests of docs/control-protocol.md.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "cli/app/outcome.h"
#include "cli/kernel/mapper.h"

namespace dmr::cli {

class VolumeLink {
 public:
  virtual ~VolumeLink() = default;

  // One request of the protocol, one answer.
  [[nodiscard]] virtual Expected<nlohmann::json> call(const nlohmann::json& request,
                                                      std::chrono::milliseconds timeout) = 0;
  // The same for a request that may take long, while the volume answers others: an error once
  // nothing is answered for `silence`, and after `limit` in any case.
  [[nodiscard]] virtual Expected<nlohmann::json> call_long(const nlohmann::json& request,
                                                           std::chrono::milliseconds silence,
                                                           std::chrono::milliseconds limit) = 0;
  // Ends it and waits until its members are free. With `force` also when it is in use.
  [[nodiscard]] virtual Expected<void> stop(std::chrono::seconds timeout, bool force) = 0;
};

// An error that says how to start the volume when it does not run.
[[nodiscard]] Expected<std::unique_ptr<VolumeLink>> open_link(const std::string& name,
                                                              DeviceMapper& mapper);

// Names of the volumes that run, in servers and in the kernel, sorted.
[[nodiscard]] std::vector<std::string> running_volumes(const DeviceMapper& mapper);
// "process 4711", "in the kernel", or "" when it does not run.
[[nodiscard]] std::string runner_of(const std::string& name, const DeviceMapper& mapper);

}  // namespace dmr::cli

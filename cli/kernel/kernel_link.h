// SPDX-License-Identifier: GPL-2.0-or-later
// A volume that the kernel runs: each request of the control protocol becomes messages to its
// mapped device, and their answers the protocol's answer.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/client/link.h"
#include "core/geometry/geometry.h"
#include "runtime/control/volume_report.h"

namespace dmr::cli {

class KernelLink final : public VolumeLink {
 public:
  KernelLink(std::string name, DeviceMapper& mapper) : name_(std::move(name)), mapper_(mapper) {}

  [[nodiscard]] Expected<nlohmann::json> call(const nlohmann::json& request,
                                              std::chrono::milliseconds timeout) override;
  // The kernel answers in its own time.
  [[nodiscard]] Expected<nlohmann::json> call_long(const nlohmann::json& request,
                                                   std::chrono::milliseconds /*silence*/,
                                                   std::chrono::milliseconds limit) override {
    return call(request, limit);
  }
  [[nodiscard]] Expected<void> stop(std::chrono::seconds timeout, bool force) override;

 private:
  // What `stats` says; the numbers of the members' devices as in parse_report().
  [[nodiscard]] Expected<runtime::VolumeReport> report(std::vector<std::string>& numbers);
  [[nodiscard]] Expected<nlohmann::json> status();
  [[nodiscard]] Expected<nlohmann::json> map(const nlohmann::json& request);
  [[nodiscard]] Expected<nlohmann::json> events(const nlohmann::json& request);
  [[nodiscard]] Expected<nlohmann::json> move(const nlohmann::json& request);
  [[nodiscard]] Expected<nlohmann::json> scrub(const nlohmann::json& request);
  [[nodiscard]] Expected<void> order(const std::string& words);
  [[nodiscard]] Expected<Geometry> geometry();

  std::string name_;
  DeviceMapper& mapper_;
  std::optional<Geometry> geometry_;  // asked for once
};

}  // namespace dmr::cli

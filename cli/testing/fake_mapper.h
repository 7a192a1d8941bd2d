// SPDX-License-Identifier: GPL-2.0-or-later
// A device mapper for tests: answers messages with prepared text and remembers what it was told.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cli/kernel/mapper.h"

namespace dmr::cli::testing {

class FakeMapper final : public DeviceMapper {
 public:
  std::vector<MappedDevice> present;
  std::map<std::string, std::string> answers;  // by the words of the message
  bool has_module = true;
  std::string create_error;  // the kernel's words, "" when it takes the table
  u64 users = 0;
  bool suspended = false;

  std::vector<Mapping> created;
  std::vector<std::string> said;
  std::vector<std::string> removed;
  std::vector<std::string> pulled;

  void add_volume(const std::string& name) {
    MappedDevice device;
    device.name = name;
    device.path = "/dev/dm-77";
    device.is_volume = true;
    present.push_back(device);
  }

  [[nodiscard]] std::vector<MappedDevice> devices() const override { return present; }
  [[nodiscard]] Expected<void> load_target() override {
    if (has_module) return {};
    return failed("no module");
  }
  [[nodiscard]] Expected<std::string> create(const Mapping& mapping) override {
    if (!create_error.empty()) return refused(create_error);
    created.push_back(mapping);
    add_volume(mapping.name);
    return "/dev/mapper/" + mapping.name;
  }
  [[nodiscard]] Expected<std::string> message(const std::string& name,
                                              const std::string& words) override {
    said.push_back(words);
    if (suspended) return std::unexpected(Error{.message = name + " waits", .temporary = true});
    const auto found = answers.find(words);
    if (found == answers.end()) return failed(name + " does not answer " + words);
    return found->second;
  }
  [[nodiscard]] Expected<u64> users_of(const std::string& /*name*/) override { return users; }
  [[nodiscard]] Expected<void> remove(const std::string& name) override {
    removed.push_back(name);
    return {};
  }
  [[nodiscard]] Expected<void> pull_out(const std::string& name) override {
    pulled.push_back(name);
    return {};
  }
};

}  // namespace dmr::cli::testing

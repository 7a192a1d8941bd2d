// SPDX-License-Identifier: GPL-2.0-or-later
// The other end of the control socket, for the subcommands.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "runtime/control/paths.h"
#include "runtime/device/error.h"
#include "runtime/device/file_descriptor.h"

namespace dmr::runtime {

class ControlClient {
 public:
  using Timeout = std::chrono::milliseconds;

  // Error "NAME is not running" when nobody listens.
  static Expected<ControlClient> connect(std::string_view name, Timeout timeout = Timeout(5'000));
  // Sends one request, waits for its answer, returns "result". An error that the server answered
  // comes back with its exit status.
  Expected<nlohmann::json> call(const nlohmann::json& request, Timeout timeout = Timeout(60'000));
  // The two halves of a call. After a time-out receive() may be called again.
  Expected<void> send(const nlohmann::json& request, Timeout timeout);
  Expected<nlohmann::json> receive(Timeout timeout);

  // The last call has failed because its time was over.
  [[nodiscard]] bool timed_out() const { return timed_out_; }

 private:
  explicit ControlClient(FileDescriptor fd) : fd_(std::move(fd)) {}
  // False at the deadline.
  bool wait_for(short events, std::chrono::steady_clock::time_point deadline);
  Expected<void> send_line(const std::string& line, std::chrono::steady_clock::time_point deadline);
  Expected<std::string> read_line(std::chrono::steady_clock::time_point deadline);

  FileDescriptor fd_;
  std::string buffer_;
  bool timed_out_ = false;
};

}  // namespace dmr::runtime

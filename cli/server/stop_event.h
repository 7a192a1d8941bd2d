// SPDX-License-Identifier: GPL-2.0-or-later
// What ends a server: SIGTERM, SIGINT, or `dm-remap stop` through the control socket.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "cli/app/outcome.h"
#include "runtime/device/file_descriptor.h"

namespace dmr::cli {

class StopEvent {
 public:
  // Blocks the signals in this thread and all that it starts: make it before any thread.
  [[nodiscard]] static Expected<std::unique_ptr<StopEvent>> make();

  // Returns why: "stop", "SIGTERM" or "SIGINT".
  [[nodiscard]] std::string wait();
  // True when there is one already; does not wait.
  [[nodiscard]] bool pending() const;
  // From any thread: wait() returns.
  void raise();

 private:
  runtime::FileDescriptor signals_;
  runtime::FileDescriptor event_;
};

}  // namespace dmr::cli

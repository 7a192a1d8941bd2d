// SPDX-License-Identifier: GPL-2.0-or-later
// How a subcommand ends: its exit status, and the one line that says why it did not go well.
#pragma once

#include <string>
#include <utility>

#include "runtime/device/error.h"

namespace dmr::cli {

using runtime::Error;
using runtime::Expected;

// Part of the interface: scripts depend on these numbers.
enum class Exit : int {
  ok = 0,
  failed = runtime::kExitFailed,      // the operation was tried and did not succeed
  usage = runtime::kExitUsage,        // the command line is wrong; nothing was tried
  refused = runtime::kExitRefused,    // it could have cost data; the message says what overrides
  fault_found = runtime::kExitFault,  // `check` found something wrong
};

// The message is one line without a full stop at its end; it says what to do.
[[nodiscard]] inline std::unexpected<Error> failed(std::string message) {
  return runtime::fail(std::move(message), runtime::kExitFailed);
}
[[nodiscard]] inline std::unexpected<Error> misused(std::string message) {
  return runtime::fail(std::move(message), runtime::kExitUsage);
}
[[nodiscard]] inline std::unexpected<Error> refused(std::string message) {
  return runtime::fail(std::move(message), runtime::kExitRefused);
}

}  // namespace dmr::cli

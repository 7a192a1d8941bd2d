// SPDX-License-Identifier: GPL-2.0-or-later
// How the hosts' side of the program fails: one line for the user and the program's exit status.
#pragma once

#include <expected>
#include <string>
#include <utility>

namespace dmr::runtime {

inline constexpr int kExitFailed = 1;   // the operation failed
inline constexpr int kExitUsage = 2;    // wrong usage
inline constexpr int kExitRefused = 3;  // refused for safety; the message names the option
inline constexpr int kExitFault = 4;    // `check` or `health` found a fault

struct Error {
  std::string message;  // one line, without a full stop, beginning with what it is about
  int exit_code = kExitFailed;
  bool temporary = false;  // the same request may go well later
};

template <class T>
using Expected = std::expected<T, Error>;

[[nodiscard]] inline std::unexpected<Error> fail(std::string message, int exit_code = kExitFailed) {
  return std::unexpected(Error{std::move(message), exit_code});
}
// "<what>: <text of the errno>"
[[nodiscard]] std::unexpected<Error> fail_errno(const std::string& what, int error,
                                                int exit_code = kExitFailed);

}  // namespace dmr::runtime

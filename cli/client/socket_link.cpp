// SPDX-License-Identifier: GPL-2.0-or-later
// Requests go over the socket as they are; the end of the process is the end of the volume.
#include "cli/client/socket_link.h"

#include <sys/syscall.h>

#include <filesystem>
#include <poll.h>
#include <system_error>
#include <unistd.h>

#include <fmt/format.h>

#include "runtime/control/paths.h"
#include "runtime/device/file_descriptor.h"

namespace dmr::cli {
namespace {

constexpr int kAfterErrorMs = 2000;

// Where the server of this process writes what it has to say.
std::string log_of(const std::string& name, int process) {
  std::string file = runtime::runtime_file(name, ".log");
  std::error_code error;
  const bool has_lines = std::filesystem::file_size(file, error) > 0 && !error;
  return has_lines ? file : fmt::format("`journalctl _PID={}`", process);
}

}  // namespace

Expected<std::unique_ptr<VolumeLink>> SocketLink::open(const std::string& name) {
  auto client = runtime::ControlClient::connect(name);
  if (!client) return std::unexpected(client.error());
  return std::make_unique<SocketLink>(name, std::move(*client));
}

Expected<nlohmann::json> SocketLink::call(const nlohmann::json& request,
                                          std::chrono::milliseconds timeout) {
  auto answer = client_.call(request, timeout);
  if (answer || !client_.timed_out()) return answer;
  return std::unexpected(silent_for(timeout));
}

// Whatever becomes of the request later: its answer finds this connection closed.
Expected<nlohmann::json> SocketLink::call_long(const nlohmann::json& request,
                                               std::chrono::milliseconds silence,
                                               std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  if (auto sent = client_.send(request, silence); !sent) {
    return std::unexpected(client_.timed_out() ? silent_for(silence) : sent.error());
  }
  while (std::chrono::steady_clock::now() < end) {
    const auto answer = client_.receive(between_looks_);
    if (answer || !client_.timed_out()) return answer;
    if (answers_others(silence)) continue;
    auto late = client_.receive(std::chrono::milliseconds(0));
    if (late || !client_.timed_out()) return late;
    return std::unexpected(silent_for(silence));
  }
  return failed(fmt::format(
      "the server of volume `{0}` is still at work on it after {1} s, and goes on; `dm-remap map "
      "{0}` shows what it has done",
      name_, std::chrono::duration_cast<std::chrono::seconds>(limit).count()));
}

// On another connection: the answers of one come in order.
bool SocketLink::answers_others(std::chrono::milliseconds timeout) const {
  auto other = runtime::ControlClient::connect(name_, timeout);
  if (!other) return false;
  return other->call({{"op", "status"}}, timeout) || !other->timed_out();
}

Error SocketLink::silent_for(std::chrono::milliseconds time) const {
  const int process = runtime::NameLock::holder(name_);
  if (process <= 0) {
    return {.message = fmt::format("the server of volume `{}` has ended without an answer", name_)};
  }
  return {.message = fmt::format(
              "the server of volume `{}` (process {}) has not answered for {} s; its log is {}, "
              "and `kill -9 {}` ends it",
              name_, process, std::chrono::duration_cast<std::chrono::seconds>(time).count(),
              log_of(name_, process), process)};
}

Expected<void> SocketLink::stop(std::chrono::seconds timeout, bool /*force*/) {
  // A handle to the process, not its number: that may be given to another before we look.
  const int holder = runtime::NameLock::holder(name_);
  const runtime::FileDescriptor process(static_cast<int>(syscall(SYS_pidfd_open, holder, 0)));
  const auto asked = call({{"op", "stop"}}, timeout);
  // A server that ends at once may take its answer with it.
  if (!asked && !process.valid()) return std::unexpected(asked.error());
  const int timeout_ms = static_cast<int>(timeout.count()) * 1000;
  pollfd ended{.fd = process.get(), .events = POLLIN, .revents = 0};
  if (process.valid() && poll(&ended, 1, asked ? timeout_ms : kAfterErrorMs) == 0) {
    if (!asked) return std::unexpected(asked.error());
    return failed(fmt::format(
        "the server of `{}` (process {}) has not ended after {} s; it finishes requests "
        "that its devices hold back",
        name_, holder, timeout.count()));
  }
  return {};
}

}  // namespace dmr::cli

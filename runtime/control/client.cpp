// SPDX-License-Identifier: GPL-2.0-or-later
// Connecting, one request and its answer, each within a deadline.
#include "runtime/control/client.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <poll.h>

#include <fmt/format.h>

#include "core/base/types.h"
#include "runtime/control/unix_address.h"

namespace dmr::runtime {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMaxAnswerBytes = 64 * 1024 * 1024;

}  // namespace

Expected<ControlClient> ControlClient::connect(std::string_view name, Timeout timeout) {
  if (!valid_name(name)) return fail(fmt::format("`{}` is not a name", name), kExitUsage);
  const auto path = socket_path(name, ".sock");
  if (!path) return std::unexpected(path.error());
  FileDescriptor fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return fail_errno("socket", errno);
  const UnixAddress address(*path);
  const Clock::time_point deadline = Clock::now() + timeout;
  // A Unix socket connects at once, or its queue is full (EAGAIN): nothing to poll for.
  while (::connect(fd.get(), address.get(), UnixAddress::size()) != 0) {
    if (errno == ENOENT || errno == ECONNREFUSED) {
      return fail(fmt::format("{}: is not running", name));
    }
    if (errno != EAGAIN && errno != EINTR) return fail_errno(*path, errno);
    if (Clock::now() >= deadline) return fail(fmt::format("{}: does not answer", name));
    ::poll(nullptr, 0, 10);
  }
  return ControlClient(std::move(fd));
}

Expected<nlohmann::json> ControlClient::call(const nlohmann::json& request, Timeout timeout) {
  const Clock::time_point begun = Clock::now();
  if (auto sent = send(request, timeout); !sent) return std::unexpected(sent.error());
  return receive(timeout - std::chrono::duration_cast<Timeout>(Clock::now() - begun));
}

Expected<void> ControlClient::send(const nlohmann::json& request, Timeout timeout) {
  timed_out_ = false;
  const std::string line =
      request.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  return send_line(line, Clock::now() + timeout);
}

Expected<nlohmann::json> ControlClient::receive(Timeout timeout) {
  timed_out_ = false;
  auto answer = read_line(Clock::now() + timeout);
  if (!answer) return std::unexpected(answer.error());
  nlohmann::json reply = nlohmann::json::parse(*answer, nullptr, false);
  if (!reply.is_object() || !reply.contains("ok") || !reply["ok"].is_boolean()) {
    return fail("the server's answer is not understood");
  }
  if (reply["ok"].get<bool>()) return reply.value("result", nlohmann::json());
  const auto& text = reply["error"];
  const auto& code = reply["exit"];
  return fail(text.is_string() ? text.get<std::string>() : "the server refused",
              code.is_number_integer() ? code.get<int>() : kExitFailed);
}

bool ControlClient::wait_for(short events, Clock::time_point deadline) {
  while (true) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    timed_out_ = left <= 0;
    if (timed_out_) return false;
    pollfd polled{fd_.get(), events, 0};
    const int ready = ::poll(&polled, 1, static_cast<int>(std::min<i64>(left + 1, 60'000)));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
}

Expected<void> ControlClient::send_line(const std::string& line, Clock::time_point deadline) {
  for (std::size_t sent = 0; sent < line.size();) {
    const ssize_t now =
        ::send(fd_.get(), line.data() + sent, line.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (now >= 0) {
      sent += static_cast<std::size_t>(now);
    } else if (errno == EAGAIN) {
      if (!wait_for(POLLOUT, deadline)) return fail("the server does not answer");
    } else if (errno == EPIPE || errno == ECONNRESET) {
      return {};  // it may have said why: read that
    } else if (errno != EINTR) {
      return fail_errno("the control socket", errno);
    }
  }
  return {};
}

Expected<std::string> ControlClient::read_line(Clock::time_point deadline) {
  while (true) {
    const std::size_t end = buffer_.find('\n');
    if (end != std::string::npos) {
      std::string line = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      return line;
    }
    if (buffer_.size() > kMaxAnswerBytes) return fail("the server's answer is too long");
    char bytes[64 * 1024];
    const ssize_t got = ::recv(fd_.get(), bytes, sizeof bytes, MSG_DONTWAIT);
    if (got > 0) {
      buffer_.append(bytes, static_cast<std::size_t>(got));
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
      return fail("the server closed the connection");
    } else if (!wait_for(POLLIN, deadline)) {
      return fail("the server does not answer");
    }
  }
}

}  // namespace dmr::runtime

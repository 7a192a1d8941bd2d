// SPDX-License-Identifier: GPL-2.0-or-later
// Waits for a signal or for the control socket.
#include "cli/server/stop_event.h"

#include <sys/eventfd.h>
#include <sys/signalfd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <poll.h>
#include <unistd.h>

#include <fmt/format.h>

#include "core/base/types.h"

namespace dmr::cli {

Expected<std::unique_ptr<StopEvent>> StopEvent::make() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  auto event = std::make_unique<StopEvent>();
  const int error = pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  event->signals_ = runtime::FileDescriptor(signalfd(-1, &signals, SFD_CLOEXEC));
  event->event_ = runtime::FileDescriptor(eventfd(0, EFD_CLOEXEC));
  if (error != 0 || !event->signals_.valid() || !event->event_.valid()) {
    return failed(fmt::format("signals cannot be waited for: {}", std::strerror(errno)));
  }
  return event;
}

std::string StopEvent::wait() {
  std::array<pollfd, 2> wanted{{{.fd = signals_.get(), .events = POLLIN, .revents = 0},
                                {.fd = event_.get(), .events = POLLIN, .revents = 0}}};
  while (poll(wanted.data(), wanted.size(), -1) <= 0) {
  }
  if ((wanted[0].revents & POLLIN) == 0) return "stop";
  signalfd_siginfo info{};
  if (read(signals_.get(), &info, sizeof(info)) != sizeof(info)) return "a signal";
  return info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM";
}

bool StopEvent::pending() const {
  std::array<pollfd, 2> wanted{{{.fd = signals_.get(), .events = POLLIN, .revents = 0},
                                {.fd = event_.get(), .events = POLLIN, .revents = 0}}};
  return poll(wanted.data(), wanted.size(), 0) > 0;
}

void StopEvent::raise() {
  const u64 one = 1;
  // It can only fail when the counter is full, and then it has been raised long ago.
  [[maybe_unused]] const ssize_t put = write(event_.get(), &one, sizeof(one));
}

}  // namespace dmr::cli

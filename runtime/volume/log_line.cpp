// SPDX-License-Identifier: GPL-2.0-or-later
// One write() for each line, and only when poll() says that it will not wait.
#include "runtime/volume/log_line.h"

#include <array>
#include <climits>
#include <mutex>
#include <poll.h>
#include <unistd.h>

#include <fmt/format.h>

#include "core/base/types.h"

namespace dmr::runtime {
namespace {

std::mutex mutex;
u64 dropped = 0;  // lines since the last that was taken; guarded

// A pipe that can be written to has room for PIPE_BUF bytes, a terminal that is stopped (Ctrl-S)
// has none.
bool takes_a_line() {
  pollfd polled{STDERR_FILENO, POLLOUT, 0};
  return poll(&polled, 1, 0) == 1 && (polled.revents & POLLOUT) != 0;
}

void write_line(std::string_view line) {
  std::array<char, PIPE_BUF> text;
  const std::lock_guard lock(mutex);
  const auto room = text.size() - 1;
  char* end = text.data();
  if (dropped > 0) {
    end = fmt::format_to_n(end, room, "dm-remap: {} lines before this one were dropped\n", dropped)
              .out;
  }
  end = fmt::format_to_n(end, room - static_cast<std::size_t>(end - text.data()), "{}", line).out;
  *end++ = '\n';
  const auto bytes = static_cast<std::size_t>(end - text.data());
  if (takes_a_line() && write(STDERR_FILENO, text.data(), bytes) > 0) {
    dropped = 0;
  } else {
    ++dropped;
  }
}

}  // namespace

void log_line(std::string_view line) noexcept {
  try {
    write_line(line);
  } catch (...) {
    return;  // a line is all that is lost
  }
}

}  // namespace dmr::runtime

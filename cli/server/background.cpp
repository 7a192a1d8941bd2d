// SPDX-License-Identifier: GPL-2.0-or-later
// Forking, and the pipe through which the parent hears the outcome.
#include "cli/server/background.h"

#include <sys/types.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <syslog.h>
#include <unistd.h>

#include <fmt/format.h>
#include <systemd/sd-journal.h>

namespace dmr::cli {
namespace {

// Returns what was written until the other end was closed.
std::string read_all(int fd) {
  std::string text;
  std::array<char, 4096> buffer{};
  while (true) {
    const ssize_t got = read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

bool write_all(int fd, const std::string& text) {
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t put = write(fd, text.data() + done, text.size() - done);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    done += static_cast<std::size_t>(put);
  }
  return true;
}

void redirect(const std::string& log_path) {
  const runtime::FileDescriptor null(open("/dev/null", O_RDWR | O_CLOEXEC));
  runtime::FileDescriptor log(sd_journal_stream_fd("dm-remap", LOG_INFO, 1));
  if (!log.valid()) {
    log = runtime::FileDescriptor(
        open(log_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600));
  }
  if (null.valid()) {
    dup2(null.get(), STDIN_FILENO);
    dup2(null.get(), STDOUT_FILENO);
  }
  dup2(log.valid() ? log.get() : null.get(), STDERR_FILENO);
}

}  // namespace

Expected<std::optional<Exit>> Background::enter() {
  std::array<int, 2> ends{-1, -1};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) {
    return failed(fmt::format("no pipe can be made: {}", std::strerror(errno)));
  }
  runtime::FileDescriptor reader(ends[0]);
  runtime::FileDescriptor writer(ends[1]);
  std::fflush(nullptr);  // else both processes print what is buffered
  const pid_t child = fork();
  if (child < 0) {
    return failed(fmt::format("no process can be started: {}", std::strerror(errno)));
  }
  if (child == 0) {
    setsid();  // the terminal's Ctrl-C is not for us
    pipe_ = std::move(writer);
    return std::optional<Exit>();
  }
  writer.reset();
  pipe_ = std::move(reader);
  return wait_for_child(child);
}

Expected<std::optional<Exit>> Background::wait_for_child(int child) {
  const std::string said = read_all(pipe_.get());
  if (!said.empty()) {  // ready: it lives on
    fmt::print("{}", said);
    return std::optional(Exit::ok);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return failed(fmt::format("the server is lost: {}", std::strerror(errno)));
  }
  if (WIFSIGNALED(status)) {
    return failed(fmt::format("the server was ended by signal {} ({}) while it started",
                              WTERMSIG(status), strsignal(WTERMSIG(status))));
  }
  // It has said on stderr why, and its status is ours.
  return std::optional(static_cast<Exit>(WEXITSTATUS(status)));
}

bool Background::ready(const std::string& output, const std::string& log_path) {
  const bool heard = write_all(pipe_.get(), output);
  pipe_.reset();
  redirect(log_path);
  if (chdir("/") != 0) return heard;  // keep no filesystem busy; staying where we are is no harm
  return heard;
}

}  // namespace dmr::cli

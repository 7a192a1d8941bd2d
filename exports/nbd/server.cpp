// SPDX-License-Identifier: GPL-2.0-or-later
// The accepting thread.
#include "exports/nbd/server.h"

#include <sys/eventfd.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <poll.h>

#include "exports/nbd/limits.h"

namespace dmr::nbd {

namespace {

// Threads of clients that left are joined at least this often.
constexpr int kTidyMs = 1000;

}  // namespace

Server::Server(exports::Source& source, ServerOptions options)
    : source_(source), options_(std::move(options)), log_(options_.log) {}

Server::~Server() { stop(); }

runtime::Expected<void> Server::start() {
  DMR_ASSERT(!listener_.has_value());
  stop_event_ = runtime::FileDescriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop_event_.valid()) return runtime::fail("no descriptor left for the NBD server");
  auto listener = options_.tcp_host.empty() ? Listener::unix_socket(options_.socket_path)
                                            : Listener::tcp(options_.tcp_host, options_.tcp_port);
  if (!listener) return std::unexpected(listener.error());
  const Listener& listening = listener_.emplace(std::move(*listener));
  thread_ = std::thread([this, &listening] { run(listening); });
  return {};
}

std::string Server::uri() const { return listener_ ? listener_->uri() : std::string(); }

std::size_t Server::connections() const {
  const std::lock_guard lock(mutex_);
  return connections_.size();
}

void Server::stop() {
  if (!thread_.joinable()) return;
  const std::uint64_t one = 1;
  (void)!write(stop_event_.get(), &one, sizeof one);
  thread_.join();
  listener_.reset();  // nobody else connects
  const std::lock_guard lock(mutex_);
  for (Connection& connection : connections_) connection.stop();
  connections_.clear();
}

void Server::run(const Listener& listener) {
  for (;;) {
    std::array<pollfd, 2> polled = {pollfd{listener.fd(), POLLIN, 0},
                                    pollfd{stop_event_.get(), POLLIN, 0}};
    const int ready = poll(polled.data(), polled.size(), kTidyMs);
    if (ready < 0 && errno != EINTR) {
      log_("cannot wait for clients any more");
      return;
    }
    if (polled[1].revents != 0) return;
    forget_finished();
    if (ready > 0 && polled[0].revents != 0) admit(listener);
  }
}

void Server::admit(const Listener& listener) {
  runtime::FileDescriptor client = listener.accept();
  if (!client.valid()) {
    // No descriptor, most likely: the client stays in the backlog, and is not to be spun on.
    if (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR) return;
    log_("cannot accept a client: out of descriptors or memory");
    pollfd stop = {stop_event_.get(), POLLIN, 0};
    (void)poll(&stop, 1, kTidyMs);
    return;
  }
  const std::lock_guard lock(mutex_);
  if (connections_.size() >= kMaxConnections) {
    log_("turned a client away: too many connections");
    return;
  }
  try {
    connections_.emplace_back(std::move(client), source_, stop_event_.get(),
                              options_.handshake_timeout, log_);
  } catch (const std::exception&) {
    log_("turned a client away: no thread or memory for it");
  }
}

void Server::forget_finished() {
  const std::lock_guard lock(mutex_);
  std::erase_if(connections_, [](const Connection& connection) { return connection.finished(); });
}

}  // namespace dmr::nbd

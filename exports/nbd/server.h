// SPDX-License-Identifier: GPL-2.0-or-later
// The NBD export of a volume: accepts clients and keeps count of them.
#pragma once

#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "exports/nbd/connection.h"
#include "exports/nbd/listener.h"
#include "exports/source/source.h"

namespace dmr::nbd {

struct ServerOptions {
  std::string socket_path = {};  // a Unix socket, unless a TCP host is given
  std::string tcp_host = {};     // a loopback address
  u16 tcp_port = 10809;          // 0: any free one, see uri()
  std::chrono::milliseconds handshake_timeout = kHandshakeTimeout;
  Log log = [](std::string_view) {};
};

class Server {
 public:
  // `source` must outlive the server.
  Server(exports::Source& source, ServerOptions options);
  ~Server();  // stops
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  [[nodiscard]] runtime::Expected<void> start();
  // Requests under way are finished, clients told so and dropped, all in bounded time.
  void stop();
  // Where clients find the volume.
  [[nodiscard]] std::string uri() const;
  [[nodiscard]] const std::string& socket_path() const { return options_.socket_path; }
  [[nodiscard]] std::size_t connections() const;

 private:
  void run(const Listener& listener);
  void admit(const Listener& listener);
  void forget_finished();

  exports::Source& source_;
  const ServerOptions options_;
  const RateLimitedLog log_;
  std::optional<Listener> listener_;
  runtime::FileDescriptor stop_event_;
  mutable std::mutex mutex_;
  std::list<Connection> connections_;  // guarded
  std::thread thread_;
};

}  // namespace dmr::nbd

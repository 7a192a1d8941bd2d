// SPDX-License-Identifier: GPL-2.0-or-later
// The control socket of a running volume: JSON lines over a Unix socket (docs/control-protocol.md).
// One thread, non-blocking: no client can hold up another or the volume.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include <nlohmann/json.hpp>

#include "runtime/control/paths.h"
#include "runtime/device/error.h"

namespace dmr::runtime {

struct ControlLimits {
  std::size_t request_bytes = 64 * 1024;       // of one line
  std::size_t reply_bytes = 16 * 1024 * 1024;  // waiting for one client
  unsigned connections = 16;                   // between requests
  unsigned waiting = 240;                      // behind a request that is not answered yet
  std::chrono::milliseconds idle{60'000};      // a client that neither sends nor reads is dropped
};

// Answers one request, once, from any thread, now or later. Unanswered: an error is sent.
class Responder {
 public:
  class Sink {
   public:
    virtual ~Sink() = default;
    virtual void send(const nlohmann::json& reply) = 0;
  };
  explicit Responder(std::shared_ptr<Sink> sink) : sink_(std::move(sink)) {}

  void ok(nlohmann::json result) const;  // {"ok":true,"result":...}
  void error(const Error& error) const;  // {"ok":false,"error":"...","exit":1}

 private:
  std::shared_ptr<Sink> sink_;
};

class ControlServer {
 public:
  // Runs on the server's thread; must not block.
  using Handler = std::function<void(const nlohmann::json& request, Responder responder)>;

  // Binds NAME.sock (mode 0600). The caller holds the NameLock, so a socket that is there is stale.
  static Expected<std::unique_ptr<ControlServer>> start(const std::string& name, Handler handler,
                                                        const ControlLimits& limits = {});
  // Stops listening, drops clients, removes the socket.
  virtual ~ControlServer() = default;
  [[nodiscard]] virtual const std::string& path() const = 0;
};

}  // namespace dmr::runtime

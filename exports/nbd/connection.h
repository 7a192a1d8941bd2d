// SPDX-License-Identifier: GPL-2.0-or-later
// One client: its socket, its thread, its handshake under a deadline, then its session over a
// queue of its own. What it does wrong ends this connection and nothing else.
#pragma once

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

#include "exports/nbd/busy_poll.h"
#include "exports/nbd/handshake.h"
#include "exports/nbd/log.h"
#include "exports/nbd/patience.h"
#include "exports/nbd/session.h"
#include "exports/source/source.h"
#include "runtime/device/file_descriptor.h"

namespace dmr::nbd {

class Connection {
 public:
  // `stop_event` is an eventfd that becomes readable when the server stops, and stays so.
  Connection(runtime::FileDescriptor socket, exports::Source& source, int stop_event,
             std::chrono::milliseconds handshake_timeout, const RateLimitedLog& log);
  // After stop() or finished(); waits for the thread.
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Lets requests under way finish, then drops the client. Call after the event has been raised.
  void stop();
  [[nodiscard]] bool finished() const { return finished_.load(std::memory_order_acquire); }

 private:
  void run();
  [[nodiscard]] bool shake_hands(Handshake& handshake);
  void serve(const Handshake& handshake);
  void transmit(Session& session, runtime::Queue& queue);
  void drain(Session& session, runtime::Queue& queue);
  void linger(Session& session);

  [[nodiscard]] bool receive(Session& session, bool wait = false);
  [[nodiscard]] bool send(Session& session);
  [[nodiscard]] bool pause(Session& session);
  [[nodiscard]] bool replies_read() const;
  void wait(Session& session, runtime::Queue& queue);
  [[nodiscard]] bool wait_for_client(Session& session, runtime::Queue& queue);
  [[nodiscard]] bool look_for_request(Session& session);
  [[nodiscard]] bool watch_both(bool readable);
  [[nodiscard]] bool send_all(std::span<const std::byte> bytes);

  runtime::FileDescriptor socket_;
  runtime::FileDescriptor poller_;  // an epoll of the socket, once the client was slow to read
  exports::Source& source_;
  const int stop_event_;
  const std::chrono::milliseconds handshake_timeout_;
  const RateLimitedLog& log_;
  ExportInfo info_;
  std::vector<std::byte> early_;  // bytes that came behind the handshake
  bool client_gone_ = false;      // its end of the stream is closed
  bool send_blocked_ = false;
  bool maybe_readable_ = true;   // a receive would not be in vain
  bool client_is_idle_ = false;  // it has sent nothing within kReceivePatienceMs
  bool receive_ends_ = false;    // the socket has that time limit
  Patience patience_;
  BusyPoll busy_poll_;
  u64 begun_before_ = 0;  // requests of the session at the last pause
  u64 recent_ = 0;        // requests between the last two
  u32 eager_after_ = 0;   // waits to go until receiving without having waited is tried

  std::atomic<bool> stopping_ = false;
  std::atomic<bool> finished_ = false;
  std::mutex queue_mutex_;
  runtime::Queue* queue_ = nullptr;  // guarded: stop() wakes it
  std::thread thread_;               // the last member: it uses all others
};

}  // namespace dmr::nbd

// SPDX-License-Identifier: GPL-2.0-or-later
// The life of a connection: handshake, transmission, the end. Socket calls are in
// connection_io.cpp.
#include "exports/nbd/connection.h"

#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <exception>
#include <poll.h>
#include <string>

namespace dmr::nbd {

namespace {

using Clock = std::chrono::steady_clock;

constexpr unsigned long kTimerSlackNs = 1000;

// For poll(): what is left until then, rounded up, 0 when it is over.
int milliseconds_until(Clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
  return left.count() > 0 ? static_cast<int>(left.count()) : 0;
}

}  // namespace

Connection::Connection(runtime::FileDescriptor socket, exports::Source& source, int stop_event,
                       std::chrono::milliseconds handshake_timeout, const RateLimitedLog& log)
    : socket_(std::move(socket)),
      source_(source),
      stop_event_(stop_event),
      handshake_timeout_(handshake_timeout),
      log_(log) {
  info_.name = source_.name();
  info_.bytes = source_.sectors() << kSectorShift;
  info_.minimum_block = source_.logical_block_bytes();
  info_.preferred_block = std::max({source_.block_bytes(), info_.minimum_block, u32{4096}});
  info_.read_only = source_.read_only();
  thread_ = std::thread([this] {
    (void)prctl(PR_SET_TIMERSLACK, kTimerSlackNs);  // pauses are meant as they are said
    run();
    finished_.store(true, std::memory_order_release);
  });
}

Connection::~Connection() { thread_.join(); }

void Connection::stop() {
  stopping_.store(true, std::memory_order_release);
  const std::lock_guard lock(queue_mutex_);
  if (queue_ != nullptr) queue_->wake();
}

void Connection::run() {
  try {
    Handshake handshake(info_);
    if (shake_hands(handshake)) serve(handshake);
  } catch (const std::exception&) {  // of one client, not of the server
    log_("dropped a client: no memory for it");
  }
  shutdown(socket_.get(), SHUT_RDWR);
}

// Without a queue: a client that takes its time here is nothing to the volume.
bool Connection::shake_hands(Handshake& handshake) {
  auto deadline = Clock::now() + handshake_timeout_;
  bool told = false;
  std::array<std::byte, 4096> buffer;
  if (!send_all(handshake.output())) return false;
  handshake.output_sent();
  while (handshake.state() == Handshake::State::haggling) {
    std::array<pollfd, 2> polled = {pollfd{socket_.get(), POLLIN, 0},
                                    pollfd{told ? -1 : stop_event_, POLLIN, 0}};
    const int ready = poll(polled.data(), polled.size(), milliseconds_until(deadline));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) {
      if (!told) log_("dropped a client that did not finish its handshake in time");
      return false;
    }
    if (polled[1].revents != 0) {
      told = true;
      handshake.shut_down();
      deadline = std::min(deadline, Clock::now() + kShutdownLinger);
    }
    if (polled[0].revents == 0) continue;
    const ssize_t count = recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (count <= 0) return false;
    const auto bytes = std::span<const std::byte>(buffer).first(static_cast<std::size_t>(count));
    const std::size_t taken = handshake.receive(bytes);
    if (handshake.state() == Handshake::State::broken) {
      log_("dropped a client that does not speak the protocol");
      return false;
    }
    if (!send_all(handshake.output())) return false;
    handshake.output_sent();
    early_.assign(bytes.begin() + static_cast<std::ptrdiff_t>(taken), bytes.end());
  }
  return handshake.state() == Handshake::State::transmission;
}

void Connection::serve(const Handshake& handshake) {
  auto made = source_.make_queue();
  if (!made) return log_("no queue for a client: " + made.error().message);
  std::unique_ptr<runtime::Queue> queue = std::move(*made);
  auto session = Session::make({.info = info_,
                                .structured_replies = handshake.structured_replies(),
                                .zeroes_fast = source_.zeroes_fast()},
                               *queue);
  if (session == nullptr) return log_("no memory for a client");
  {
    const std::lock_guard lock(queue_mutex_);
    queue_ = queue.get();
  }
  constexpr timeval kLimit{.tv_sec = 0, .tv_usec = kReceivePatienceMs * 1000};
  receive_ends_ = setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &kLimit, sizeof kLimit) == 0;
  session->received(early_);
  transmit(*session, *queue);
  drain(*session, *queue);
  {
    const std::lock_guard lock(queue_mutex_);
    queue_ = nullptr;
  }
  if (session->violated()) log_("dropped a client that broke the protocol");
  linger(*session);
}

// Until the client goes, or the server stops.
void Connection::transmit(Session& session, runtime::Queue& queue) {
  while (!client_gone_ && !session.ended() && !stopping_.load(std::memory_order_acquire)) {
    bool progress = queue.process(false) > 0;
    session.resume();
    progress |= send(session);
    if (session.awaits_reading() && replies_read()) session.replies_read();
    if (maybe_readable_) progress |= receive(session);
    if (!progress && !pause(session)) wait(session, queue);
  }
}

// Until nothing is under way any more: the engine finishes what it has begun, in bounded time.
void Connection::drain(Session& session, runtime::Queue& queue) {
  queue.watch(-1);
  for (;;) {
    // A client that said goodbye is still owed all that it asked for; others are not.
    if (!session.ended() || session.violated() || stopping_.load(std::memory_order_acquire)) {
      session.shut_down();
    }
    session.resume();
    if (session.under_way() == 0) break;
    queue.process(true);
    (void)send(session);
  }
  session.shut_down();
}

// What is answered is still sent, and a client of a server that stops is told so.
void Connection::linger(Session& session) {
  const auto deadline = Clock::now() + kShutdownLinger;
  while (session.anything_to_send() || !(client_gone_ || session.ended())) {
    if (Clock::now() >= deadline) return;  // also when there is always something to read
    const bool listens = !session.receive_parts().empty() && !client_gone_;
    const bool sends = session.anything_to_send();
    const auto events = static_cast<short>((listens ? POLLIN : 0) | (sends ? POLLOUT : 0));
    pollfd polled = {socket_.get(), events, 0};
    const int ready = poll(&polled, 1, milliseconds_until(deadline));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return;
    send_blocked_ = false;
    bool progress = send(session);
    if (listens) progress |= receive(session);
    session.resume();
    if (!progress && (polled.revents & (POLLERR | POLLHUP)) != 0) return;
  }
}

}  // namespace dmr::nbd

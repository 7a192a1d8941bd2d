// SPDX-License-Identifier: GPL-2.0-or-later
// How a connection reads, writes and waits: as few system calls as the load allows, and none
// that keeps its queue's thread from the volume for long.
#include <linux/sockios.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <ctime>
#include <poll.h>

#include "exports/nbd/connection.h"

namespace dmr::nbd {

namespace {

// After a vain try to receive before having waited, this many rounds wait first.
constexpr u32 kEagerPause = 16;

}  // namespace

// Returns true when bytes came, or the end of the stream. With `wait` it waits for that, as long
// as the socket's time limit lets it.
bool Connection::receive(Session& session, bool wait) {
  const std::span<iovec> parts = session.receive_parts();
  if (parts.empty()) return false;
  std::size_t room = 0;
  for (const iovec& part : parts) room += part.iov_len;
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  const int flags = wait ? 0 : MSG_DONTWAIT;
  const ssize_t count = parts.size() == 1
                            ? recv(socket_.get(), parts[0].iov_base, parts[0].iov_len, flags)
                            : recvmsg(socket_.get(), &message, flags);
  if (count < 0 && errno == EINTR) return true;
  if (count < 0 && errno == EAGAIN) {
    maybe_readable_ = false;
    eager_after_ = kEagerPause;
    return false;
  }
  if (count <= 0) {
    client_gone_ = true;
    return true;
  }
  const auto bytes = static_cast<std::size_t>(count);
  // A short read has emptied the socket. Only a client that had already sent more when its
  // replies were on their way is worth another call before waiting.
  maybe_readable_ = bytes == room || eager_after_ == 0;
  session.received(bytes);
  return true;
}

// Returns true when something was sent, or when nobody will take it any more.
bool Connection::send(Session& session) {
  if (send_blocked_) return false;
  bool progress = false;
  while (session.anything_to_send()) {
    const std::span<iovec> parts = session.send_parts();
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    const ssize_t count = sendmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count >= 0) {
      session.sent(static_cast<std::size_t>(count));
      progress = true;
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) {
      client_gone_ = true;
      session.drop_replies();
      return true;
    }
    pollfd polled = {socket_.get(), POLLOUT, 0};
    if (progress || poll(&polled, 1, kSendPatienceMs) > 0) return true;
    send_blocked_ = true;
    return false;
  }
  return progress;
}

// Lets a client that is busy with its replies work on; returns true when it was worth it to look
// for its next requests without being woken by them. Nothing is under way meanwhile.
bool Connection::pause(Session& session) {
  if (session.under_way() > 0 || session.anything_to_send()) return false;
  recent_ = session.begun() - begun_before_;
  begun_before_ = session.begun();
  const u64 nanoseconds = patience_.pause_ns(recent_);
  if (nanoseconds == 0) return false;
  const timespec time{.tv_sec = 0, .tv_nsec = static_cast<long>(nanoseconds)};
  (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &time, nullptr);
  int unread_bytes = 0;
  // Of a TCP socket it tells what is on the way, which on loopback is nothing: no pauses there.
  const bool known = ioctl(socket_.get(), SIOCOUTQ, &unread_bytes) == 0;
  patience_.paused(known && unread_bytes > 0);
  maybe_readable_ = true;
  return true;
}

// A client that keeps one request under way is answered sooner when its next one is waited for
// where it comes in. Nobody but the client and stop() needs this thread while nothing is under way,
// and stop() can wait for the time limit. (Whether it has read an answer is looked at when it sends
// something, before that is received: not here.)
bool Connection::wait_for_client(Session& session, runtime::Queue& queue) {
  if (!receive_ends_ || client_is_idle_ || send_blocked_) return false;
  if (queue.in_flight() > 0 || session.awaits_reading()) return false;
  if (look_for_request(session)) return true;
  client_is_idle_ = !receive(session, true);
  return !client_is_idle_;
}

// Returns true when something came while this thread stayed awake for it.
bool Connection::look_for_request(Session& session) {
  using std::chrono::steady_clock;
  const std::chrono::nanoseconds budget(busy_poll_.budget_ns(recent_));
  if (budget.count() == 0) return false;
  const steady_clock::time_point end = steady_clock::now() + budget;
  const u64 begun = session.begun();
  bool came = false;
  while (!came && !stopping_.load(std::memory_order_acquire) && steady_clock::now() < end) {
    came = receive(session);
  }
  // Bytes are no reason to stay awake for more of them, unless they begin or complete a request.
  busy_poll_.looked(session.begun() > begun || session.under_way() > 0 ||
                    session.anything_to_send());
  return came;
}

// Whether the client has read all that was sent; over TCP: whether its kernel has it. A Unix socket
// that the client has closed, or that died with it, holds nothing either: so it must still be open
// after the look.
bool Connection::replies_read() const {
  int unread_bytes = 0;
  if (ioctl(socket_.get(), SIOCOUTQ, &unread_bytes) != 0 || unread_bytes > 0) return false;
  pollfd polled = {socket_.get(), 0, 0};  // tells of its end alone
  return poll(&polled, 1, 0) == 0;
}

void Connection::wait(Session& session, runtime::Queue& queue) {
  if (eager_after_ > 0) --eager_after_;
  if (wait_for_client(session, queue)) return;
  const bool readable = !session.receive_parts().empty();
  if (send_blocked_ && !watch_both(readable)) {
    client_gone_ = true;
    session.drop_replies();
    return;
  }
  const int watched = send_blocked_ ? poller_.get() : socket_.get();
  queue.watch(send_blocked_ || readable ? watched : -1);
  queue.process(true);
  if (queue.watched_readable()) {
    client_is_idle_ = false;
    maybe_readable_ = true;
    send_blocked_ = false;
  }
}

// The queue watches one descriptor for being readable: an epoll is, when the socket is writable.
bool Connection::watch_both(bool readable) {
  if (!poller_.valid()) {
    poller_ = runtime::FileDescriptor(epoll_create1(EPOLL_CLOEXEC));
    epoll_event none{};
    if (!poller_.valid() || epoll_ctl(poller_.get(), EPOLL_CTL_ADD, socket_.get(), &none) != 0) {
      log_("no descriptor left to watch a client that reads slowly; dropped it");
      return false;
    }
  }
  epoll_event wanted{};
  wanted.events = EPOLLOUT | (readable ? EPOLLIN : 0U);
  return epoll_ctl(poller_.get(), EPOLL_CTL_MOD, socket_.get(), &wanted) == 0;
}

bool Connection::send_all(std::span<const std::byte> bytes) {
  // A handshake's answers fit the socket's buffer unless the client does not read them.
  while (!bytes.empty()) {
    const ssize_t count =
        ::send(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return true;
}

}  // namespace dmr::nbd

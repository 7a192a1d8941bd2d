// SPDX-License-Identifier: GPL-2.0-or-later
// The thread behind the control socket: accepts, reads lines, passes them on, writes answers.
#include "runtime/control/server.h"

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <fcntl.h>
#include <list>
#include <mutex>
#include <poll.h>
#include <pthread.h>
#include <thread>

#include "core/base/types.h"
#include "runtime/control/unix_address.h"

namespace dmr::runtime {
namespace {

using Json = nlohmann::json;
using Clock = std::chrono::steady_clock;

constexpr int kBacklog = 16;
constexpr std::size_t kReadBytes = 16 * 1024;

Json error_reply(const Error& error) {
  return Json{{"ok", false}, {"error", error.message}, {"exit", error.exit_code}};
}

// One line; text that is not UTF-8 (a path may be anything) does not stop the answer.
std::string line_of(const Json& reply) {
  return reply.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

// Answers on their way from any thread to the server's. Outlives the server while one is missing.
class Outbox {
 public:
  struct Letter {
    u64 connection;
    std::string line;
  };
  Outbox() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  [[nodiscard]] int event() const { return event_.get(); }

  void put(u64 connection, std::string line) {
    {
      const std::lock_guard lock(mutex_);
      letters_.push_back({connection, std::move(line)});
    }
    ring();
  }
  void ring() const {
    const u64 one = 1;
    [[maybe_unused]] const ssize_t written = ::write(event_.get(), &one, sizeof one);
  }
  std::vector<Letter> take() {
    u64 count = 0;
    [[maybe_unused]] const ssize_t got = ::read(event_.get(), &count, sizeof count);
    const std::lock_guard lock(mutex_);
    return std::exchange(letters_, {});
  }

 private:
  FileDescriptor event_;
  std::mutex mutex_;
  std::vector<Letter> letters_;
};

class ReplySink final : public Responder::Sink {
 public:
  ReplySink(std::shared_ptr<Outbox> outbox, u64 connection)
      : outbox_(std::move(outbox)), connection_(connection) {}
  ReplySink(const ReplySink&) = delete;
  ReplySink& operator=(const ReplySink&) = delete;
  ~ReplySink() override {
    if (!answered_) send(error_reply(Error{"the request was not answered"}));
  }
  void send(const Json& reply) override {
    if (answered_.exchange(true)) return;
    outbox_->put(connection_, line_of(reply));
  }

 private:
  std::shared_ptr<Outbox> outbox_;
  const u64 connection_;
  std::atomic<bool> answered_{false};
};

struct Connection {
  u64 number = 0;
  FileDescriptor fd;
  std::string in;
  std::string out;
  bool waits_for_answer = false;  // one request at a time
  bool closing = false;           // once `out` has gone
  Clock::time_point last_seen = Clock::now();
};

class SocketServer final : public ControlServer {
 public:
  SocketServer(std::string path, FileDescriptor listener, Handler handler,
               const ControlLimits& limits)
      : path_(std::move(path)),
        listener_(std::move(listener)),
        handler_(std::move(handler)),
        limits_(limits) {
    thread_ = std::thread([this] { loop(); });
    ::pthread_setname_np(thread_.native_handle(), "dmr-socket");
  }
  SocketServer(const SocketServer&) = delete;
  SocketServer& operator=(const SocketServer&) = delete;
  ~SocketServer() override {
    stop_.store(true);
    outbox_->ring();
    thread_.join();
    ::unlink(path_.c_str());
  }
  [[nodiscard]] const std::string& path() const override { return path_; }

 private:
  void loop();
  void accept_one();
  void deliver_answers();
  void serve(Connection& connection, short events);
  bool read_some(Connection& connection);
  void handle_lines(Connection& connection);
  void handle_line(Connection& connection, const std::string& line);
  void write_some(Connection& connection);
  void drop_idle(Clock::time_point now);
  void say(Connection& connection, const Json& reply) const;
  [[nodiscard]] bool has_room() const;
  [[nodiscard]] int poll_timeout() const;

  const std::string path_;
  FileDescriptor listener_;
  Handler handler_;
  const ControlLimits limits_;
  std::shared_ptr<Outbox> outbox_ = std::make_shared<Outbox>();
  std::list<Connection> connections_;
  u64 next_number_ = 1;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

void SocketServer::loop() {
  std::vector<pollfd> polled;
  while (!stop_.load()) {
    polled.clear();
    polled.push_back({outbox_->event(), POLLIN, 0});
    const bool room = has_room();
    polled.push_back({listener_.get(), static_cast<short>(room ? POLLIN : 0), 0});
    for (const Connection& c : connections_) {
      const bool reads = !c.waits_for_answer && !c.closing && c.out.empty();
      const int wanted = (reads ? POLLIN : 0) | (c.out.empty() ? 0 : POLLOUT);
      polled.push_back({c.fd.get(), static_cast<short>(wanted), 0});
    }
    if (::poll(polled.data(), polled.size(), poll_timeout()) < 0 && errno != EINTR) return;
    deliver_answers();
    std::size_t index = 2;
    for (Connection& c : connections_) serve(c, polled[index++].revents);
    if ((polled[1].revents & POLLIN) != 0) accept_one();
    drop_idle(Clock::now());
    connections_.remove_if([](const Connection& c) { return !c.fd.valid(); });
  }
  // The request that led to this end has been answered: its client is to hear of it.
  deliver_answers();
  for (Connection& c : connections_) write_some(c);
}

// Those who wait for something that takes long keep nobody out.
bool SocketServer::has_room() const {
  const auto waiting = std::ranges::count_if(connections_, &Connection::waits_for_answer);
  const std::size_t talking = connections_.size() - static_cast<std::size_t>(waiting);
  return talking < limits_.connections &&
         connections_.size() < std::size_t{limits_.connections} + limits_.waiting;
}

int SocketServer::poll_timeout() const {
  if (connections_.empty()) return -1;
  Clock::time_point nearest = Clock::time_point::max();
  for (const Connection& c : connections_) nearest = std::min(nearest, c.last_seen + limits_.idle);
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(nearest - Clock::now()).count();
  return static_cast<int>(std::clamp<i64>(left + 1, 1, 60'000));
}

void SocketServer::accept_one() {
  FileDescriptor fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd.valid()) return;
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return;
  Connection& connection = connections_.emplace_back();
  connection.number = next_number_++;
  connection.fd = std::move(fd);
  if (peer.uid == ::geteuid() || peer.uid == 0) return;
  say(connection, error_reply(Error{"only the user who runs the volume, or root, may ask"}));
  connection.closing = true;
}

void SocketServer::say(Connection& connection, const Json& reply) const {
  connection.out += line_of(reply);
}

void SocketServer::deliver_answers() {
  for (Outbox::Letter& letter : outbox_->take()) {
    for (Connection& c : connections_) {
      if (c.number != letter.connection) continue;
      c.waits_for_answer = false;
      c.last_seen = Clock::now();
      if (letter.line.size() > limits_.reply_bytes) {
        letter.line = line_of(error_reply(Error{"the answer is too long; ask for less"}));
      }
      c.out += letter.line;
    }
  }
}

void SocketServer::serve(Connection& connection, short events) {
  if (!connection.fd.valid()) return;
  const bool gone = (events & (POLLERR | POLLHUP | POLLNVAL)) != 0;
  if ((events & POLLIN) != 0) {
    if (!read_some(connection)) return connection.fd.reset();
  } else if (gone) {
    return connection.fd.reset();
  }
  // Each line that is handled leaves an answer to write, or one to wait for.
  while (connection.fd.valid()) {
    handle_lines(connection);
    if (connection.out.empty()) break;
    write_some(connection);
    if (!connection.out.empty()) break;
  }
}

// False when the client has gone.
bool SocketServer::read_some(Connection& connection) {
  char bytes[kReadBytes];
  const ssize_t got = ::recv(connection.fd.get(), bytes, sizeof bytes, MSG_DONTWAIT);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  if (got == 0) return false;
  connection.in.append(bytes, static_cast<std::size_t>(got));
  connection.last_seen = Clock::now();
  return true;
}

void SocketServer::handle_lines(Connection& connection) {
  while (!connection.waits_for_answer && !connection.closing && connection.out.empty()) {
    const std::size_t end = connection.in.find('\n');
    const std::size_t length = end == std::string::npos ? connection.in.size() : end;
    if (length > limits_.request_bytes) {
      say(connection, error_reply(Error{"the request is too long"}));
      connection.closing = true;
      connection.in.clear();
      return;
    }
    if (end == std::string::npos) return;
    const std::string line = connection.in.substr(0, end);
    connection.in.erase(0, end + 1);
    handle_line(connection, line);
  }
}

void SocketServer::handle_line(Connection& connection, const std::string& line) {
  const Json request = Json::parse(line, nullptr, false);
  if (!request.is_object()) {
    say(connection, error_reply(Error{"the request is not a JSON object", kExitUsage}));
    return;
  }
  connection.waits_for_answer = true;
  const Responder responder(std::make_shared<ReplySink>(outbox_, connection.number));
  try {
    handler_(request, responder);
  } catch (const Json::exception& error) {  // a key of the wrong type
    responder.error(
        Error{std::string("the request is not understood: ") + error.what(), kExitUsage});
  } catch (const std::exception& error) {  // the volume goes on without this answer
    responder.error(Error{std::string("the server failed: ") + error.what()});
  }
}

void SocketServer::write_some(Connection& connection) {
  if (!connection.out.empty()) {
    const ssize_t sent = ::send(connection.fd.get(), connection.out.data(), connection.out.size(),
                                MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) return connection.fd.reset();
    if (sent > 0) {
      connection.out.erase(0, static_cast<std::size_t>(sent));
      connection.last_seen = Clock::now();
    }
  }
  if (connection.out.empty() && connection.closing) connection.fd.reset();
}

void SocketServer::drop_idle(Clock::time_point now) {
  for (Connection& c : connections_) {
    if (!c.waits_for_answer && now - c.last_seen > limits_.idle) c.fd.reset();
  }
}

}  // namespace

void Responder::ok(Json result) const {
  sink_->send(Json{{"ok", true}, {"result", std::move(result)}});
}

void Responder::error(const Error& error) const { sink_->send(error_reply(error)); }

Expected<std::unique_ptr<ControlServer>> ControlServer::start(const std::string& name,
                                                              Handler handler,
                                                              const ControlLimits& limits) {
  auto path = socket_path(name, ".sock");
  if (!path) return std::unexpected(path.error());
  FileDescriptor fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return fail_errno("socket", errno);
  const UnixAddress address(*path);
  // The mode of the socket that bind() makes is that of the descriptor: never open to others.
  if (::fchmod(fd.get(), 0600) != 0) return fail_errno(*path, errno);
  ::unlink(path->c_str());
  if (::bind(fd.get(), address.get(), UnixAddress::size()) != 0 ||
      ::chmod(path->c_str(), 0600) != 0 || ::listen(fd.get(), kBacklog) != 0) {
    return fail_errno(*path, errno);
  }
  return std::make_unique<SocketServer>(std::move(*path), std::move(fd), std::move(handler),
                                        limits);
}

}  // namespace dmr::runtime

// SPDX-License-Identifier: GPL-2.0-or-later
// Fuzz target: the control socket of a volume over sparse files. A client sends its bytes, goes
// away for writing, and reads what comes: one JSON object a line, at most one for each line sent.
#include <sys/socket.h>

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <string>

#include <nlohmann/json.hpp>

#include "runtime/control/server.h"
#include "runtime/control/unix_address.h"
#include "runtime/control/volume_control.h"
#include "runtime/testing/temp_folder.h"
#include "runtime/testing/volume_fixture.h"
#include "tests/fuzz/target.h"

namespace dmr::fuzz {
namespace {

using Json = nlohmann::json;
using runtime::testing::TempFolder;

constexpr u64 kMainBytes = u64{2} << 20;
constexpr u64 kSpareBytes = u64{4} << 20;
constexpr std::size_t kMaxReplies = std::size_t{64} << 20;

// A running volume, and the server that is asked.
class Served {
 public:
  Served() {
    ::setenv("DM_REMAP_RUNTIME_DIR", folder_.folder().c_str(), 1);
    const runtime::testing::SetPaths paths{.main = folder_.file("main", kMainBytes),
                                           .spares = {folder_.file("spare", kSpareBytes)}};
    runtime::testing::create_set(paths);
    auto volume = runtime::testing::open_set(paths);
    expect(volume.has_value(), "the volume opens");
    volume_ = std::move(*volume);
    auto server = runtime::ControlServer::start(
        "vol", runtime::volume_handler({.volume = volume_.get(), .stop = [] {}, .exports = {}}));
    expect(server.has_value(), "the server starts");
    server_ = std::move(*server);
  }

  // The replies to all that was sent.
  std::string ask(std::span<const std::byte> bytes) {
    const runtime::FileDescriptor fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const runtime::UnixAddress address(server_->path());
    expect(::connect(fd.get(), address.get(), runtime::UnixAddress::size()) == 0,
           "the server accepts");
    std::string replies;
    for (std::size_t sent = 0; sent < bytes.size();) {
      const ssize_t now =
          ::send(fd.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (now > 0) {
        sent += static_cast<std::size_t>(now);
        continue;
      }
      // A full socket: the server waits for its replies to be read. Or it has hung up.
      if (now < 0 && errno == EINTR) continue;
      if (now < 0 && errno != EAGAIN) break;
      if (!receive(fd, replies)) return replies;
    }
    while (receive_line(fd, replies, bytes)) {
    }
    return replies;
  }

 private:
  static bool receive(const runtime::FileDescriptor& fd, std::string& replies) {
    char buffer[16384];
    ssize_t got = -1;
    do {  // libFuzzer has a timer
      got = ::recv(fd.get(), buffer, sizeof buffer, 0);
    } while (got < 0 && errno == EINTR);
    if (got <= 0) return false;
    replies.append(buffer, static_cast<std::size_t>(got));
    expect(replies.size() < kMaxReplies, "replies are bounded");
    return true;
  }
  // Reads until each complete line that was sent has its reply. The server drops a client that has
  // gone, so the connection stays whole until then.
  static bool receive_line(const runtime::FileDescriptor& fd, std::string& replies,
                           std::span<const std::byte> sent) {
    const auto wanted = std::count(sent.begin(), sent.end(), std::byte{'\n'});
    if (std::count(replies.begin(), replies.end(), '\n') >= wanted) return false;
    return receive(fd, replies);
  }

  TempFolder folder_{TempFolder::Where::memory};
  std::unique_ptr<runtime::UserVolume> volume_;
  std::unique_ptr<runtime::ControlServer> server_;
};

void expect_replies(const std::string& replies) {
  for (std::size_t at = 0; at < replies.size();) {
    const std::size_t end = replies.find('\n', at);
    expect(end != std::string::npos, "a reply is a whole line");
    const Json reply = Json::parse(replies.substr(at, end - at), nullptr, false);
    expect(reply.is_object() && reply.contains("ok") && reply["ok"].is_boolean(),
           "a reply is an object that says whether all went well");
    if (reply["ok"] == true) {
      expect(reply.contains("result"), "a good reply has a result");
    } else {
      expect(reply.contains("error") && reply.contains("exit"), "a refusal says why");
    }
    at = end + 1;
  }
}

}  // namespace

void run_one(std::span<const std::byte> bytes) {
  // One for the whole process: a volume is too slow to open for each input.
  static Served served;
  const std::string replies = served.ask(bytes);
  expect_replies(replies);
  const std::string alive = served.ask(bytes_of("{\"op\":\"events\",\"limit\":1}\n"));
  expect_replies(alive);
  expect(alive.starts_with("{\"ok\":true"), "the server still answers");
}

std::vector<Bytes> seeds() {
  return {
      bytes_of("{\"op\":\"status\"}\n{\"op\":\"map\",\"cursor\":0,\"limit\":5}\n"),
      bytes_of("{\"op\":\"mark\",\"ranges\":[{\"sector\":8,\"count\":9},{\"sector\":3}]}\n"),
      bytes_of("{\"op\":\"forget\",\"ranges\":[{\"sector\":0,\"count\":64}]}\n"),
      bytes_of("{\"op\":\"events\",\"after\":1,\"limit\":2}\n{\"op\":\"checkpoint\"}\n"),
      bytes_of("{\"op\":\"scrub\",\"action\":\"start\",\"from\":8,\"kib_per_s\":64}\n"
               "{\"op\":\"scrub\",\"action\":\"pause\"}\n"),
      bytes_of("{\"op\":\"faults\",\"member\":0,\"layer\":\"faulty\",\"request\":{\"op\":\"add\","
               "\"kind\":\"read\",\"sector\":9,\"count\":1}}\n{\"op\":\"stop\"}\n"),
      bytes_of("[]\n{\"op\":7}\n{\"op\":\"map\",\"limit\":-1}\n\xFF\n"),
  };
}

}  // namespace dmr::fuzz

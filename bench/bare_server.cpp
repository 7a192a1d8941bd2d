// SPDX-License-Identifier: GPL-2.0-or-later
// An NBD server that answers without looking at any data: bare_server SOCKET BYTES. What the client
// and the socket alone cost is what no server can be faster than.
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <span>
#include <string_view>
#include <thread>
#include <unistd.h>
#include <vector>

#include "exports/nbd/handshake.h"
#include "exports/nbd/reply.h"
#include "exports/nbd/request.h"

namespace {

using namespace dmr;

constexpr u32 kMostAtOnce = 64;        // answers in one system call
constexpr u32 kMostBytes = 64 * 1024;  // of a request
std::array<std::byte, kMostBytes> nothing{};

class Client {
 public:
  Client(int socket, const nbd::ExportInfo& info) : socket_(socket), handshake_(info) {}
  ~Client() { close(socket_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void serve() {
    if (!shake_hands()) return;
    while (receive() && answer_all()) {
    }
  }

 private:
  bool shake_hands() {
    std::array<std::byte, 4096> bytes;
    while (handshake_.state() == nbd::Handshake::State::haggling) {
      if (!send(handshake_.output())) return false;
      handshake_.output_sent();
      const ssize_t count = recv(socket_, bytes.data(), bytes.size(), 0);
      if (count <= 0) return false;
      const auto came = std::span(bytes).first(static_cast<std::size_t>(count));
      if (handshake_.receive(came) != came.size()) return false;  // requests before the last answer
    }
    return handshake_.state() == nbd::Handshake::State::transmission && send(handshake_.output());
  }

  bool send(std::span<const std::byte> bytes) {
    return bytes.empty() || ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
                                static_cast<ssize_t>(bytes.size());
  }

  bool receive() {
    const std::span<std::byte> room = parser_.space();
    const ssize_t count = recv(socket_, room.data(), room.size(), 0);
    if (count <= 0) return false;
    parser_.filled(static_cast<std::size_t>(count));
    return true;
  }

  // Everything that has come whole.
  bool answer_all() {
    for (;;) {
      payload_left_ -= static_cast<u32>(parser_.drop(payload_left_));
      if (payload_left_ > 0) break;
      nbd::RequestHeader header;
      const auto result = parser_.next(header);
      if (result == nbd::RequestParser::Result::violation) return false;
      if (result == nbd::RequestParser::Result::need_more) break;
      if (header.command() == nbd::CommandType::disconnect) return false;
      if (header.length > kMostBytes) return false;
      payload_left_ = header.payload_bytes();
      add(header);
      if (answers_ == kMostAtOnce && !send_answers()) return false;
    }
    return send_answers();
  }

  // A write is answered when it begins: its data need not be there.
  void add(const nbd::RequestHeader& header) {
    nbd::ReplyHead& head = heads_[answers_++];
    const bool is_read = header.command() == nbd::CommandType::read;
    if (is_read && handshake_.structured_replies()) {
      nbd::data_chunk(head, header.cookie, header.offset, header.length, true);
    } else {
      nbd::simple_reply(head, header.cookie, nbd::WireError::ok);
    }
    parts_[used_++] = {head.bytes.data(), head.size};
    if (is_read) parts_[used_++] = {nothing.data(), header.length};
  }

  bool send_answers() {
    std::span<iovec> parts = std::span(parts_).first(used_);
    while (!parts.empty()) {
      msghdr message{};
      message.msg_iov = parts.data();
      message.msg_iovlen = parts.size();
      ssize_t count = sendmsg(socket_, &message, MSG_NOSIGNAL);
      if (count <= 0) return false;
      while (!parts.empty() && static_cast<std::size_t>(count) >= parts[0].iov_len) {
        count -= static_cast<ssize_t>(parts[0].iov_len);
        parts = parts.subspan(1);
      }
      if (count == 0) continue;
      parts[0].iov_base = static_cast<std::byte*>(parts[0].iov_base) + count;
      parts[0].iov_len -= static_cast<std::size_t>(count);
    }
    answers_ = 0;
    used_ = 0;
    return true;
  }

  int socket_;
  nbd::Handshake handshake_;
  nbd::RequestParser parser_;
  std::array<nbd::ReplyHead, kMostAtOnce> heads_;
  std::array<iovec, std::size_t{2} * kMostAtOnce> parts_{};
  u32 answers_ = 0;
  std::size_t used_ = 0;
  u32 payload_left_ = 0;
};

}  // namespace

int main(int count, char** words) {
  static nbd::ExportInfo info;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string_view size = count == 3 ? words[2] : "";
  if (std::from_chars(size.data(), size.data() + size.size(), info.bytes).ec != std::errc() ||
      std::strlen(words[1]) >= sizeof address.sun_path) {
    (void)std::fputs("usage: bare_server SOCKET BYTES\n", stderr);
    return 2;
  }
  std::memcpy(address.sun_path, words[1], std::strlen(words[1]));
  const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      listen(listener, 8) != 0) {
    std::perror("bare_server");
    return 1;
  }
  for (;;) {
    const int client = accept(listener, nullptr, nullptr);
    if (client >= 0) std::thread([client] { Client(client, info).serve(); }).detach();
  }
}

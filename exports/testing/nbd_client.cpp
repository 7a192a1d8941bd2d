// SPDX-License-Identifier: GPL-2.0-or-later
// Messages and sockets of the tests' NBD client.
#include "exports/testing/nbd_client.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <random>

#include "core/base/assert.h"

namespace dmr::exports::testing {

using nbd::ChunkType;
using nbd::CommandType;
using nbd::load_big;
using nbd::WireError;
using nbd::Writer;

Bytes client_flags(u32 flags) {
  Bytes bytes(4);
  Writer{std::span(bytes)}.put(flags);
  return bytes;
}

Bytes option(u32 number, std::span<const std::byte> data, u64 magic) {
  Bytes bytes(nbd::kOptionHeaderBytes + data.size());
  Writer writer{std::span(bytes)};
  writer.put(magic).put(number).put(static_cast<u32>(data.size())).put_bytes(data);
  return bytes;
}

Bytes go_data(std::string_view name, std::span<const u16> requests) {
  Bytes bytes(6 + name.size() + 2 * requests.size());
  Writer writer{std::span(bytes)};
  writer.put(static_cast<u32>(name.size()));
  writer.put_bytes(std::as_bytes(std::span(name.data(), name.size())));
  writer.put(static_cast<u16>(requests.size()));
  for (const u16 one : requests) writer.put(one);
  return bytes;
}

Bytes request(CommandType type, u64 cookie, u64 offset, u32 length, u16 flags, u32 magic) {
  Bytes bytes(nbd::kRequestBytes);
  Writer writer{std::span(bytes)};
  writer.put(magic).put(flags).put(static_cast<u16>(type)).put(cookie).put(offset).put(length);
  return bytes;
}

Bytes pattern(std::size_t bytes, u64 seed) {
  Bytes data(bytes);
  std::mt19937_64 random(seed);
  for (std::size_t at = 0; at < bytes; at += sizeof(u64)) {
    const u64 drawn = random();
    std::memcpy(data.data() + at, &drawn, std::min(sizeof drawn, bytes - at));
  }
  return data;
}

Bytes operator+(Bytes left, std::span<const std::byte> right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

NbdClient::NbdClient(const std::string& socket_path)
    : socket_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  DMR_ASSERT(socket_path.size() < sizeof address.sun_path);
  std::memcpy(address.sun_path, socket_path.data(), socket_path.size());
  const auto* name = reinterpret_cast<const sockaddr*>(&address);
  DMR_ASSERT(connect(fd(), name, sizeof address) == 0);
  set_patience();
}

NbdClient::NbdClient(u16 loopback_port) : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(loopback_port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const auto* name = reinterpret_cast<const sockaddr*>(&address);
  DMR_ASSERT(connect(fd(), name, sizeof address) == 0);
  set_patience();
}

void NbdClient::set_patience() {
  const timeval patience{kPatience.count(), 0};
  DMR_ASSERT(setsockopt(fd(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0);
  DMR_ASSERT(setsockopt(fd(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) == 0);
}

bool NbdClient::go(bool structured_replies, std::string_view name) {
  std::array<std::byte, nbd::kGreetingBytes> greeting;
  if (!receive(greeting) || load_big<u64>(greeting.data()) != nbd::kInitMagic) return false;
  if (!send(client_flags())) return false;
  std::array<std::byte, nbd::kOptionReplyHeaderBytes> head;
  if (structured_replies) {
    if (!send(option(static_cast<u32>(nbd::Option::structured_reply))) || !receive(head)) {
      return false;
    }
    structured_ = load_big<u32>(head.data() + 12) == static_cast<u32>(nbd::OptionReply::ack);
    if (!structured_) return false;
  }
  const std::array<u16, 1> wanted = {static_cast<u16>(nbd::Info::block_size)};
  if (!send(option(static_cast<u32>(nbd::Option::go), go_data(name, wanted)))) return false;
  for (;;) {
    if (!receive(head)) return false;
    const auto type = static_cast<nbd::OptionReply>(load_big<u32>(head.data() + 12));
    Bytes data(load_big<u32>(head.data() + 16));
    if (!receive(data)) return false;
    if (type != nbd::OptionReply::info) return type == nbd::OptionReply::ack;
    const auto info = static_cast<nbd::Info>(load_big<u16>(data.data()));
    if (info == nbd::Info::export_info) {
      export_bytes = load_big<u64>(data.data() + 2);
      flags = load_big<u16>(data.data() + 10);
    } else if (info == nbd::Info::block_size) {
      minimum_block = load_big<u32>(data.data() + 2);
      preferred_block = load_big<u32>(data.data() + 6);
      maximum_payload = load_big<u32>(data.data() + 10);
    }
  }
}

bool NbdClient::send(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::send(fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return true;
}

bool NbdClient::receive(std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = recv(fd(), bytes.data(), bytes.size(), 0);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return true;
}

bool NbdClient::receive_reply(Reply& reply, u32 simple_read_bytes) {
  reply = Reply{};
  std::array<std::byte, nbd::kChunkHeaderBytes> head;
  if (!receive(std::span(head).first(nbd::kSimpleReplyBytes))) return false;
  if (load_big<u32>(head.data()) == nbd::kSimpleReplyMagic) {
    reply.error = static_cast<WireError>(load_big<u32>(head.data() + 4));
    reply.cookie = load_big<u64>(head.data() + 8);
    if (reply.error == WireError::ok) reply.data.resize(simple_read_bytes);
    return receive(reply.data);
  }
  if (load_big<u32>(head.data()) != nbd::kStructuredReplyMagic) return false;
  if (!receive(std::span(head).last(4))) return false;
  reply.structured = true;
  reply.flags = load_big<u16>(head.data() + 4);
  reply.type = static_cast<ChunkType>(load_big<u16>(head.data() + 6));
  reply.cookie = load_big<u64>(head.data() + 8);
  Bytes payload(load_big<u32>(head.data() + 16));
  if (!receive(payload)) return false;
  if (reply.type == ChunkType::offset_data) {
    reply.offset = load_big<u64>(payload.data());
    reply.data.assign(payload.begin() + 8, payload.end());
  } else if (reply.type == ChunkType::error || reply.type == ChunkType::error_offset) {
    reply.error = static_cast<WireError>(load_big<u32>(payload.data()));
    const u16 text = load_big<u16>(payload.data() + 4);
    if (reply.type == ChunkType::error_offset)
      reply.offset = load_big<u64>(payload.data() + 6 + text);
  }
  return true;
}

bool NbdClient::at_end() {
  std::byte byte;
  const ssize_t count = recv(fd(), &byte, 1, 0);
  return count == 0 || (count < 0 && errno == ECONNRESET);
}

void NbdClient::half_close() { shutdown(fd(), SHUT_WR); }

WireError NbdClient::command(CommandType type, u64 offset, u32 length, u16 command_flags) {
  Reply reply;
  if (!send(request(type, ++cookie_, offset, length, command_flags)) || !receive_reply(reply)) {
    return WireError::io;
  }
  return reply.cookie == cookie_ ? reply.error : WireError::io;
}

bool NbdClient::write(u64 offset, std::span<const std::byte> data) {
  Reply reply;
  const auto length = static_cast<u32>(data.size());
  return send(request(CommandType::write, ++cookie_, offset, length) + data) &&
         receive_reply(reply) && reply.cookie == cookie_ && reply.error == WireError::ok;
}

bool NbdClient::read(u64 offset, std::span<std::byte> data) {
  const auto length = static_cast<u32>(data.size());
  if (!send(request(CommandType::read, ++cookie_, offset, length))) return false;
  bool good = true;
  for (Reply reply; receive_reply(reply, length);) {
    if (reply.cookie != cookie_ || reply.error != WireError::ok) good = false;
    const u64 at = reply.structured ? reply.offset - offset : 0;
    if (good && !reply.data.empty()) {
      if (at + reply.data.size() > data.size()) return false;
      std::memcpy(data.data() + at, reply.data.data(), reply.data.size());
    }
    if (!reply.structured || (reply.flags & nbd::kReplyFlagDone) != 0) return good;
  }
  return false;
}

}  // namespace dmr::exports::testing

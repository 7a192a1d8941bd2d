// SPDX-License-Identifier: GPL-2.0-or-later
// A small blocking NBD client for tests, which also says things that a good client would not.
// Every wait ends after kPatience, so that a wrong server fails a test and does not hang it.
#pragma once

#include <chrono>
#include <span>
#include <string>
#include <vector>

#include "core/base/types.h"
#include "exports/nbd/protocol.h"
#include "runtime/device/file_descriptor.h"

namespace dmr::exports::testing {

using Bytes = std::vector<std::byte>;

inline constexpr std::chrono::seconds kPatience{20};

// Builds messages of a client.
Bytes client_flags(u32 flags = nbd::kFixedNewstyle | nbd::kNoZeroes);
Bytes option(u32 number, std::span<const std::byte> data = {}, u64 magic = nbd::kOptionMagic);
inline Bytes option(nbd::Option number, std::span<const std::byte> data = {}) {
  return option(static_cast<u32>(number), data);
}
Bytes go_data(std::string_view name, std::span<const u16> requests = {});
Bytes request(nbd::CommandType type, u64 cookie, u64 offset, u32 length, u16 flags = 0,
              u32 magic = nbd::kRequestMagic);
Bytes pattern(std::size_t bytes, u64 seed);
Bytes operator+(Bytes left, std::span<const std::byte> right);

// One reply of the transmission phase: simple, or one chunk of a structured one.
struct Reply {
  bool structured = false;
  u16 flags = 0;
  nbd::ChunkType type = nbd::ChunkType::none;
  u64 cookie = 0;
  nbd::WireError error = nbd::WireError::ok;
  u64 offset = 0;  // of data or of an error
  Bytes data;
};

class NbdClient {
 public:
  // Connects; aborts the test's process when nobody listens.
  explicit NbdClient(const std::string& socket_path);
  explicit NbdClient(u16 loopback_port);

  // Up to the transmission phase.
  bool go(bool structured_replies = true, std::string_view name = "");

  bool send(std::span<const std::byte> bytes);
  bool receive(std::span<std::byte> bytes);
  bool receive_reply(Reply& reply, u32 simple_read_bytes = 0);
  // The server closed the stream, and sent nothing before.
  bool at_end();
  void half_close();

  // One request at a time; true when it was done without an error.
  bool write(u64 offset, std::span<const std::byte> data);
  bool read(u64 offset, std::span<std::byte> data);
  nbd::WireError command(nbd::CommandType type, u64 offset, u32 length, u16 flags = 0);

  [[nodiscard]] int fd() const { return socket_.get(); }
  u64 export_bytes = 0;
  u16 flags = 0;
  u32 minimum_block = 0;
  u32 preferred_block = 0;
  u32 maximum_payload = 0;

 private:
  void set_patience();

  runtime::FileDescriptor socket_;
  bool structured_ = false;
  u64 cookie_ = 1000;
};

}  // namespace dmr::exports::testing

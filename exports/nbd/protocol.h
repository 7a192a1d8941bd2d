// SPDX-License-Identifier: GPL-2.0-or-later
// Numbers and layouts of the NBD protocol, as in the specification (doc/proto.md of
// github.com/NetworkBlockDevice/nbd). All integers on the wire are big-endian.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <span>

#include "core/base/assert.h"
#include "core/base/types.h"

namespace dmr::nbd {

inline constexpr u64 kInitMagic = 0x4e42444d41474943;    // "NBDMAGIC"
inline constexpr u64 kOptionMagic = 0x49484156454f5054;  // "IHAVEOPT"
inline constexpr u64 kOptionReplyMagic = 0x0003e889045565a9;
inline constexpr u32 kRequestMagic = 0x25609513;
inline constexpr u32 kSimpleReplyMagic = 0x67446698;
inline constexpr u32 kStructuredReplyMagic = 0x668e33ef;

// Handshake flags of the server, and the client's answer to them.
inline constexpr u16 kFixedNewstyle = 1U << 0;
inline constexpr u16 kNoZeroes = 1U << 1;

namespace transmission_flag {
inline constexpr u16 kHasFlags = 1U << 0;
inline constexpr u16 kReadOnly = 1U << 1;
inline constexpr u16 kSendFlush = 1U << 2;
inline constexpr u16 kSendFua = 1U << 3;
inline constexpr u16 kSendTrim = 1U << 5;
inline constexpr u16 kSendWriteZeroes = 1U << 6;
inline constexpr u16 kCanMultiConn = 1U << 8;
inline constexpr u16 kSendFastZero = 1U << 11;
}  // namespace transmission_flag

enum class Option : u32 {
  export_name = 1,
  abort = 2,
  list = 3,
  starttls = 5,
  info = 6,
  go = 7,
  structured_reply = 8,
};

enum class OptionReply : u32 {
  ack = 1,
  server = 2,
  info = 3,
  unsupported = 0x80000001,
  invalid = 0x80000003,
  unknown_export = 0x80000006,
  shutdown = 0x80000007,
  too_big = 0x80000009,
};

enum class Info : u16 { export_info = 0, name = 1, description = 2, block_size = 3 };

enum class CommandType : u16 {
  read = 0,
  write = 1,
  disconnect = 2,
  flush = 3,
  trim = 4,
  cache = 5,
  write_zeroes = 6,
  block_status = 7,
};

namespace command_flag {
inline constexpr u16 kFua = 1U << 0;
inline constexpr u16 kNoHole = 1U << 1;
inline constexpr u16 kFastZero = 1U << 4;
}  // namespace command_flag

inline constexpr u16 kReplyFlagDone = 1U << 0;

enum class ChunkType : u16 {
  none = 0,
  offset_data = 1,
  error = 0x8001,
  error_offset = 0x8002,
};

// Errors on the wire. Equal to Linux's numbers, but the protocol's own.
enum class WireError : u32 {
  ok = 0,
  perm = 1,
  io = 5,
  no_memory = 12,
  invalid = 22,
  no_space = 28,
  overflow = 75,
  not_supported = 95,
  shutdown = 108,
};

inline constexpr std::size_t kGreetingBytes = 18;
inline constexpr std::size_t kClientFlagsBytes = 4;
inline constexpr std::size_t kOptionHeaderBytes = 16;
inline constexpr std::size_t kOptionReplyHeaderBytes = 20;
inline constexpr std::size_t kRequestBytes = 28;
inline constexpr std::size_t kSimpleReplyBytes = 16;
inline constexpr std::size_t kChunkHeaderBytes = 20;
inline constexpr std::size_t kExportNamePadding = 124;

template <std::unsigned_integral T>
[[nodiscard]] T load_big(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  if constexpr (std::endian::native == std::endian::little && sizeof(T) > 1) {
    value = std::byteswap(value);
  }
  return value;
}

template <std::unsigned_integral T>
void store_big(std::byte* to, T value) {
  if constexpr (std::endian::native == std::endian::little && sizeof(T) > 1) {
    value = std::byteswap(value);
  }
  std::memcpy(to, &value, sizeof value);
}

// Writes fields one after the other; the caller has made room for them.
class Writer {
 public:
  explicit Writer(std::span<std::byte> to) : to_(to) {}

  template <std::unsigned_integral T>
  Writer& put(T value) {
    DMR_ASSERT(to_.size() - used_ >= sizeof(T));
    store_big(to_.data() + used_, value);
    used_ += sizeof(T);
    return *this;
  }
  Writer& put_bytes(std::span<const std::byte> bytes) {
    DMR_ASSERT(to_.size() - used_ >= bytes.size());
    if (!bytes.empty()) std::memcpy(to_.data() + used_, bytes.data(), bytes.size());
    used_ += bytes.size();
    return *this;
  }
  [[nodiscard]] std::size_t used() const { return used_; }

 private:
  std::span<std::byte> to_;
  std::size_t used_ = 0;
};

}  // namespace dmr::nbd

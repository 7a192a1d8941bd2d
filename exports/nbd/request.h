// SPDX-License-Identifier: GPL-2.0-or-later
// Requests of the transmission phase without I/O: bytes that were read from the socket become
// headers, and each header is checked before anything is done for it.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>

#include "core/base/types.h"
#include "exports/nbd/handshake.h"
#include "exports/nbd/limits.h"
#include "exports/nbd/protocol.h"

namespace dmr::nbd {

struct RequestHeader {
  u16 flags = 0;
  u16 type = 0;
  u64 cookie = 0;
  u64 offset = 0;
  u32 length = 0;

  [[nodiscard]] CommandType command() const { return static_cast<CommandType>(type); }
  [[nodiscard]] bool fua() const { return (flags & command_flag::kFua) != 0; }
  // Only a write is followed by data.
  [[nodiscard]] u32 payload_bytes() const { return command() == CommandType::write ? length : 0; }
};

// The receive buffer of one connection: filled in large reads, taken apart in requests.
class RequestParser {
 public:
  enum class Result : u8 { header, need_more, violation };

  RequestParser() : buffer_(std::make_unique<std::array<std::byte, kReceiveBytes>>()) {}

  // Room to read into. Call only after next() has said need_more, so that little is left over.
  [[nodiscard]] std::span<std::byte> space();
  void filled(std::size_t bytes);
  // The next header. A write's payload follows it: take or drop it before the next call.
  [[nodiscard]] Result next(RequestHeader& header);
  // Moves payload that has been received already; returns how much of it there was.
  [[nodiscard]] std::size_t take(std::span<std::byte> to);
  [[nodiscard]] std::size_t drop(std::size_t bytes);
  [[nodiscard]] std::size_t buffered() const { return end_ - begin_; }

 private:
  std::unique_ptr<std::array<std::byte, kReceiveBytes>> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

// What is wrong with a request, or ok. `fast_zeroes`: zeroing is faster than writing. A write
// that is refused still has its payload on the way.
[[nodiscard]] WireError check_request(const RequestHeader& header, const ExportInfo& info,
                                      bool fast_zeroes);

}  // namespace dmr::nbd

// SPDX-License-Identifier: GPL-2.0-or-later
// Decoding and checking of NBD requests.
#include "exports/nbd/request.h"

#include <algorithm>

namespace dmr::nbd {

std::span<std::byte> RequestParser::space() {
  if (begin_ == end_) {
    begin_ = end_ = 0;
  } else if (begin_ > 0) {
    // At most a part of a header is left.
    std::memmove(buffer_->data(), buffer_->data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  return std::span(*buffer_).subspan(end_);
}

void RequestParser::filled(std::size_t bytes) {
  DMR_ASSERT(bytes <= buffer_->size() - end_);
  end_ += bytes;
}

RequestParser::Result RequestParser::next(RequestHeader& header) {
  if (buffered() < kRequestBytes) {
    // A wrong magic is told as soon as it can be: such a client may never send the rest.
    if (buffered() >= 4 && load_big<u32>(buffer_->data() + begin_) != kRequestMagic) {
      return Result::violation;
    }
    return Result::need_more;
  }
  const std::byte* at = buffer_->data() + begin_;
  if (load_big<u32>(at) != kRequestMagic) return Result::violation;
  header.flags = load_big<u16>(at + 4);
  header.type = load_big<u16>(at + 6);
  header.cookie = load_big<u64>(at + 8);
  header.offset = load_big<u64>(at + 16);
  header.length = load_big<u32>(at + 24);
  // More than this would be gigabytes to read for nothing.
  if (header.payload_bytes() > kMaxPayloadBytes) return Result::violation;
  begin_ += kRequestBytes;
  return Result::header;
}

std::size_t RequestParser::take(std::span<std::byte> to) {
  const std::size_t count = std::min(to.size(), buffered());
  if (count > 0) std::memcpy(to.data(), buffer_->data() + begin_, count);
  begin_ += count;
  return count;
}

std::size_t RequestParser::drop(std::size_t bytes) {
  const std::size_t count = std::min(bytes, buffered());
  begin_ += count;
  return count;
}

namespace {

u16 known_flags(CommandType command) {
  using namespace command_flag;
  // FUA is allowed with every command.
  return command == CommandType::write_zeroes ? u16{kFua | kNoHole | kFastZero} : kFua;
}

bool in_range(const RequestHeader& header, const ExportInfo& info) {
  const u64 mask = info.minimum_block - 1;
  if (((header.offset | header.length) & mask) != 0) return false;
  return header.offset <= info.bytes && header.length <= info.bytes - header.offset;
}

bool changes_data(CommandType command) {
  return command == CommandType::write || command == CommandType::trim ||
         command == CommandType::write_zeroes;
}

}  // namespace

WireError check_request(const RequestHeader& header, const ExportInfo& info, bool fast_zeroes) {
  const CommandType command = header.command();
  switch (command) {
    case CommandType::flush:
      return (header.flags & ~known_flags(command)) == 0 ? WireError::ok : WireError::invalid;
    case CommandType::read:
    case CommandType::write:
    case CommandType::trim:
    case CommandType::write_zeroes:
      break;
    default:
      return WireError::invalid;
  }
  if ((header.flags & ~known_flags(command)) != 0) return WireError::invalid;
  if (changes_data(command) && info.read_only) return WireError::perm;
  // Also for writes past the end, where ENOSPC would be allowed: that one says that no spare
  // block is left.
  if (!in_range(header, info)) return WireError::invalid;
  if (command == CommandType::read && header.length > kMaxPayloadBytes) return WireError::overflow;
  if ((header.flags & command_flag::kFastZero) != 0) {
    // Without holes every zero has to be written.
    if (!fast_zeroes || (header.flags & command_flag::kNoHole) != 0) {
      return WireError::not_supported;
    }
  }
  return WireError::ok;
}

}  // namespace dmr::nbd

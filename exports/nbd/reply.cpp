// SPDX-License-Identifier: GPL-2.0-or-later
// Headers of NBD replies, and the errors in them.
#include "exports/nbd/reply.h"

#include <cerrno>
#include <string_view>

namespace dmr::nbd {

namespace {

std::string_view describe(WireError error) {
  switch (error) {
    case WireError::io:
      return "the sector is lost or cannot be reached";
    case WireError::no_space:
      return "no spare block is left for a bad sector";
    case WireError::perm:
      return "the volume is read-only";
    case WireError::invalid:
      return "the request is unaligned, out of range or unknown";
    case WireError::shutdown:
      return "the volume is being stopped";
    case WireError::overflow:
      return "the request is too long";
    default:
      return {};
  }
}

Writer begin_chunk(ReplyHead& head, ChunkType type, u64 cookie, bool last, u32 payload_bytes) {
  Writer writer(head.bytes);
  writer.put(kStructuredReplyMagic).put(last ? kReplyFlagDone : u16{0});
  writer.put(static_cast<u16>(type)).put(cookie).put(payload_bytes);
  return writer;
}

void put_error(Writer& writer, WireError error) {
  const std::string_view text = describe(error);
  writer.put(static_cast<u32>(error)).put(static_cast<u16>(text.size()));
  writer.put_bytes(std::as_bytes(std::span(text.data(), text.size())));
}

}  // namespace

void simple_reply(ReplyHead& head, u64 cookie, WireError error) {
  Writer writer(head.bytes);
  writer.put(kSimpleReplyMagic).put(static_cast<u32>(error)).put(cookie);
  head.size = static_cast<u32>(writer.used());
}

void data_chunk(ReplyHead& head, u64 cookie, u64 offset, u32 length, bool last) {
  Writer writer = begin_chunk(head, ChunkType::offset_data, cookie, last, length + 8);
  writer.put(offset);
  head.size = static_cast<u32>(writer.used());
}

void end_chunk(ReplyHead& head, u64 cookie) {
  head.size = static_cast<u32>(begin_chunk(head, ChunkType::none, cookie, true, 0).used());
}

void error_chunk(ReplyHead& head, u64 cookie, WireError error) {
  const auto text_bytes = static_cast<u32>(describe(error).size());
  Writer writer = begin_chunk(head, ChunkType::error, cookie, true, 6 + text_bytes);
  put_error(writer, error);
  head.size = static_cast<u32>(writer.used());
}

void error_offset_chunk(ReplyHead& head, u64 cookie, WireError error, u64 offset, bool last) {
  const auto text_bytes = static_cast<u32>(describe(error).size());
  Writer writer = begin_chunk(head, ChunkType::error_offset, cookie, last, 14 + text_bytes);
  put_error(writer, error);
  writer.put(offset);
  head.size = static_cast<u32>(writer.used());
}

WireError wire_error(int error) {
  switch (error) {
    case 0:
      return WireError::ok;
    case EPERM:
    case EROFS:
      return WireError::perm;
    case ENOMEM:
      return WireError::no_memory;
    case EINVAL:
      return WireError::invalid;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return WireError::no_space;
    case EOVERFLOW:
      return WireError::overflow;
    case EOPNOTSUPP:
      return WireError::not_supported;
    case ESHUTDOWN:
      return WireError::shutdown;
    default:
      return WireError::io;
  }
}

}  // namespace dmr::nbd

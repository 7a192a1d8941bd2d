// SPDX-License-Identifier: GPL-2.0-or-later
// The bytes of replies, as the specification lays them out.
#include "exports/nbd/reply.h"

#include <cerrno>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dmr::nbd {
namespace {

std::string hex(const ReplyHead& head, std::size_t bytes = 96) {
  std::string out;
  for (const std::byte one : head.span().first(std::min<std::size_t>(head.size, bytes))) {
    out += "0123456789abcdef"[static_cast<unsigned>(one) >> 4];
    out += "0123456789abcdef"[static_cast<unsigned>(one) & 15];
  }
  return out;
}

TEST(ReplyTest, SimpleReply) {
  ReplyHead head;
  simple_reply(head, 0x0102030405060708, WireError::no_space);
  EXPECT_EQ(hex(head),
            "67446698"
            "0000001c"
            "0102030405060708");
}

TEST(ReplyTest, DataChunkCountsItsOffset) {
  ReplyHead head;
  data_chunk(head, 7, 0x10000, 4096, true);
  EXPECT_EQ(hex(head),
            "668e33ef"
            "0001"
            "0001"
            "0000000000000007"
            "00001008"
            "0000000000010000");
  data_chunk(head, 7, 0x10000, 4096, false);
  EXPECT_EQ(hex(head, 8),
            "668e33ef"
            "0000"
            "0001");
}

TEST(ReplyTest, EndChunkIsEmptyAndLast) {
  ReplyHead head;
  end_chunk(head, 7);
  EXPECT_EQ(hex(head),
            "668e33ef"
            "0001"
            "0000"
            "0000000000000007"
            "00000000");
}

TEST(ReplyTest, ErrorChunkCarriesWords) {
  ReplyHead head;
  error_chunk(head, 7, WireError::perm);
  const std::string words = "the volume is read-only";
  EXPECT_EQ(hex(head, 26),
            "668e33ef"
            "0001"
            "8001"
            "0000000000000007"
            "0000001d"
            "00000001"
            "0017");
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(head.bytes.data()) + 26, words.size()),
            words);
  EXPECT_EQ(head.size, 26 + words.size());
}

TEST(ReplyTest, ErrorOffsetChunkEndsWithItsOffset) {
  ReplyHead head;
  error_offset_chunk(head, 7, WireError::io, 0x123456789abc, false);
  EXPECT_EQ(hex(head, 8),
            "668e33ef"
            "0000"
            "8002");
  EXPECT_EQ(load_big<u32>(head.bytes.data() + 16) + kChunkHeaderBytes, head.size);
  EXPECT_EQ(load_big<u64>(head.bytes.data() + head.size - 8), 0x123456789abcU);
}

TEST(ReplyTest, EveryErrorFitsItsHead) {
  for (const u32 error : {1U, 5U, 12U, 22U, 28U, 75U, 95U, 108U}) {
    ReplyHead head;
    error_offset_chunk(head, 1, static_cast<WireError>(error), 0, true);
    EXPECT_LE(head.size, head.bytes.size());
  }
}

TEST(ReplyTest, ErrnoBecomesTheProtocolsWord) {
  EXPECT_EQ(wire_error(0), WireError::ok);
  EXPECT_EQ(wire_error(EIO), WireError::io);
  EXPECT_EQ(wire_error(ENOSPC), WireError::no_space);
  EXPECT_EQ(wire_error(EROFS), WireError::perm);
  EXPECT_EQ(wire_error(EINVAL), WireError::invalid);
  EXPECT_EQ(wire_error(ESHUTDOWN), WireError::shutdown);
  EXPECT_EQ(wire_error(ENODATA), WireError::io);
}

}  // namespace
}  // namespace dmr::nbd

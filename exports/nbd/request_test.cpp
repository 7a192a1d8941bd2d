// SPDX-License-Identifier: GPL-2.0-or-later
// Taking requests out of a stream of bytes, and refusing what cannot be served.
#include "exports/nbd/request.h"

#include <random>

#include <gtest/gtest.h>

#include "exports/testing/nbd_client.h"

namespace dmr::nbd {
namespace {

using exports::testing::Bytes;
using exports::testing::operator+;
using exports::testing::pattern;
using exports::testing::request;
using Result = RequestParser::Result;

void feed(RequestParser& parser, std::span<const std::byte> bytes) {
  const auto room = parser.space();
  ASSERT_LE(bytes.size(), room.size());
  std::memcpy(room.data(), bytes.data(), bytes.size());
  parser.filled(bytes.size());
}

TEST(RequestParserTest, HeaderIsReadBigEndian) {
  RequestParser parser;
  feed(parser, request(CommandType::trim, 0x0102030405060708, 0x1112131415161718, 0x21222324, 1));
  RequestHeader header;
  ASSERT_EQ(parser.next(header), Result::header);
  EXPECT_EQ(header.command(), CommandType::trim);
  EXPECT_EQ(header.flags, 1U);
  EXPECT_EQ(header.cookie, 0x0102030405060708U);
  EXPECT_EQ(header.offset, 0x1112131415161718U);
  EXPECT_EQ(header.length, 0x21222324U);
  EXPECT_EQ(header.payload_bytes(), 0U);
}

TEST(RequestParserTest, RequestsMayBeCutAnywhere) {
  const Bytes payload = pattern(1024, 1);
  Bytes stream;
  for (u64 i = 0; i < 16; ++i) {
    stream = stream + request(CommandType::read, i, i << 12, 4096);
    stream = stream + request(CommandType::write, 100 + i, i << 12, 1024) + payload;
  }
  for (std::size_t step = 1; step < 3000; step = step * 2 + 1) {
    RequestParser parser;
    RequestHeader header;
    Bytes got(1024);
    std::size_t got_bytes = got.size();
    u64 headers = 0;
    for (std::size_t at = 0; at < stream.size(); at += step) {
      feed(parser, std::span(stream).subspan(at, std::min(step, stream.size() - at)));
      for (;;) {
        got_bytes += parser.take(std::span(got).subspan(got_bytes));
        if (got_bytes < got.size() || parser.next(header) != Result::header) break;
        ++headers;
        if (header.payload_bytes() == 0) continue;
        EXPECT_EQ(got, header.cookie == 100 ? Bytes(1024) : payload);
        got_bytes = 0;
      }
    }
    EXPECT_EQ(headers, 32U) << step;
    EXPECT_EQ(parser.buffered(), 0U);
  }
}

TEST(RequestParserTest, WrongMagicIsToldFromItsFourBytes) {
  RequestParser parser;
  RequestHeader header;
  const Bytes bytes = request(CommandType::read, 1, 0, 512, 0, kRequestMagic + 1);
  feed(parser, std::span(bytes).first(3));
  EXPECT_EQ(parser.next(header), Result::need_more);
  feed(parser, std::span(bytes).subspan(3, 1));
  EXPECT_EQ(parser.next(header), Result::violation);
}

TEST(RequestParserTest, PayloadOverTheLimitIsAViolation) {
  RequestHeader header;
  RequestParser largest;
  feed(largest, request(CommandType::write, 1, 0, kMaxPayloadBytes));
  EXPECT_EQ(largest.next(header), Result::header);
  RequestParser larger;
  feed(larger, request(CommandType::write, 1, 0, kMaxPayloadBytes + 512));
  EXPECT_EQ(larger.next(header), Result::violation);
}

TEST(RequestParserTest, DropSkipsPayload) {
  RequestParser parser;
  feed(parser, pattern(700, 2) + request(CommandType::flush, 9, 0, 0));
  EXPECT_EQ(parser.drop(700), 700U);
  RequestHeader header;
  ASSERT_EQ(parser.next(header), Result::header);
  EXPECT_EQ(header.cookie, 9U);
  EXPECT_EQ(parser.drop(1), 0U);
}

class CheckRequestTest : public ::testing::Test {
 protected:
  WireError check(CommandType type, u64 offset, u32 length, u16 flags = 0, bool fast = false) {
    const RequestHeader header{flags, static_cast<u16>(type), 1, offset, length};
    return check_request(header, info_, fast);
  }
  ExportInfo info_{.name = "tank", .bytes = 64U << 20, .minimum_block = 4096};
};

TEST_F(CheckRequestTest, WholeVolumeIsInRange) {
  EXPECT_EQ(check(CommandType::trim, 0, 64U << 20), WireError::ok);
  EXPECT_EQ(check(CommandType::read, (64U << 20) - 4096, 4096), WireError::ok);
  EXPECT_EQ(check(CommandType::write, 64U << 20, 0), WireError::ok);
}

TEST_F(CheckRequestTest, PastTheEndIsInvalid) {
  for (const auto type :
       {CommandType::read, CommandType::write, CommandType::trim, CommandType::write_zeroes}) {
    EXPECT_EQ(check(type, (64U << 20) - 4096, 8192), WireError::invalid);
    EXPECT_EQ(check(type, (64U << 20) + 4096, 4096), WireError::invalid);
    EXPECT_EQ(check(type, ~u64{0} - 4095, 4096), WireError::invalid);
  }
}

TEST_F(CheckRequestTest, UnalignedIsInvalid) {
  EXPECT_EQ(check(CommandType::read, 512, 4096), WireError::invalid);
  EXPECT_EQ(check(CommandType::write, 0, 512), WireError::invalid);
  EXPECT_EQ(check(CommandType::trim, 4096, 4097), WireError::invalid);
  info_.minimum_block = 512;
  EXPECT_EQ(check(CommandType::read, 512, 512), WireError::ok);
  EXPECT_EQ(check(CommandType::read, 1, 512), WireError::invalid);
}

TEST_F(CheckRequestTest, ReadOnlyRefusesChangesOnly) {
  info_.read_only = true;
  EXPECT_EQ(check(CommandType::read, 0, 4096), WireError::ok);
  EXPECT_EQ(check(CommandType::flush, 0, 0), WireError::ok);
  EXPECT_EQ(check(CommandType::write, 0, 4096), WireError::perm);
  EXPECT_EQ(check(CommandType::trim, 0, 4096), WireError::perm);
  EXPECT_EQ(check(CommandType::write_zeroes, 0, 4096), WireError::perm);
}

TEST_F(CheckRequestTest, FlagsBelongToTheirCommands) {
  using namespace command_flag;
  for (const auto type : {CommandType::read, CommandType::write, CommandType::trim,
                          CommandType::flush, CommandType::write_zeroes}) {
    EXPECT_EQ(check(type, 0, type == CommandType::flush ? 0 : 4096, kFua), WireError::ok);
    EXPECT_EQ(check(type, 0, 4096, 1U << 2), WireError::invalid);
    EXPECT_EQ(check(type, 0, 4096, 1U << 15), WireError::invalid);
  }
  EXPECT_EQ(check(CommandType::write, 0, 4096, kNoHole), WireError::invalid);
  EXPECT_EQ(check(CommandType::write_zeroes, 0, 4096, kNoHole), WireError::ok);
}

TEST_F(CheckRequestTest, FastZeroIsNotSupportedWhereItIsNotFast) {
  using namespace command_flag;
  EXPECT_EQ(check(CommandType::write_zeroes, 0, 4096, kFastZero), WireError::not_supported);
  EXPECT_EQ(check(CommandType::write_zeroes, 0, 4096, kFastZero, true), WireError::ok);
  EXPECT_EQ(check(CommandType::write_zeroes, 0, 4096, kFastZero | kNoHole, true),
            WireError::not_supported);
}

TEST_F(CheckRequestTest, LongReadsAndUnknownCommandsAreRefused) {
  EXPECT_EQ(check(CommandType::read, 0, kMaxPayloadBytes), WireError::ok);
  EXPECT_EQ(check(CommandType::read, 0, kMaxPayloadBytes + 4096), WireError::overflow);
  EXPECT_EQ(check(CommandType::cache, 0, 4096), WireError::invalid);
  EXPECT_EQ(check(CommandType::block_status, 0, 4096), WireError::invalid);
  EXPECT_EQ(check(static_cast<CommandType>(77), 0, 4096), WireError::invalid);
}

}  // namespace
}  // namespace dmr::nbd

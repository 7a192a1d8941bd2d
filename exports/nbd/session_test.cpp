// SPDX-License-Identifier: GPL-2.0-or-later
// Reads and writes of a session without a socket: data, offsets, errors.
#include <cerrno>

#include <gtest/gtest.h>

#include "exports/testing/session_fixture.h"

namespace dmr::nbd {
namespace {

using exports::testing::Bytes;
using exports::testing::operator+;
using exports::testing::pattern;
using exports::testing::Reply;
using exports::testing::request;
using session_test::kMiB;
using session_test::SessionTest;

TEST_F(SessionTest, WrittenDataIsReadBack) {
  open();
  const Bytes data = pattern(8192, 1);
  auto found = run(request(CommandType::write, 7, 4096, 8192) + data);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].cookie, 7U);
  EXPECT_EQ(found[0].error, WireError::ok);
  EXPECT_EQ(content(4096, 8192), data);
  found = run(request(CommandType::read, 8, 4096, 8192));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].flags, kReplyFlagDone);
  EXPECT_EQ(found[0].offset, 4096U);
  EXPECT_EQ(found[0].data, data);
  EXPECT_EQ(volume_.misaligned, 0U);
}

TEST_F(SessionTest, SimpleReadsCarryDataBehindTheReply) {
  open(false);
  volume_.data = pattern(volume_.data.size(), 2);
  const auto found = run(request(CommandType::read, 8, kMiB, 3 * kMiB), 3 * kMiB);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_FALSE(found[0].structured);
  EXPECT_EQ(found[0].data, content(kMiB, 3 * kMiB));
}

TEST_F(SessionTest, LargeReadsComeInChunksThatCoverThem) {
  open();
  volume_.data = pattern(volume_.data.size(), 3);
  const auto found = run(request(CommandType::read, 8, 512, kMaxPayloadBytes));
  u64 at = 512;
  for (const Reply& reply : found) {
    ASSERT_EQ(reply.offset, at);
    ASSERT_EQ(reply.data, content(at, reply.data.size()));
    at += reply.data.size();
    EXPECT_EQ(reply.flags, at == 512 + kMaxPayloadBytes ? kReplyFlagDone : 0);
  }
  EXPECT_EQ(at, 512 + u64{kMaxPayloadBytes});
}

TEST_F(SessionTest, LostSectorNamesItsOffset) {
  open();
  volume_.fail_reads(19);
  const auto found = run(request(CommandType::read, 5, 8192, 4096));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].type, ChunkType::error_offset);
  EXPECT_EQ(found[0].flags, kReplyFlagDone);
  EXPECT_EQ(found[0].error, WireError::io);
  EXPECT_EQ(found[0].offset, 19U * 512);
}

TEST_F(SessionTest, LostSectorOfALargeReadLetsTheOtherPiecesThrough) {
  open();
  volume_.data = pattern(volume_.data.size(), 4);
  const u64 lost = (kMiB + 300 * 1024) / 512;
  volume_.fail_reads(lost);
  const auto found = run(request(CommandType::read, 5, kMiB, kMiB));
  std::size_t data_bytes = 0;
  std::size_t errors = 0;
  for (const Reply& reply : found) {
    data_bytes += reply.data.size();
    if (reply.error == WireError::ok) continue;
    ++errors;
    EXPECT_EQ(reply.offset, lost * 512);
  }
  EXPECT_EQ(errors, 1U);
  EXPECT_EQ(data_bytes, kMiB - kLargePieceBytes);
  EXPECT_EQ(found.back().flags, kReplyFlagDone);
}

TEST_F(SessionTest, LostSectorFailsASimpleReadWithoutData) {
  open(false);
  volume_.fail_reads(3000);
  const auto found = run(request(CommandType::read, 5, kMiB, kMiB), kMiB);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].error, WireError::io);
}

TEST_F(SessionTest, ExhaustedSpareIsNoSpaceAtItsOffset) {
  open();
  volume_.fail_writes(9, ENOSPC);
  const auto found = run(request(CommandType::write, 5, 4096, 4096) + pattern(4096, 5));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].error, WireError::no_space);
  EXPECT_EQ(found[0].offset, 9U * 512);
}

TEST_F(SessionTest, VolumeThatTurnsReadOnlyRefusesWrites) {
  open(false);
  volume_.fail_writes(0, EROFS);
  const auto found = run(request(CommandType::write, 5, 0, 512) + pattern(512, 5));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].error, WireError::perm);
}

TEST_F(SessionTest, RefusedWriteSkipsItsPayload) {
  open();
  // The payload looks like requests; it must not be taken for some.
  Bytes payload;
  while (payload.size() < 4096) payload = payload + request(CommandType::trim, 66, 0, 4096);
  payload.resize(4096);
  const auto found = run(request(CommandType::write, 5, 512 * kMiB, 4096) + payload +
                         request(CommandType::flush, 6, 0, 0));
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].error, WireError::invalid);
  EXPECT_EQ(found[1].cookie, 6U);
  EXPECT_EQ(volume_.discards, 0U);
  EXPECT_EQ(volume_.writes, 0U);
}

TEST_F(SessionTest, ReadOnlyExportRefusesWrites) {
  volume_.is_read_only = true;
  open();
  const auto found = run(request(CommandType::write, 5, 0, 512) + pattern(512, 5));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].error, WireError::perm);
}

TEST_F(SessionTest, EmptyRequestsSucceedWithoutTheVolume) {
  open();
  const auto read = run(request(CommandType::read, 1, 0, 0));
  ASSERT_EQ(read.size(), 1U);
  EXPECT_EQ(read[0].type, ChunkType::none);
  EXPECT_EQ(read[0].flags, kReplyFlagDone);
  EXPECT_EQ(command(CommandType::write, 0, 0), WireError::ok);
  EXPECT_EQ(volume_.requests, 0U);
}

TEST_F(SessionTest, ReadsAreAnsweredInStructureAlsoWhenRefused) {
  open();
  const auto found = run(request(CommandType::read, 1, 1, 512));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_TRUE(found[0].structured);
  EXPECT_EQ(found[0].type, ChunkType::error);
  EXPECT_EQ(found[0].error, WireError::invalid);
}

}  // namespace
}  // namespace dmr::nbd

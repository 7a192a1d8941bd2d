// SPDX-License-Identifier: GPL-2.0-or-later
// TRIM and WRITE_ZEROES, with and without holes.
#include <cerrno>

#include <gtest/gtest.h>

#include "exports/testing/session_fixture.h"

namespace dmr::nbd {
namespace {

using exports::testing::Bytes;
using exports::testing::operator+;
using exports::testing::pattern;
using exports::testing::request;
using session_test::kMiB;
using session_test::SessionTest;

TEST_F(SessionTest, TrimIsAHint) {
  volume_.discard_supported = false;
  open();
  EXPECT_EQ(command(CommandType::trim, 0, 4096), WireError::ok);
  EXPECT_EQ(volume_.discards, 1U);
}

TEST_F(SessionTest, WriteZeroesWithoutHolesWritesThem) {
  open();
  volume_.data = pattern(volume_.data.size(), 6);
  const Bytes before = content(0, 4096);
  EXPECT_EQ(command(CommandType::write_zeroes, 4096, 3 * kMiB, command_flag::kNoHole),
            WireError::ok);
  EXPECT_EQ(volume_.zeroings, 0U);
  EXPECT_EQ(content(0, 4096), before);
  EXPECT_EQ(content(4096, 3 * kMiB), Bytes(3 * kMiB));
  EXPECT_NE(content(4096 + 3 * kMiB, 512), Bytes(512));
}

TEST_F(SessionTest, WriteZeroesThatTheVolumeDoesNotKnowAreWritten) {
  volume_.zeroes_supported = false;
  open();
  volume_.data = pattern(volume_.data.size(), 6);
  EXPECT_EQ(command(CommandType::write_zeroes, 0, 1536), WireError::ok);
  EXPECT_EQ(content(0, 1536), Bytes(1536));
  EXPECT_EQ(volume_.writes, 1U);
}

TEST_F(SessionTest, FastZeroIsRefusedAtOnceWhereItIsNotFast) {
  open();
  EXPECT_EQ(command(CommandType::write_zeroes, 0, 4096, command_flag::kFastZero),
            WireError::not_supported);
  EXPECT_EQ(volume_.requests, 0U);
}

TEST_F(SessionTest, ZeroingThatFailsNamesTheSector) {
  open();
  volume_.fail_writes(1000, ENOSPC);
  const auto found = run(request(CommandType::write_zeroes, 1, 0, kMiB, command_flag::kNoHole));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].error, WireError::no_space);
  EXPECT_EQ(found[0].offset, 1000U * 512);
  EXPECT_EQ(volume_.writes, 2U);
}

}  // namespace
}  // namespace dmr::nbd

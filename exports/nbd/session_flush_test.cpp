// SPDX-License-Identifier: GPL-2.0-or-later
// FLUSH and FUA, and who hears of a flush that a member refused.
#include <cerrno>

#include <gtest/gtest.h>

#include "exports/testing/session_fixture.h"

namespace dmr::nbd {
namespace {

using exports::testing::operator+;
using exports::testing::pattern;
using exports::testing::request;
using session_test::SessionTest;

TEST_F(SessionTest, FuaGoesWithTheWrite) {
  open();
  run(request(CommandType::write, 5, 0, 512, command_flag::kFua) + pattern(512, 5));
  EXPECT_EQ(volume_.fua_writes, 1U);
  EXPECT_EQ(volume_.flushes, 0U);
}

TEST_F(SessionTest, FuaOfTrimAndZeroesFlushesAfterwards) {
  open();
  EXPECT_EQ(command(CommandType::trim, 0, 4096, command_flag::kFua), WireError::ok);
  EXPECT_EQ(volume_.flushes, 1U);
  EXPECT_EQ(command(CommandType::write_zeroes, 0, 4096, command_flag::kFua), WireError::ok);
  EXPECT_EQ(volume_.flushes, 2U);
  EXPECT_EQ(command(CommandType::flush, 0, 0), WireError::ok);
  EXPECT_EQ(volume_.flushes, 3U);
}

TEST_F(SessionTest, contract_4_ARefusedFlushIsToldOnce) {
  open();
  write_something();
  volume_.refuse_a_flush();
  EXPECT_EQ(command(CommandType::flush, 0, 0), WireError::io);
  read_replies();
  EXPECT_EQ(command(CommandType::flush, 0, 0), WireError::ok);
  open_again();
  EXPECT_EQ(command(CommandType::flush, 0, 0), WireError::ok);
}

// It is the same user of the same data.
TEST_F(SessionTest, contract_4_AClientThatBrokeOffHearsOfARefusalWhenItIsBack) {
  open();
  EXPECT_EQ(command(CommandType::flush, 0, 0), WireError::ok);
  write_something();
  volume_.refuse_a_flush();
  open_again();
  open_again();  // one that only looks is no reason to forget
  EXPECT_EQ(command(CommandType::trim, 0, 4096, command_flag::kFua), WireError::io);
  EXPECT_EQ(command(CommandType::flush, 0, 0), WireError::ok);
}

TEST_F(SessionTest, contract_4_ARefusalWhileTheClientIsAwayIsToldWhenItIsBack) {
  open();
  write_something();
  close();
  volume_.refuse_a_flush();
  open();
  EXPECT_EQ(command(CommandType::flush, 0, 0), WireError::io);
  EXPECT_EQ(command(CommandType::flush, 0, 0), WireError::ok);
}

TEST_F(SessionTest, contract_4_ARefusalBeforeAnybodyCameIsNobodys) {
  volume_.refuse_a_flush();
  open();
  EXPECT_EQ(command(CommandType::flush, 0, 0), WireError::ok);
}

TEST_F(SessionTest, contract_4_WhoHadNothingToLoseLeavesNoNews) {
  open();
  write_something();
  EXPECT_EQ(command(CommandType::flush, 0, 0), WireError::ok);
  volume_.refuse_a_flush();
  open_again();
  EXPECT_EQ(command(CommandType::flush, 0, 0), WireError::ok);
}

// The server may not know yet that the first connection is dead.
TEST_F(SessionTest, contract_4_AClientHearsAlsoWhenItIsBackBeforeItsOldConnectionHasEnded) {
  open();
  write_something();
  const auto old = std::exchange(queue_, nullptr);
  const auto session = std::exchange(session_, nullptr);
  volume_.refuse_a_flush();
  open();
  EXPECT_EQ(command(CommandType::flush, 0, 0), WireError::io);
  EXPECT_EQ(command(CommandType::flush, 0, 0), WireError::ok);
}

TEST_F(SessionTest, contract_4_AnAnswerThatNobodyReadHasToldNothing) {
  for (const bool sent : {false, true}) {
    open();
    write_something();
    volume_.refuse_a_flush();
    (void)feed(request(CommandType::flush, 1, 0, 0));
    (void)queue_->process(false);
    if (sent) pump();
    session_->drop_replies();
    output_.clear();
    open_again();
    EXPECT_EQ(command(CommandType::flush, 0, 0), WireError::io);
    EXPECT_EQ(command(CommandType::flush, 0, 0), WireError::ok);
    close();
  }
}

// The server takes one after it has sent the answer, but the client had sent it before, and the
// connection breaks before the answer gets there.
TEST_F(SessionTest, contract_4_ARequestThatWasUnderWayProvesNothing) {
  for (const CommandType type : {CommandType::read, CommandType::flush}) {
    open();
    write_something();
    volume_.refuse_a_flush();
    (void)feed(request(CommandType::flush, 1, 0, 0));
    pump();
    (void)feed(request(type, 2, 0, type == CommandType::read ? 512 : 0));
    pump();
    session_->drop_replies();
    output_.clear();
    open_again();  // and the client sends again what has not been answered
    EXPECT_EQ(command(CommandType::flush, 0, 0), WireError::io);
    close();
  }
}

TEST_F(SessionTest, contract_4_WhoSaysGoodbyeHasHeard) {
  open();
  write_something();
  volume_.refuse_a_flush();
  EXPECT_EQ(command(CommandType::flush, 0, 0), WireError::io);
  EXPECT_TRUE(session_->awaits_reading());
  (void)feed(request(CommandType::disconnect, 2, 0, 0));
  EXPECT_FALSE(session_->awaits_reading());
  open_again();
  EXPECT_EQ(command(CommandType::flush, 0, 0), WireError::ok);
}

TEST_F(SessionTest, contract_4_WhoHeardOfARefusalDoesNotHearOfItForOthers) {
  open();
  write_something();
  const auto other = std::move(*volume_.make_queue());
  volume_.refuse_a_flush();
  EXPECT_EQ(flush(*other), EIO);
  other->answers_received();
  open_again();
  EXPECT_EQ(flush(*other), 0);
  EXPECT_EQ(command(CommandType::flush, 0, 0), WireError::io);
}

// Nobody knows which of those who come is the one that left.
TEST_F(SessionTest, contract_4_AnotherClientDoesNotTakeTheNewsAway) {
  open();
  write_something();
  volume_.refuse_a_flush();
  close();
  for (int i = 0; i < 3; ++i) {
    open();
    EXPECT_EQ(command(CommandType::flush, 0, 0), WireError::io) << i;
    read_replies();
    EXPECT_EQ(command(CommandType::flush, 0, 0), WireError::ok) << i;
    close();
  }
}

// A client that only reads has nothing to lose, and never flushes.
TEST_F(SessionTest, contract_4_AReaderMakesNoFalseErrors) {
  const auto reader = std::move(*volume_.make_queue());
  open();
  write_something();
  volume_.refuse_a_flush();
  EXPECT_EQ(command(CommandType::flush, 0, 0), WireError::io);
  read_replies();
  EXPECT_EQ(command(CommandType::flush, 0, 0), WireError::ok);
  for (int i = 0; i < 3; ++i) {
    open_again();
    EXPECT_EQ(command(CommandType::flush, 0, 0), WireError::ok) << i;
  }
  EXPECT_EQ(flush(*reader), EIO);  // it was connected when it happened
}

}  // namespace
}  // namespace dmr::nbd

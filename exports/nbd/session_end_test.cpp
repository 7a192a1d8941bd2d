// SPDX-License-Identifier: GPL-2.0-or-later
// The end of a session: goodbyes, shut-downs, clients that break the protocol or are gone.
#include <random>

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

TEST_F(SessionTest, ShutDownAnswersNewRequestsAndFinishesOldOnes) {
  open();
  volume_.hold();
  const Bytes write = request(CommandType::write, 2, 0, 4096) + pattern(4096, 9);
  EXPECT_EQ(feed(request(CommandType::read, 1, 0, 512) + std::span(write).first(1000)), 1028U);
  session_->shut_down();
  (void)feed(std::span(write).subspan(1000));
  (void)feed(request(CommandType::flush, 3, 0, 0));
  volume_.release();
  pump();
  const auto found = replies();
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].cookie, 2U);
  EXPECT_EQ(found[0].error, WireError::shutdown);
  EXPECT_EQ(found[1].error, WireError::shutdown);
  EXPECT_EQ(found[2].cookie, 1U);
  EXPECT_EQ(found[2].data.size(), 512U);
  EXPECT_EQ(volume_.writes, 0U);
}

TEST_F(SessionTest, DisconnectEndsAfterWhatWasAsked) {
  open();
  const auto found =
      run(request(CommandType::flush, 1, 0, 0) + request(CommandType::disconnect, 2, 0, 0));
  EXPECT_EQ(found.size(), 1U);
  EXPECT_TRUE(session_->ended());
  EXPECT_FALSE(session_->violated());
  EXPECT_TRUE(session_->receive_parts().empty());
}

TEST_F(SessionTest, WrongMagicEndsTheSession) {
  open();
  (void)feed(request(CommandType::read, 1, 0, 512, 0, kRequestMagic ^ 1));
  EXPECT_TRUE(session_->violated());
  EXPECT_TRUE(session_->receive_parts().empty());
}

TEST_F(SessionTest, GoneClientLeavesNothingBehind) {
  open();
  volume_.hold();
  const Bytes half = request(CommandType::write, 2, 0, kMiB) + pattern(5000, 9);
  (void)feed(request(CommandType::read, 1, 0, kMiB) + half);
  session_->drop_replies();
  volume_.release();
  pump();
  EXPECT_EQ(output_.size(), 0U);
  EXPECT_EQ(session_->under_way(), 0U);
  session_.reset();  // asserts that every piece came back
  EXPECT_EQ(volume_.writes, 0U);
}

TEST_F(SessionTest, GarbageInTheStreamNeverHarmsTheServer) {
  std::mt19937_64 random(11);
  for (int round = 0; round < 1000; ++round) {
    open(random() % 2 == 0);
    Bytes stream;
    for (u64 i = random() % 20; i > 0; --i) {
      const auto type = static_cast<CommandType>(random() % 9);
      const auto length = static_cast<u32>(random() % 32 * 512 + (random() % 8 == 0));
      const u64 offset = random() % 4 == 0 ? random() : random() % 1000 * 512;
      stream = stream + request(type, i, offset, length, static_cast<u16>(random() % 20));
      if (type == CommandType::write) stream = stream + Bytes(length);
    }
    for (u64 i = random() % 3; i > 0 && !stream.empty(); --i) {
      stream[random() % stream.size()] ^= std::byte(random());
    }
    std::size_t at = 0;
    while (at < stream.size() && !session_->ended()) {
      const std::size_t step = std::min<std::size_t>(random() % 9000 + 1, stream.size() - at);
      at += feed(std::span(stream).subspan(at, step));
      pump(random() % 5000 + 1);
    }
    pump();
    ASSERT_EQ(session_->under_way(), 0U);
    output_.clear();
    session_.reset();
  }
  EXPECT_EQ(volume_.misaligned, 0U);
}

}  // namespace
}  // namespace dmr::nbd

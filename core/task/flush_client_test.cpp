// SPDX-License-Identifier: GPL-2.0-or-later
// Who is told of a refused flush, and what a client has to lose.
#include "core/task/flush_client.h"

#include <gtest/gtest.h>

namespace dmr {
namespace {

using Answer = FlushClient::Answer;

bool flush(FlushClient& client, u64 refusals, Answer answer = Answer::counts) {
  return client.end(client.begin(), refusals, true, answer);
}

TEST(FlushClient, contract_4_ARefusalIsToldOnce) {
  FlushClient client(3);
  EXPECT_TRUE(flush(client, 3));
  EXPECT_FALSE(flush(client, 4));
  EXPECT_TRUE(flush(client, 4));
  EXPECT_FALSE(flush(client, 6));
  EXPECT_TRUE(flush(client, 6));
}

// It may have dropped what either was to make durable.
TEST(FlushClient, contract_4_ARefusalFailsEveryFlushThatBeganBeforeItWasTold) {
  FlushClient client(0);
  const FlushClient::Flush first = client.begin();
  const FlushClient::Flush second = client.begin();
  EXPECT_FALSE(client.end(first, 1, false));
  EXPECT_FALSE(client.end(second, 1, true));
  EXPECT_TRUE(flush(client, 1));
}

TEST(FlushClient, contract_4_AnAnswerThatMayBeIgnoredTellsNothing) {
  FlushClient client(0);
  EXPECT_FALSE(flush(client, 1, Answer::may_be_ignored));
  EXPECT_FALSE(flush(client, 1, Answer::may_be_ignored));
  EXPECT_TRUE(client.has_news(1));
  EXPECT_FALSE(flush(client, 1));
  EXPECT_FALSE(client.has_news(1));
  EXPECT_TRUE(flush(client, 1, Answer::may_be_ignored));
}

// Its program may have been killed: then nobody has read it.
TEST(FlushClient, contract_4_WhatOnlyCloseHasToldIsNotHeard) {
  FlushClient client(0);
  EXPECT_FALSE(flush(client, 1, Answer::may_be_ignored));
  client.answered();
  EXPECT_EQ(client.heard(), 0U);
  EXPECT_FALSE(flush(client, 1));
  client.answered();
  EXPECT_EQ(client.heard(), 1U);
}

TEST(FlushClient, WritesThatWereAnsweredBeforeAFlushBeganAreCleanWithIt) {
  FlushClient client(0);
  EXPECT_FALSE(client.dirty());
  client.wrote();
  EXPECT_TRUE(client.dirty());
  const FlushClient::Flush under_way = client.begin();
  EXPECT_TRUE(client.dirty());
  EXPECT_TRUE(client.end(under_way, 0, true));
  EXPECT_FALSE(client.dirty());
  const FlushClient::Flush early = client.begin();
  client.wrote();
  EXPECT_TRUE(client.end(early, 0, true));
  EXPECT_TRUE(client.dirty());
  EXPECT_FALSE(flush(client, 1));
  EXPECT_TRUE(client.dirty());
}

// The client had sent it before it read of the refusal, and is lost if nobody tells it again.
TEST(FlushClient, contract_4_AFlushBehindAnUnreadAnswerLeavesItsClientDirty) {
  FlushClient client(0);
  client.wrote();
  EXPECT_FALSE(flush(client, 1));
  EXPECT_TRUE(flush(client, 1));
  EXPECT_TRUE(client.dirty());
  client.answered();
  EXPECT_TRUE(flush(client, 1));
  EXPECT_FALSE(client.dirty());
}

}  // namespace
}  // namespace dmr

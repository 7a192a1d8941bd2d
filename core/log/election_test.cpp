// SPDX-License-Identifier: GPL-2.0-or-later
// Copies of one set, of two, and of three.
#include "core/log/election.h"

#include <gtest/gtest.h>

namespace dmr {
namespace {

format::BlockHeader copy_of(u8 set, u64 sequence) {
  format::BlockHeader header{};
  header.set.bytes[0] = set;
  header.sequence = sequence;
  return header;
}

TEST(Election, TheNewestOfOneSetWins) {
  const format::BlockHeader a = copy_of(1, 7);
  const format::BlockHeader b = copy_of(1, 8);
  EXPECT_EQ(elect({&a, &b, &a}).winner, 1);
  EXPECT_EQ(elect({&b, nullptr, &a}).winner, 0);
  EXPECT_EQ(elect({nullptr, nullptr, &a}).winner, 2);
  EXPECT_EQ(elect({nullptr, nullptr, nullptr}).winner, Election::kNone);
}

TEST(Election, ACopyOfAnotherSetIsOutvotedHoweverNewItIs) {
  const format::BlockHeader own = copy_of(1, 7);
  const format::BlockHeader foreign = copy_of(2, 90);
  const Election result = elect({&foreign, &own, &own});
  EXPECT_EQ(result.winner, 1);
  EXPECT_TRUE(result.outvotes(0));
  EXPECT_FALSE(result.outvotes(1));
  EXPECT_FALSE(result.outvotes(2));
}

TEST(Election, OneAgainstOneIsNoMajority) {
  const format::BlockHeader own = copy_of(1, 7);
  const format::BlockHeader foreign = copy_of(2, 90);
  const Election result = elect({&own, nullptr, &foreign});
  EXPECT_EQ(result.winner, 2);
  EXPECT_FALSE(result.outvotes(0));
  EXPECT_FALSE(result.outvotes(1));
}

}  // namespace
}  // namespace dmr

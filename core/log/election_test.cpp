// SPDX-License-Identifier: GPL-2.0-or-later
// Copies of one set, of two, and of three.
#include "core/log/election.h"

#include <gtest/gtest.h>

namespace dmr {
namespace {

format::Superblock copy_of(u8 set, u64 sequence) {
  format::Superblock block{};
  block.header.set.bytes[0] = set;
  block.header.sequence = sequence;
  return block;
}

TEST(Election, TheNewestOfOneSetWins) {
  const format::Superblock a = copy_of(1, 7);
  const format::Superblock b = copy_of(1, 8);
  EXPECT_EQ(elect({&a, &b, &a}).winner, 1);
  EXPECT_EQ(elect({&b, nullptr, &a}).winner, 0);
  EXPECT_EQ(elect({nullptr, nullptr, &a}).winner, 2);
  EXPECT_EQ(elect({nullptr, nullptr, nullptr}).winner, Election::kNone);
}

TEST(Election, ACopyOfAnotherSetIsOutvotedHoweverNewItIs) {
  const format::Superblock own = copy_of(1, 7);
  const format::Superblock foreign = copy_of(2, 90);
  const Election result = elect({&foreign, &own, &own});
  EXPECT_EQ(result.winner, 1);
  EXPECT_TRUE(result.outvotes(0));
  EXPECT_FALSE(result.outvotes(1));
  EXPECT_FALSE(result.outvotes(2));
}

TEST(Election, OneAgainstOneIsNoMajority) {
  const format::Superblock own = copy_of(1, 7);
  const format::Superblock foreign = copy_of(2, 90);
  const Election result = elect({&own, nullptr, &foreign});
  EXPECT_EQ(result.winner, 2);
  EXPECT_FALSE(result.outvotes(0));
  EXPECT_FALSE(result.outvotes(1));
}

}  // namespace
}  // namespace dmr

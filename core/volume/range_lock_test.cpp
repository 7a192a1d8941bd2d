// SPDX-License-Identifier: GPL-2.0-or-later
// The lock of the slow path: order of arrival, and several ranges for one owner.
#include "core/volume/range_lock.h"

#include <gtest/gtest.h>

namespace dmr {
namespace {

TEST(RangeLocks, OverlappingRangesAreGrantedInOrderOfArrival) {
  Executor executor;
  RangeLocks locks;
  LockEntry first;
  LockEntry second;
  LockEntry apart;
  locks.request(first, Block(0), Block(10));
  locks.request(second, Block(5), Block(15));
  locks.request(apart, Block(20), Block(21));
  EXPECT_TRUE(first.granted);
  EXPECT_FALSE(second.granted);
  EXPECT_TRUE(apart.granted);
  locks.release(first, executor);
  EXPECT_TRUE(second.granted);
  locks.release(second, executor);
  locks.release(apart, executor);
  EXPECT_TRUE(locks.empty());
}

// Owner A wants [2,3) and [5,6), B wants [0,8). Had B come between A's two requests, each would
// wait for the other.
TEST(RangeLocks, SeveralRangesRequestedTogetherDoNotLockEachOtherOut) {
  Executor executor;
  RangeLocks locks;
  LockEntry a_low;
  LockEntry a_high;
  LockEntry b;
  locks.request(a_low, Block(2), Block(3));
  locks.request(a_high, Block(5), Block(6));
  locks.request(b, Block(0), Block(8));
  EXPECT_TRUE(a_low.granted);
  EXPECT_TRUE(a_high.granted);
  EXPECT_FALSE(b.granted);
  locks.release(a_low, executor);
  EXPECT_FALSE(b.granted);
  locks.release(a_high, executor);
  EXPECT_TRUE(b.granted);
  EXPECT_TRUE(executor.idle());  // nobody awaits it yet, so nobody is resumed
  locks.release(b, executor);
}

TEST(RangeLocks, WhoGivesUpHoldsNobodyUp) {
  Executor executor;
  RangeLocks locks;
  LockEntry owner;
  LockEntry weary;
  LockEntry behind;
  locks.request(owner, Block(0), Block(4));
  locks.request(weary, Block(3), Block(8));
  locks.request(behind, Block(6), Block(7));
  bool resumed = false;
  weary.waiting = true;
  weary.node.context = &resumed;
  weary.node.run = [](Ready& node) { *static_cast<bool*>(node.context) = true; };
  locks.give_up(weary, executor);
  EXPECT_TRUE(behind.granted);
  (void)executor.run();
  EXPECT_TRUE(resumed);
  EXPECT_FALSE(locks.wait(weary).await_resume());
  locks.release(owner, executor);
  EXPECT_FALSE(weary.granted);
  locks.release(behind, executor);
  EXPECT_TRUE(locks.empty());
}

TEST(RangeLocks, ATriedLockLeavesNoTraceWhenTheRangeIsTaken) {
  Executor executor;
  RangeLocks locks;
  LockEntry owner;
  LockEntry tried;
  locks.request(owner, Block(0), Block(4));
  EXPECT_FALSE(locks.try_acquire(tried, Block(3), Block(4)));
  EXPECT_FALSE(locks.is_free(Block(3)));
  EXPECT_TRUE(locks.is_free(Block(4)));
  EXPECT_TRUE(locks.try_acquire(tried, Block(4), Block(5)));
  locks.release(tried, executor);
  locks.release(owner, executor);
  EXPECT_TRUE(locks.empty());
}

}  // namespace
}  // namespace dmr

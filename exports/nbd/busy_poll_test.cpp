// SPDX-License-Identifier: GPL-2.0-or-later
// Clients that answer soon, late, and first one and then the other.
#include "exports/nbd/busy_poll.h"

#include <gtest/gtest.h>

namespace dmr::nbd {
namespace {

// Looks in so many waits of a client whose next request comes after `next_ns`.
u32 looks(BusyPoll& poll, u32 waits, u64 next_ns, u64 requests = 1) {
  u32 count = 0;
  for (u32 i = 0; i < waits; ++i) {
    const u64 budget_ns = poll.budget_ns(requests);
    if (budget_ns == 0) continue;
    ++count;
    poll.looked(next_ns <= budget_ns);
  }
  return count;
}

TEST(BusyPoll, AClientThatGoesOnAtOnceIsAlwaysWaitedForAwake) {
  BusyPoll poll;
  EXPECT_EQ(looks(poll, 1000, 20'000), 1000U);
}

TEST(BusyPoll, AClientThatTakesItsTimeCostsFewVainLooks) {
  BusyPoll poll;
  EXPECT_LE(looks(poll, 100'000, 1'000'000), 40U);
}

TEST(BusyPoll, AClientWithManyRequestsUnderWayIsLeftAlone) {
  BusyPoll poll;
  EXPECT_EQ(looks(poll, 1000, 20'000, 2), 0U);
}

TEST(BusyPoll, AClientThatBecomesFastIsFoundSoon) {
  BusyPoll poll;
  (void)looks(poll, 100'000, 1'000'000);
  EXPECT_GE(looks(poll, 2 * BusyPoll::kMostWaits, 20'000), BusyPoll::kMostWaits);
}

}  // namespace
}  // namespace dmr::nbd

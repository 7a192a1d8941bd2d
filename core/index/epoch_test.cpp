// SPDX-License-Identifier: GPL-2.0-or-later
// A drain ends when, and only when, all that entered before it has left; slow I/O in one hash
// delays no other.
#include "core/index/epoch.h"

#include <memory>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "core/testing/fake_host.h"

namespace dmr {
namespace {

class EpochTest : public ::testing::Test {
 public:
  EpochTest() { epochs.open(Geometry::make(u64{1} << 31, 8).value()); }
  ~EpochTest() override { EXPECT_TRUE(epochs.idle()); }

  struct Waiter {
    Drain drain;
    int told = 0;
  };
  void begin(Waiter& waiter, u32 hashes) {
    waiter.drain.hashes = hashes;
    waiter.drain.context = &waiter;
    waiter.drain.done = [](Drain& drain) { ++static_cast<Waiter*>(drain.context)->told; };
    epochs.begin_drain(host, waiter.drain);
  }
  // A request to region `region` that is in flight; the slot to leave.
  u32 enter(u64 region) {
    const u32 slot = epochs.slot_of(Sector(region * kRegionSectors));
    ++host.in_flight[slot];
    return slot;
  }
  void leave(u32 slot) {
    --host.in_flight[slot];
    if (epochs.drain_pending(slot)) epochs.poll(host);
  }

  static constexpr u64 kRegionSectors = u64{kRegionBlocks} * 8;
  testing::FakeHost host;
  Epochs epochs;
};

TEST_F(EpochTest, SpreadsRegionsOverAllHashes) {
  std::vector<int> count(kEpochHashes);
  for (u64 region = 0; region < 1600; ++region) ++count[Epochs::hash_of(region)];
  for (const int regions : count) EXPECT_NEAR(regions, 100, 20);
  EXPECT_NE(Epochs::hash_of(0), Epochs::hash_of(1));
}

TEST_F(EpochTest, KeepsAllSectorsOfARegionInOneSlot) {
  const u32 slot = epochs.slot_of(Sector(3 * kRegionSectors));
  EXPECT_EQ(slot, epochs.slot_of(Sector(4 * kRegionSectors - 1)));
  EXPECT_EQ(slot / 2, Epochs::hash_of(3));
}

TEST_F(EpochTest, NamesTheHashesOfARangeOfBlocks) {
  EXPECT_EQ(Epochs::hashes_of(Block(5), 1), 1U << Epochs::hash_of(0));
  EXPECT_EQ(Epochs::hashes_of(Block(kRegionBlocks - 1), 2),
            (1U << Epochs::hash_of(0)) | (1U << Epochs::hash_of(1)));
  EXPECT_EQ(Epochs::hashes_of(Block(0), u64{kRegionBlocks} * 4000), (1U << kEpochHashes) - 1);
}

TEST_F(EpochTest, TellsNobodyBeforeTheGracePeriodEnds) {
  Waiter waiter;
  begin(waiter, 1U << Epochs::hash_of(7));
  epochs.poll(host);
  EXPECT_EQ(waiter.told, 0);
  host.end_grace();
  EXPECT_EQ(waiter.told, 1);
}

TEST_F(EpochTest, WaitsForWhatEnteredBefore) {
  const u32 before = enter(7);
  Waiter waiter;
  begin(waiter, 1U << Epochs::hash_of(7));
  EXPECT_TRUE(epochs.drain_pending(before));
  host.end_grace();
  const u32 after = enter(7);  // does not count
  EXPECT_NE(before, after);
  EXPECT_FALSE(epochs.drain_pending(after));
  leave(after);
  EXPECT_EQ(waiter.told, 0);
  const u32 still = enter(7);
  leave(before);
  EXPECT_EQ(waiter.told, 1);
  EXPECT_FALSE(epochs.drain_pending(before));
  leave(still);
}

// It took its slot before the flip, and increments before the grace period ends.
TEST_F(EpochTest, WaitsForWhatEntersTheOldPhaseDuringTheGracePeriod) {
  const u32 slot = epochs.slot_of(Sector(7 * kRegionSectors));
  Waiter waiter;
  begin(waiter, 1U << Epochs::hash_of(7));
  ++host.in_flight[slot];
  host.end_grace();
  EXPECT_EQ(waiter.told, 0);
  leave(slot);
  EXPECT_EQ(waiter.told, 1);
}

TEST_F(EpochTest, SlowIoInOneHashDelaysNoOther) {
  const u32 slow = enter(7);
  Waiter stuck;
  Waiter quick;
  begin(stuck, 1U << Epochs::hash_of(7));
  begin(quick, 1U << Epochs::hash_of(8));
  host.end_grace();
  EXPECT_EQ(stuck.told, 0);
  EXPECT_EQ(quick.told, 1);
  leave(slow);
  EXPECT_EQ(stuck.told, 1);
}

TEST_F(EpochTest, ADrainOfTwoHashesWaitsForBoth) {
  const u32 first = enter(7);
  const u32 second = enter(8);
  Waiter waiter;
  begin(waiter, (1U << Epochs::hash_of(7)) | (1U << Epochs::hash_of(8)));
  host.end_grace();
  leave(second);
  EXPECT_EQ(waiter.told, 0);
  leave(first);
  EXPECT_EQ(waiter.told, 1);
}

// The second drain may not count on the flip of the first: what entered between the two is in the
// phase that the first flip made current.
TEST_F(EpochTest, ADrainBegunDuringAnotherTakesTheNextFlip) {
  const u32 first = enter(7);
  Waiter one;
  begin(one, 1U << Epochs::hash_of(7));
  const u32 between = enter(7);
  Waiter two;
  Waiter three;
  begin(two, 1U << Epochs::hash_of(7));
  begin(three, 1U << Epochs::hash_of(7));
  host.end_grace();
  leave(first);
  EXPECT_EQ(one.told, 1);
  EXPECT_EQ(host.grace.size(), 1U);  // one flip for both
  host.end_grace();
  EXPECT_EQ(two.told + three.told, 0);
  leave(between);
  EXPECT_EQ(two.told, 1);
  EXPECT_EQ(three.told, 1);
}

TEST_F(EpochTest, ADrainMayBeginAnotherWhenItIsTold) {
  struct Chain {
    EpochTest* test;
    Waiter* behind;
  };
  Waiter second;
  Chain chain{this, &second};
  Drain first;
  first.hashes = 1;
  first.context = &chain;
  first.done = [](Drain& drain) {
    Chain& own = *static_cast<Chain*>(drain.context);
    own.test->begin(*own.behind, 1);
  };
  epochs.begin_drain(host, first);
  host.end_grace();
  EXPECT_EQ(second.told, 0);
  host.end_grace();
  EXPECT_EQ(second.told, 1);
}

// Requests and drains at random; each drain checks that all its predecessors have left.
TEST_F(EpochTest, NeverTellsADrainTooEarlyNorForgetsOne) {
  std::mt19937_64 random(11);
  struct Request {
    u64 number;
    u32 hash;
    u32 slot;
  };
  struct Tracked {
    Waiter waiter;
    u64 number = 0;
    bool checked = false;
  };
  std::vector<Request> requests;
  std::vector<std::unique_ptr<Tracked>> drains;
  u64 number = 0;
  for (int step = 0; step < 40'000; ++step) {
    const bool closing = step > 39'000;
    const u64 what = random() % 10;
    if (what < 4 && !closing) {
      const u64 region = random() % 64;
      requests.push_back({++number, Epochs::hash_of(region), enter(region)});
    } else if (what < 8 && !requests.empty()) {
      const std::size_t pick = random() % requests.size();
      const u32 slot = requests[pick].slot;
      requests[pick] = requests.back();
      requests.pop_back();
      leave(slot);
    } else if (what == 8 && !closing) {
      drains.push_back(std::make_unique<Tracked>());
      drains.back()->number = ++number;
      begin(drains.back()->waiter, 1U << (random() % 16) | 1U << (random() % 16));
    } else {
      host.end_grace();
    }
    for (const auto& drain : drains) {
      ASSERT_LE(drain->waiter.told, 1);
      if (drain->waiter.told == 0 || drain->checked) continue;
      drain->checked = true;
      for (const Request& request : requests) {
        const bool concerned = ((drain->waiter.drain.hashes >> request.hash) & 1U) != 0;
        ASSERT_FALSE(concerned && request.number < drain->number);
      }
    }
    std::erase_if(drains, [](const auto& drain) { return drain->checked; });
  }
  while (!requests.empty()) {
    leave(requests.back().slot);
    requests.pop_back();
  }
  host.end_all_grace();
  for (const auto& drain : drains) EXPECT_EQ(drain->waiter.told, 1);
}

TEST(EpochCounters, CountsWhatIsInFlight) {
  EpochCounters counters;
  counters.enter(3);
  counters.enter(3);
  counters.enter(31);
  counters.leave(3);
  EXPECT_EQ(counters.read(3), 1);
  EXPECT_EQ(counters.read(31), 1);
  EXPECT_EQ(counters.read(0), 0);
}

}  // namespace
}  // namespace dmr

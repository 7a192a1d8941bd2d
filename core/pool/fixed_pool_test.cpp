// SPDX-License-Identifier: GPL-2.0-or-later
// Pools: every object on its own cache lines, handed out once, counted, poisoned while free.
#include "core/pool/fixed_pool.h"

#include <cstring>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "core/testing/fake_host.h"

namespace dmr {
namespace {

// Remembers which memory is poisoned.
class WatchingHost : public testing::FakeHost {
 public:
  void poison(const void* memory, std::size_t bytes) override {
    EXPECT_GT(bytes, 0U);
    EXPECT_TRUE(poisoned.insert(memory).second) << "poisoned twice";
    FakeHost::poison(memory, bytes);
  }
  void unpoison(const void* memory, std::size_t bytes) override {
    poisoned.erase(memory);
    FakeHost::unpoison(memory, bytes);
  }
  std::set<const void*> poisoned;
};

struct Odd {
  u8 bytes[65];
};

class FixedPoolTest : public ::testing::Test {
 protected:
  ~FixedPoolTest() override {
    pool_.close();
    EXPECT_EQ(host_.bytes_held, 0U);
    EXPECT_TRUE(host_.poisoned.empty()) << "memory given back poisoned";
  }
  WatchingHost host_;
  FixedPool<Odd> pool_;
};

TEST_F(FixedPoolTest, ObjectsLieOnCacheLinesOfTheirOwn) {
  ASSERT_EQ(pool_.open(host_, 5), Status::ok);
  std::vector<Odd*> all;
  for (u32 i = 0; i < 5; ++i) {
    Odd* object = pool_.acquire();
    ASSERT_NE(object, nullptr);
    const auto at = reinterpret_cast<std::uintptr_t>(object);
    EXPECT_EQ(at % kCacheLineBytes, 0U);
    for (const Odd* other : all) {
      const auto there = reinterpret_cast<std::uintptr_t>(other);
      EXPECT_GE(at > there ? at - there : there - at, 2 * kCacheLineBytes);
    }
    all.push_back(object);
    std::memset(object, static_cast<int>(i), sizeof(*object));
  }
  for (u32 i = 0; i < 5; ++i) {
    for (const u8 byte : all[i]->bytes) ASSERT_EQ(byte, i);
    pool_.release(all[i]);
  }
}

TEST_F(FixedPoolTest, AnEmptyPoolIsAValueAndIsCounted) {
  ASSERT_EQ(pool_.open(host_, 2), Status::ok);
  Odd* first = pool_.acquire();
  Odd* second = pool_.acquire();
  EXPECT_NE(first, second);
  EXPECT_EQ(pool_.counters().exhausted, 0U);
  EXPECT_EQ(pool_.available(), 0U);
  EXPECT_EQ(pool_.acquire(), nullptr);
  EXPECT_EQ(pool_.acquire(), nullptr);
  EXPECT_EQ(pool_.counters().exhausted, 2U);
  EXPECT_EQ(pool_.counters().in_use, 2U);
  pool_.release(first);
  EXPECT_EQ(pool_.acquire(), first);
  EXPECT_EQ(pool_.counters().exhausted, 2U);
  pool_.release(first);
  pool_.release(second);
}

TEST_F(FixedPoolTest, CountersFollowUseAndKeepTheHighWaterMark) {
  ASSERT_EQ(pool_.open(host_, 4), Status::ok);
  EXPECT_EQ(pool_.counters().size, 4U);
  Odd* a = pool_.acquire();
  Odd* b = pool_.acquire();
  Odd* c = pool_.acquire();
  EXPECT_EQ(pool_.counters().in_use, 3U);
  pool_.release(b);
  pool_.release(a);
  EXPECT_EQ(pool_.counters().in_use, 1U);
  EXPECT_EQ(pool_.counters().high_water, 3U);
  EXPECT_EQ(pool_.available(), 3U);
  pool_.release(c);
  EXPECT_EQ(pool_.counters().in_use, 0U);
  EXPECT_EQ(pool_.counters().high_water, 3U);
}

TEST_F(FixedPoolTest, ExactlyTheFreeObjectsArePoisoned) {
  ASSERT_EQ(pool_.open(host_, 3), Status::ok);
  EXPECT_EQ(host_.poisoned.size(), 3U);
  Odd* object = pool_.acquire();
  EXPECT_EQ(host_.poisoned.size(), 2U);
  EXPECT_EQ(host_.poisoned.count(object), 0U);
  pool_.release(object);
  EXPECT_EQ(host_.poisoned.size(), 3U);
  EXPECT_EQ(host_.poisoned.count(object), 1U);
}

TEST_F(FixedPoolTest, ObjectsAreNumberedFromZero) {
  ASSERT_EQ(pool_.open(host_, 64), Status::ok);
  std::set<u32> numbers;
  std::vector<Odd*> all;
  for (u32 i = 0; i < 64; ++i) {
    all.push_back(pool_.acquire());
    numbers.insert(pool_.index_of(all.back()));
  }
  EXPECT_EQ(numbers.size(), 64U);
  EXPECT_EQ(*numbers.rbegin(), 63U);
  for (Odd* object : all) pool_.release(object);
}

TEST_F(FixedPoolTest, OpeningFailsCleanlyAndCanBeTriedAgain) {
  EXPECT_EQ(pool_.open(host_, 0), Status::invalid);
  EXPECT_EQ(pool_.open(host_, kMaxPoolObjects + 1), Status::invalid);
  host_.allocations_left = 0;
  EXPECT_EQ(pool_.open(host_, 3), Status::no_memory);
  host_.allocations_left = -1;
  EXPECT_EQ(pool_.open(host_, 3), Status::ok);
  pool_.close();
  EXPECT_EQ(host_.bytes_held, 0U);
  EXPECT_EQ(pool_.open(host_, 7), Status::ok);
  EXPECT_EQ(pool_.counters().size, 7U);
}

struct Counted {
  static inline int alive = 0;
  int value = 42;
  Counted() { ++alive; }
  ~Counted() { --alive; }
};

TEST(FixedPool, ObjectsAreFreshEachTimeAndDestroyedAtRelease) {
  WatchingHost host;
  FixedPool<Counted> pool;
  ASSERT_EQ(pool.open(host, 1), Status::ok);
  EXPECT_EQ(Counted::alive, 0);
  Counted* object = pool.acquire();
  EXPECT_EQ(Counted::alive, 1);
  object->value = 7;
  pool.release(object);
  EXPECT_EQ(Counted::alive, 0);
  object = pool.acquire();
  EXPECT_EQ(object->value, 42);
  pool.release(object);
  pool.close();
}

TEST(FixedPool, BuffersAreAlignedForDirectIoAndHoldTheLargestBlock) {
  WatchingHost host;
  FixedPool<IoBuffer> pool;
  ASSERT_EQ(pool.open(host, kDefaultBuffers), Status::ok);
  std::vector<IoBuffer*> all;
  for (u32 i = 0; i < kDefaultBuffers; ++i) {
    all.push_back(pool.acquire());
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(all.back()) % 4096, 0U);
    EXPECT_EQ(sizeof(all.back()->bytes), 64U * 1024);
    std::memset(all.back()->bytes, 0x5A, sizeof(all.back()->bytes));
  }
  for (IoBuffer* buffer : all) pool.release(buffer);
  pool.close();
}

TEST(FixedPoolDeathTest, MisuseIsCaught) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  WatchingHost host;
  FixedPool<Odd> pool;
  ASSERT_EQ(pool.open(host, 2), Status::ok);
  Odd* object = pool.acquire();
  EXPECT_DEATH(pool.close(), "in_use == 0");
  EXPECT_DEATH(pool.release(reinterpret_cast<Odd*>(reinterpret_cast<char*>(object) + 1)), "sizeof");
  Odd stranger{};
  EXPECT_DEATH(pool.release(&stranger), "assertion failed");
  pool.release(object);
  EXPECT_DEATH(pool.release(object), "kInUse");
  pool.close();
  EXPECT_DEATH((void)pool.acquire(), "host_ != nullptr");
}

}  // namespace
}  // namespace dmr

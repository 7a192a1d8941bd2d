// SPDX-License-Identifier: GPL-2.0-or-later
// Spans do not overlap, pages empty and fill again, and what is certain is certain.
#include "core/index/arena.h"

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "core/testing/fake_host.h"

namespace dmr {
namespace {

class ArenaTest : public ::testing::Test {
 protected:
  ArenaTest() { arena.open(host); }
  ~ArenaTest() override {
    for (const Span& span : spans) arena.give_back(span.memory, span.units);
    EXPECT_EQ(arena.used_units(), 0U);
    EXPECT_EQ(arena.used_pages(), 0U);
    arena.close();
    EXPECT_EQ(host.bytes_held, 0U);
  }
  void add_pages(u32 count) {
    for (u32 i = 0; i < count; ++i) arena.give_page(host.allocate_page());
  }
  struct Span {
    unsigned char* memory;
    u32 units;
    unsigned char mark;
  };
  // Fills the whole span, so that an overlap with another one shows.
  bool allocate(u32 units) {
    auto* const memory = static_cast<unsigned char*>(arena.allocate(units));
    if (memory == nullptr) return false;
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory) % kArenaUnitBytes, 0U);
    mark = static_cast<unsigned char>(mark + 1);
    std::memset(memory, mark, units * kArenaUnitBytes);
    spans.push_back({memory, units, mark});
    return true;
  }
  void give_back(std::size_t which) {
    const Span span = spans[which];
    for (u32 i = 0; i < span.units * kArenaUnitBytes; i += 61) {
      ASSERT_EQ(span.memory[i], span.mark);
    }
    arena.give_back(span.memory, span.units);
    spans[which] = spans.back();
    spans.pop_back();
  }

  testing::FakeHost host;
  Arena arena;
  std::vector<Span> spans;
  unsigned char mark = 0;
};

TEST_F(ArenaTest, GivesNothingWithoutAPage) {
  EXPECT_EQ(arena.allocate(1), nullptr);
  EXPECT_EQ(arena.certain_units(), 0U);
}

TEST_F(ArenaTest, CutsAPageIntoEveryUnitButItsHeader) {
  add_pages(1);
  EXPECT_EQ(arena.certain_units(), Arena::kCertainUnits);
  for (u32 i = 0; i < Arena::kFreshUnits; ++i) ASSERT_TRUE(allocate(1));
  EXPECT_FALSE(allocate(1));
  EXPECT_EQ(arena.used_units(), Arena::kFreshUnits);
}

TEST_F(ArenaTest, JoinsNeighboursThatBecomeFree) {
  add_pages(1);
  for (int i = 0; i < 17; ++i) ASSERT_TRUE(allocate(15));  // 255 units
  EXPECT_FALSE(allocate(1));
  give_back(3);
  // What was last is number 3 now; the next neighbour of the gap is number 4.
  give_back(4);
  EXPECT_FALSE(allocate(31));
  EXPECT_TRUE(allocate(30));
}

TEST_F(ArenaTest, FillsThePageWithTheTightestGapFirst) {
  add_pages(2);
  ASSERT_TRUE(allocate(113));
  ASSERT_TRUE(allocate(113));  // same page: 29 units are left there
  EXPECT_EQ(arena.used_pages(), 1U);
  ASSERT_TRUE(allocate(30));
  EXPECT_EQ(arena.used_pages(), 2U);
  ASSERT_TRUE(allocate(29));
  EXPECT_EQ(arena.used_pages(), 2U);
  EXPECT_EQ(arena.used_units(), 113U + 113 + 30 + 29);
}

TEST_F(ArenaTest, AnEmptyPageServesSpansOfAnySizeAgain) {
  add_pages(1);
  for (int i = 0; i < 255; ++i) ASSERT_TRUE(allocate(1));
  while (!spans.empty()) give_back(spans.size() / 2);
  EXPECT_EQ(arena.used_pages(), 0U);
  EXPECT_EQ(arena.certain_units(), Arena::kCertainUnits);
  EXPECT_TRUE(allocate(Arena::kMaxSpanUnits));
  EXPECT_TRUE(allocate(Arena::kMaxSpanUnits));
}

TEST_F(ArenaTest, GivesWhatItCallsCertainInAnySizes) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 60; ++round) {
    add_pages(3);
    for (int i = 0; i < 40 && !spans.empty(); ++i) give_back(random() % spans.size());
    for (int i = 0; i < 30; ++i) (void)allocate(1 + static_cast<u32>(random() % 20));
    u64 certain = arena.certain_units();
    while (certain > 0) {
      const u64 most = std::min<u64>(certain, Arena::kMaxSpanUnits);
      const u32 units = static_cast<u32>(round % 2 == 0 ? most : 1 + random() % most);
      ASSERT_TRUE(allocate(units)) << certain << " units were certain";
      certain -= units;
    }
  }
}

TEST_F(ArenaTest, SpansNeverOverlapInRandomUse) {
  std::mt19937_64 random(2);
  add_pages(20);
  u64 expected = 0;
  for (int step = 0; step < 30'000; ++step) {
    if (random() % 2 == 0) {
      const u32 units = 1 + static_cast<u32>(random() % (step % 3 == 0 ? 113 : 8));
      if (allocate(units)) expected += units;
    } else if (!spans.empty()) {
      const std::size_t which = random() % spans.size();
      expected -= spans[which].units;
      ASSERT_NO_FATAL_FAILURE(give_back(which));
    }
    ASSERT_EQ(arena.used_units(), expected);
  }
}

using ArenaDeathTest = ArenaTest;

TEST_F(ArenaDeathTest, StopsWhenASpanComesBackTwice) {
  add_pages(1);
  void* const span = arena.allocate(3);
  arena.give_back(span, 3);
  EXPECT_DEATH(arena.give_back(span, 3), "assertion failed");
}

TEST_F(ArenaDeathTest, StopsAtAPageThatIsNotAligned) {
  void* const page = host.allocate_page();
  EXPECT_DEATH(arena.give_page(static_cast<char*>(page) + 64), "assertion failed");
  arena.give_page(page);
}

}  // namespace
}  // namespace dmr

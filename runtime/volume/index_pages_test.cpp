// SPDX-License-Identifier: GPL-2.0-or-later
// Pages of the index are apart, aligned, zero, and lie together in chunks that may be huge pages.
#include "runtime/volume/index_pages.h"

#include <cstring>
#include <set>
#include <vector>

#include <gtest/gtest.h>

namespace dmr::runtime {
namespace {

TEST(IndexPages, FillAlignedChunksAndNothingIsHandedOutTwice) {
  IndexPages pages;
  std::set<std::uintptr_t> seen;
  std::vector<void*> taken;
  for (std::size_t i = 0; i < 3 * IndexPages::kChunkPages; ++i) {
    void* page = pages.take();
    ASSERT_NE(page, nullptr);
    const auto address = reinterpret_cast<std::uintptr_t>(page);
    ASSERT_EQ(address % kIndexPageBytes, 0U);
    ASSERT_TRUE(seen.insert(address).second);
    ASSERT_EQ(static_cast<const char*>(page)[kIndexPageBytes - 1], 0);
    std::memset(page, 0x5A, kIndexPageBytes);
    taken.push_back(page);
  }
  EXPECT_EQ(pages.chunks(), 3U);
  std::set<std::uintptr_t> chunks;
  for (const std::uintptr_t address : seen) chunks.insert(address / IndexPages::kChunkBytes);
  EXPECT_EQ(chunks.size(), 3U);
  for (void* page : taken) ASSERT_TRUE(pages.give_back(page));
  EXPECT_EQ(pages.chunks(), 0U);
}

TEST(IndexPages, APageThatCameBackIsGivenAgainAndZeroed) {
  IndexPages pages;
  void* first = pages.take();
  void* second = pages.take();
  ASSERT_NE(first, nullptr);
  ASSERT_NE(second, nullptr);
  std::memset(first, 0x5A, kIndexPageBytes);
  ASSERT_TRUE(pages.give_back(first));
  void* again = pages.take();
  EXPECT_EQ(again, first);
  EXPECT_EQ(static_cast<const char*>(again)[0], 0);
  EXPECT_TRUE(pages.give_back(again));
  EXPECT_TRUE(pages.give_back(second));
}

TEST(IndexPages, OtherMemoryIsNoneOfTheirs) {
  IndexPages pages;
  int other = 0;
  EXPECT_FALSE(pages.give_back(&other));
}

}  // namespace
}  // namespace dmr::runtime

// SPDX-License-Identifier: GPL-2.0-or-later
// Lists of steps as users write them.
#include "sim/steps.h"

#include <gtest/gtest.h>

namespace dmr::sim {
namespace {

TEST(Steps, AreWrittenAsTheyAreRead) {
  for (const char* text : {"1", "3,17,40-42", "1-300", "1-2,4-5,300"}) {
    const auto steps = Steps::parse(text, 300);
    ASSERT_TRUE(steps.has_value()) << text;
    EXPECT_EQ(steps->text(), text);
  }
  EXPECT_EQ(Steps({1, 2, 3, 7}).text(), "1-3,7");
  EXPECT_EQ(Steps::first(4).text(), "1-4");
}

TEST(Steps, TheListAndTheQuestionAgree) {
  const Steps steps({2, 3, 9});
  EXPECT_EQ(steps.list(), (std::vector<u32>{2, 3, 9}));
  for (const u32 step : {2U, 3U, 9U}) EXPECT_TRUE(steps.contains(step));
  for (const u32 step : {0U, 1U, 4U, 8U, 10U, 1000U}) EXPECT_FALSE(steps.contains(step));
}

TEST(Steps, WhatIsNoSuchListIsNone) {
  for (const char* text : {"", "0", "301", "1,", ",1", "1-", "-1", "3,2", "3,3", "4-2", "1 2", "x",
                           "1-3,2", "99999999999999999999", "1,,2", "1-2-3"}) {
    EXPECT_FALSE(Steps::parse(text, 300).has_value()) << text;
  }
}

}  // namespace
}  // namespace dmr::sim

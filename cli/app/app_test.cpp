// SPDX-License-Identifier: GPL-2.0-or-later
// Words and numbers, in and out: names, sizes, ranges of sectors.
#include <array>

#include <gtest/gtest.h>

#include "cli/app/names.h"
#include "cli/app/output.h"
#include "cli/app/progress_line.h"
#include "cli/app/sizes.h"

namespace dmr::cli {
namespace {

TEST(Names, WhatBecomesAFileNameIsChosenCarefully) {
  for (const char* good : {"a", "tank", "my-tank_1.0+x", "0"}) EXPECT_EQ(name_fault(good), "");
  for (const char* bad : {"", ".", "..", ".x", "-x", "a/b", "a b", "\xC3\xA4", "a\n"}) {
    EXPECT_NE(name_fault(bad), "") << bad;
  }
  EXPECT_EQ(name_fault(std::string(63, 'x')), "");
  EXPECT_NE(name_fault(std::string(64, 'x')), "");
}

TEST(Names, ASlipOfTheKeyboardIsRecognised) {
  const std::array<std::string, 3> known{"create", "check", "map"};
  EXPECT_EQ(nearest("creat", known.begin(), known.end()), "create");
  EXPECT_EQ(nearest("chekc", known.begin(), known.end()), "check");
  const std::array<std::string, 2> shells{"bash", "zsh"};
  EXPECT_EQ(nearest("fish", shells.begin(), shells.end()), "");
  EXPECT_EQ(nearest("bsh", shells.begin(), shells.end()), "bash");
  EXPECT_EQ(nearest("zebra", known.begin(), known.end()), "");
  EXPECT_EQ(nearest(std::string(10000, 'x'), known.begin(), known.end()), "");
}

TEST(Sizes, AreBinaryAndNeverRoundedUp) {
  EXPECT_EQ(binary_size(0), "0 B");
  EXPECT_EQ(binary_size(1023), "1023 B");
  EXPECT_EQ(binary_size(4096), "4 KiB");
  EXPECT_EQ(binary_size(1536), "1.5 KiB");
  EXPECT_EQ(binary_size((u64{1} << 20) - 1), "1023 KiB");
  EXPECT_EQ(binary_size(~u64{0}), "15.9 EiB");
}

TEST(Sizes, NumbersAreGrouped) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(1234567), "1,234,567");
  EXPECT_EQ(counted(1, "block", "blocks"), "1 block");
  EXPECT_EQ(counted(0, "block", "blocks"), "0 blocks");
}

TEST(Progress, TheBarIsFullOnlyAtTheEnd) {
  EXPECT_EQ(progress_bar(0), "[........................]   0 %");
  EXPECT_EQ(progress_bar(0.5), "[############............]  50 %");
  EXPECT_EQ(progress_bar(0.999), "[#######################.]  99 %");
  EXPECT_EQ(progress_bar(1.5), "[########################] 100 %");
}

TEST(Ranges, AreASectorAndACount) {
  const auto range = parse_range("2048+8");
  ASSERT_TRUE(range.has_value());
  EXPECT_EQ(range->begin, Sector(2048));
  EXPECT_EQ(range->sectors, 8U);
  EXPECT_EQ(parse_range("0x10")->begin, Sector(16));
  EXPECT_EQ(parse_range("7")->sectors, 1U);
}

TEST(Ranges, WhatIsNoneIsWrongUsage) {
  for (const char* bad :
       {"", "+", "8+", "+8", "8+0", "8-9", "-1", "8+8+8", " 8", "8 ", "0x", "99999999999999999999",
        "18446744073709551615+1", "1+36028797018963968"}) {
    const auto range = parse_range(bad);
    ASSERT_FALSE(range.has_value()) << bad;
    EXPECT_EQ(range.error().exit_code, runtime::kExitUsage);
  }
}

}  // namespace
}  // namespace dmr::cli

// SPDX-License-Identifier: GPL-2.0-or-later
// What counts as a list of bad blocks, and what is said about one that does not.
#include "cli/badblocks/badblocks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dmr::cli {
namespace {

using ::testing::HasSubstr;

constexpr u64 kSectors = 2048;  // 1 MiB: blocks 0 to 1023 of 1 KiB

std::vector<std::pair<u64, u64>> pairs(const std::vector<SectorRange>& ranges) {
  std::vector<std::pair<u64, u64>> out;
  for (const SectorRange& range : ranges) out.emplace_back(range.begin.value, range.sectors);
  return out;
}

using Pairs = std::vector<std::pair<u64, u64>>;

Pairs accepted(std::string_view text, BadblocksUnit unit = {}, u64 sectors = kSectors) {
  const auto ranges = parse_badblocks(text, unit, sectors);
  EXPECT_TRUE(ranges.has_value()) << ranges.error();
  return ranges ? pairs(*ranges) : Pairs{};
}

std::string fault_of(std::string_view text, BadblocksUnit unit = {}, u64 sectors = kSectors) {
  const auto ranges = parse_badblocks(text, unit, sectors);
  EXPECT_FALSE(ranges.has_value()) << "`" << text << "` was accepted";
  return ranges ? "" : ranges.error();
}

TEST(Badblocks, NumbersBecomeSectorRangesAndNeighboursAreJoined) {
  EXPECT_EQ(accepted("3\n4\n9\n"), (Pairs{{6, 4}, {18, 2}}));
}

TEST(Badblocks, NumbersMayComeInAnyOrder) {
  EXPECT_EQ(accepted("9\n4\n3\n"), (Pairs{{6, 4}, {18, 2}}));
}

TEST(Badblocks, AnEmptyListIsAList) {
  EXPECT_EQ(accepted(""), Pairs{});
  EXPECT_EQ(accepted("\n\n"), Pairs{});
}

TEST(Badblocks, BlanksAndForeignLineEndsAreOverlooked) {
  EXPECT_EQ(accepted("  7\r\n\n8\t\n"), (Pairs{{14, 4}}));
}

TEST(Badblocks, TheLastLineNeedsNoLineEnd) { EXPECT_EQ(accepted("1023"), (Pairs{{2046, 2}})); }

TEST(Badblocks, TheBlockSizeIsTheUnit) {
  EXPECT_EQ(accepted("5\n", {.block_bytes = 512}), (Pairs{{5, 1}}));
  EXPECT_EQ(accepted("5\n", {.block_bytes = 4096}), (Pairs{{40, 8}}));
}

TEST(Badblocks, ABlockAcrossTheEndIsCutThere) {
  EXPECT_EQ(accepted("1\n", {.block_bytes = 4096}, 11), (Pairs{{8, 3}}));
}

TEST(Badblocks, GarbageNamesItsLine) {
  EXPECT_THAT(fault_of("1\n2x\n"), HasSubstr("line 2: `2x` is not a block number"));
  EXPECT_THAT(fault_of("-1\n"), HasSubstr("line 1: `-1`"));
  EXPECT_THAT(fault_of("+1\n"), HasSubstr("line 1: `+1`"));
  EXPECT_THAT(fault_of("1 2\n"), HasSubstr("line 1: `1 2`"));
  EXPECT_THAT(fault_of("0x10\n"), HasSubstr("line 1"));
  EXPECT_THAT(fault_of("# list\n"), HasSubstr("line 1"));
  EXPECT_THAT(fault_of(std::string_view("\0\xFF\n", 3)), HasSubstr("`??`"));
}

TEST(Badblocks, AnEndlessLineIsShownInPart) {
  EXPECT_LT(fault_of(std::string(100000, 'a')).size(), 120U);
}

TEST(Badblocks, ANumberTooLargeForAnyDiskNamesItsLine) {
  EXPECT_THAT(fault_of("1\n99999999999999999999999\n"), HasSubstr("line 2"));
}

TEST(Badblocks, ANumberPastTheEndNamesItsLineAndTheLastBlock) {
  const std::string fault = fault_of("1023\n1024\n");
  EXPECT_THAT(fault, HasSubstr("line 2: block 1024"));
  EXPECT_THAT(fault, HasSubstr("last block is 1023"));
}

TEST(Badblocks, ANumberThatWouldOverflowAsASectorIsPastTheEnd) {
  EXPECT_THAT(fault_of("18446744073709551615\n"), HasSubstr("past the end"));
}

TEST(Badblocks, ARepeatedNumberNamesBothLines) {
  EXPECT_THAT(fault_of("8\n5\n6\n5\n"), HasSubstr("line 4: block 5 is on line 2 already"));
}

TEST(Badblocks, ABlockSizeThatIsNoMultipleOfASectorIsRefused) {
  EXPECT_THAT(fault_of("1\n", {.block_bytes = 1000}), HasSubstr("multiple of 512"));
  EXPECT_THAT(fault_of("1\n", {.block_bytes = 0}), HasSubstr("multiple of 512"));
}

TEST(Badblocks, FormattingNamesEveryBlockThatIsTouchedOnce) {
  const std::vector<SectorRange> ranges{
      {Sector(6), 1}, {Sector(7), 2}, {Sector(100), 0}, {Sector(2047), 1}};
  EXPECT_EQ(format_badblocks(ranges, {}), "3\n4\n1023\n");
}

TEST(Badblocks, WhatIsFormattedIsParsedToTheSame) {
  const Pairs before{{6, 4}, {18, 2}, {2040, 8}};
  std::vector<SectorRange> ranges;
  for (const auto& [begin, sectors] : before) ranges.push_back({Sector(begin), sectors});
  EXPECT_EQ(accepted(format_badblocks(ranges, {})), before);
}

}  // namespace
}  // namespace dmr::cli

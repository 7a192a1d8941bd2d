// SPDX-License-Identifier: GPL-2.0-or-later
// What counts as a mapfile of ddrescue, and what is said about one that does not.
#include "cli/mapfile/mapfile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dmr::cli {
namespace {

using ::testing::HasSubstr;
using MappedPairs = std::vector<std::pair<u64, u64>>;

constexpr u64 kMappedSectors = 2048;  // 1 MiB: 0x100000 bytes

MappedPairs mapped_pairs(const std::vector<SectorRange>& ranges) {
  MappedPairs out;
  for (const SectorRange& range : ranges) out.emplace_back(range.begin.value, range.sectors);
  return out;
}

Mapfile accepted_mapfile(std::string_view text, u64 sectors = kMappedSectors) {
  auto map = parse_mapfile(text, sectors);
  EXPECT_TRUE(map.has_value()) << map.error();
  return map ? std::move(*map) : Mapfile{};
}

std::string fault_of_mapfile(std::string_view text, u64 sectors = kMappedSectors) {
  const auto map = parse_mapfile(text, sectors);
  EXPECT_FALSE(map.has_value()) << "`" << text << "` was accepted_mapfile";
  return map ? "" : map.error();
}

TEST(Mapfile, BadAreasBecomeSectorsAndUnfinishedOnesAreMeasured) {
  const Mapfile map = accepted_mapfile(
      "# Mapfile. Created by GNU ddrescue version 1.27\n"
      "# Command line: ddrescue -d /dev/sdb /dev/null sdb.map\n"
      "# current_pos  current_status  current_pass\n"
      "0x00001400     ?               2\n"
      "#      pos        size  status\n"
      "0x00000000  0x00001000  +\n"
      "0x00001000  0x00000200  -\n"
      "0x00001200  0x00000E00  *\n"
      "0x00002000  0x00000400  -\n"
      "0x00002400  0x00001000  /\n"
      "0x00003400  0x000FCC00  ?\n");
  EXPECT_EQ(mapped_pairs(map.bad), (MappedPairs{{8, 1}, {16, 2}}));
  EXPECT_EQ(map.non_tried, 0xFCC00U);
  EXPECT_EQ(map.non_trimmed, 0xE00U);
  EXPECT_EQ(map.non_scraped, 0x1000U);
}

TEST(Mapfile, StatusLinesOfOldHaveNoPass) {
  EXPECT_EQ(mapped_pairs(accepted_mapfile("0x30E8F7200     ?\n0 512 -\n").bad),
            (MappedPairs{{0, 1}}));
}

TEST(Mapfile, NumbersAreDecimalHexadecimalOrOctal) {
  EXPECT_EQ(mapped_pairs(accepted_mapfile("0 + 1\n0 512 +\n01000 0X200 -\n1024 512 +\n").bad),
            (MappedPairs{{1, 1}}));
}

TEST(Mapfile, CommentsEndLinesAndBlanksDoNotMatter) {
  EXPECT_EQ(mapped_pairs(
                accepted_mapfile("\n  # head\n 0 - 1 # retrying\r\n\n\t0\t512  -\t# bad\r\n").bad),
            (MappedPairs{{0, 1}}));
}

TEST(Mapfile, TheLastLineNeedsNoLineEnd) {
  EXPECT_EQ(mapped_pairs(accepted_mapfile("0 + 1\n0 512 -").bad), (MappedPairs{{0, 1}}));
}

TEST(Mapfile, AreasMayBeginLateAndEndEarly) {  // ddrescue -i and -s
  EXPECT_EQ(mapped_pairs(accepted_mapfile("0 + 1\n4096 512 -\n").bad), (MappedPairs{{8, 1}}));
}

TEST(Mapfile, ASectorOfWhichAPartIsBadIsBad) {
  EXPECT_EQ(mapped_pairs(accepted_mapfile("0 + 1\n100 500 -\n").bad), (MappedPairs{{0, 2}}));
}

TEST(Mapfile, BadAreasThatMeetAreJoined) {
  EXPECT_EQ(mapped_pairs(accepted_mapfile("0 + 1\n0 512 -\n512 512 -\n").bad),
            (MappedPairs{{0, 2}}));
  EXPECT_EQ(mapped_pairs(accepted_mapfile("0 + 1\n0 100 -\n100 100 +\n200 400 -\n").bad),
            (MappedPairs{{0, 2}}));
  EXPECT_EQ(mapped_pairs(accepted_mapfile("0 + 1\n0 100 -\n100 100 +\n200 100 -\n").bad),
            (MappedPairs{{0, 1}}));
}

TEST(Mapfile, AFileWithoutAnyAreaIsNoMapfile) {
  EXPECT_THAT(fault_of_mapfile(""), HasSubstr("line 1: the file ends before its first area"));
  EXPECT_THAT(fault_of_mapfile("# only words\n"), HasSubstr("line 2: the file ends"));
  EXPECT_THAT(fault_of_mapfile("0 + 1\n"), HasSubstr("line 2: the file ends"));
}

TEST(Mapfile, AListOfBadblocksIsNotTakenForOne) {
  EXPECT_THAT(fault_of_mapfile("17\n18\n"), HasSubstr("line 1: this is not the status line"));
}

TEST(Mapfile, GarbageNamesItsLine) {
  EXPECT_THAT(fault_of_mapfile("x + 1\n0 512 -\n"), HasSubstr("line 1: `x` is not a number"));
  EXPECT_THAT(fault_of_mapfile("0 X 1\n0 512 -\n"), HasSubstr("line 1"));
  EXPECT_THAT(fault_of_mapfile("0 + one\n0 512 -\n"), HasSubstr("line 1: `one`"));
  EXPECT_THAT(fault_of_mapfile("0 + 1 2\n0 512 -\n"), HasSubstr("line 1"));
  EXPECT_THAT(fault_of_mapfile("0 + 1\n0 512\n"), HasSubstr("line 2: an area has three parts"));
  EXPECT_THAT(fault_of_mapfile("0 + 1\n0 512 - -\n"), HasSubstr("line 2: an area has three parts"));
  EXPECT_THAT(fault_of_mapfile("0 + 1\n0 512 !\n"), HasSubstr("line 2: `!` is no status"));
  EXPECT_THAT(fault_of_mapfile("0 + 1\n0 -512 -\n"), HasSubstr("line 2: `-512` is not a number"));
  EXPECT_THAT(fault_of_mapfile("0 + 1\n0x 512 -\n"), HasSubstr("line 2: `0x` is not a number"));
  EXPECT_THAT(fault_of_mapfile("0 + 1\n08 512 -\n"), HasSubstr("line 2: `08` is not a number"));
  EXPECT_THAT(fault_of_mapfile(std::string_view("\0\xFF\n", 3)), HasSubstr("line 1"));
}

TEST(Mapfile, AnAreaOfNoBytesNamesItsLine) {
  EXPECT_THAT(fault_of_mapfile("0 + 1\n0 0 -\n"), HasSubstr("line 2: an area of no bytes"));
}

TEST(Mapfile, OverlapsAndGapsNameTheirLine) {
  EXPECT_THAT(fault_of_mapfile("0 + 1\n0 0x400 +\n0x200 0x200 -\n"), HasSubstr("line 3"));
  EXPECT_THAT(fault_of_mapfile("0 + 1\n0 0x400 +\n0x200 0x200 -\n"), HasSubstr("overlaps"));
  EXPECT_THAT(fault_of_mapfile("0 + 1\n0 0x400 +\n0x600 0x200 -\n"), HasSubstr("line 3: a gap"));
  EXPECT_THAT(fault_of_mapfile("0 + 1\n512 512 +\n0 512 -\n"),
              HasSubstr("overlaps"));  // not ascending
}

TEST(Mapfile, AnAreaPastTheEndNamesItsLineAndTheEnd) {
  EXPECT_EQ(mapped_pairs(accepted_mapfile("0 + 1\n0x0FFE00 512 -\n").bad),
            (MappedPairs{{2047, 1}}));
  EXPECT_THAT(fault_of_mapfile("0 + 1\n0x0FFE00 513 -\n"), HasSubstr("line 2"));
  EXPECT_THAT(fault_of_mapfile("0 + 1\n0x100000 512 +\n"),
              HasSubstr("end of the volume at 0x100000"));
  EXPECT_THAT(fault_of_mapfile("0 + 1\n0xFFFFFFFFFFFFFFFF 1 -\n"), HasSubstr("past the end"));
  EXPECT_THAT(fault_of_mapfile("0 + 1\n1 0xFFFFFFFFFFFFFFFF -\n"), HasSubstr("past the end"));
  EXPECT_THAT(fault_of_mapfile("0 + 1\n99999999999999999999999 1 -\n"), HasSubstr("line 2"));
}

TEST(Mapfile, AnEndlessLineIsShownInPart) {
  EXPECT_LT(fault_of_mapfile("0 + 1\n0 512 " + std::string(100000, 'a')).size(), 160U);
}

TEST(Mapfile, FormattingCoversTheWholeVolume) {
  const std::vector<SectorRange> bad{{Sector(8), 1}, {Sector(16), 1}, {Sector(17), 1}};
  EXPECT_EQ(format_mapfile(bad, kMappedSectors),
            "# Mapfile. Created by dm-remap\n"
            "# current_pos  current_status  current_pass\n"
            "0x00100000     +               1\n"
            "#      pos        size  status\n"
            "0x00000000  0x00001000  +\n"
            "0x00001000  0x00000200  -\n"
            "0x00001200  0x00000E00  +\n"
            "0x00002000  0x00000400  -\n"
            "0x00002400  0x000FDC00  +\n");
}

TEST(Mapfile, WhatIsFormattedIsParsedToTheSame) {
  for (const MappedPairs& before : {MappedPairs{}, MappedPairs{{0, 1}}, MappedPairs{{0, 2048}},
                                    MappedPairs{{3, 4}, {2047, 1}}}) {
    std::vector<SectorRange> ranges;
    for (const auto& [begin, sectors] : before) ranges.push_back({Sector(begin), sectors});
    EXPECT_EQ(mapped_pairs(accepted_mapfile(format_mapfile(ranges, kMappedSectors)).bad), before);
  }
}

}  // namespace
}  // namespace dmr::cli

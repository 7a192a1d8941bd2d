// SPDX-License-Identifier: GPL-2.0-or-later
// What the index answers, case by case: cuts, joins, lost sectors, borders, iteration.
#include "core/index/index.h"

#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "core/testing/index_fixture.h"

namespace dmr {
namespace {

using testing::IndexFixture;
using testing::lost_in_place;
using testing::on_spare;

constexpr u64 kVolumeSectors = 3 * u64{kRegionBlocks} * 8 + 5;

class IndexTest : public ::testing::Test, public IndexFixture {
 protected:
  IndexTest() : IndexFixture(kVolumeSectors, 8) {}
  void set(u64 begin, u64 length, const Home& home) {
    ASSERT_EQ(index.set(Block(begin), length, home), Status::ok);
  }
  std::vector<dmr::Run> runs() {
    std::vector<dmr::Run> list;
    Index::Cursor cursor;
    dmr::Run run;
    while (index.next(cursor, run)) list.push_back(run);
    return list;
  }
  static Home lost_sectors(Member member, u64 spare, std::initializer_list<u32> sectors) {
    Home home{member, LostKind::some, SpareBlock(spare), {}};
    for (const u32 sector : sectors) home.mask.set(sector);
    return home;
  }
};

TEST_F(IndexTest, RoutesACleanVolumeToMain) {
  EXPECT_EQ(index.route(Sector(0), 1000), (Route{RouteKind::device, kMain, 1000, Sector(0)}));
  EXPECT_EQ(index.route(Sector(kVolumeSectors - 1), 1),
            (Route{RouteKind::device, kMain, 1, Sector(kVolumeSectors - 1)}));
  EXPECT_TRUE(runs().empty());
}

TEST_F(IndexTest, CutsWhereARunBeginsAndEnds) {
  set(10, 2, on_spare(1, 500));
  EXPECT_EQ(index.route(Sector(70), 100), (Route{RouteKind::device, kMain, 10, Sector(70)}));
  EXPECT_EQ(index.route(Sector(83), 90), (Route{RouteKind::device, 1, 13, Sector(4003)}));
  EXPECT_EQ(index.route(Sector(96), 90), (Route{RouteKind::device, kMain, 90, Sector(96)}));
  EXPECT_EQ(index.route(Sector(80), 16), (Route{RouteKind::device, 1, 16, Sector(4000)}));
}

TEST_F(IndexTest, NeverLetsAPieceLeaveItsRegion) {
  const u64 border = u64{kRegionBlocks} * 8;
  EXPECT_EQ(index.route(Sector(border - 3), 10),
            (Route{RouteKind::device, kMain, 3, Sector(border - 3)}));
  set(kRegionBlocks - 1, 2, on_spare(1, 500));
  EXPECT_EQ(index.route(Sector(border - 8), 16), (Route{RouteKind::device, 1, 8, Sector(4000)}));
  EXPECT_EQ(index.route(Sector(border), 8), (Route{RouteKind::device, 1, 8, Sector(4008)}));
  EXPECT_EQ(runs().size(), 1U);  // one run all the same
}

TEST_F(IndexTest, JoinsNeighboursWhoseHomesFollowEachOther) {
  set(10, 2, on_spare(1, 500));
  set(13, 2, on_spare(1, 503));
  EXPECT_EQ(index.counters().runs, 2U);
  set(12, 1, on_spare(1, 502));
  EXPECT_EQ(index.counters().runs, 1U);
  EXPECT_EQ(index.lookup(Block(14)), (dmr::Run{Block(10), 5, on_spare(1, 500)}));
  set(15, 1, on_spare(2, 505));  // another member
  EXPECT_EQ(index.counters().runs, 2U);
}

TEST_F(IndexTest, SplitsARunThatIsOverwrittenInTheMiddle) {
  set(10, 10, on_spare(1, 500));
  set(14, 2, Home{});
  ASSERT_EQ(runs().size(), 2U);
  EXPECT_EQ(runs()[0], (dmr::Run{Block(10), 4, on_spare(1, 500)}));
  EXPECT_EQ(runs()[1], (dmr::Run{Block(16), 4, on_spare(1, 506)}));
  EXPECT_EQ(index.lookup(Block(15)), (dmr::Run{Block(14), 2, Home{}}));
  EXPECT_EQ(index.counters().remapped_blocks, 8U);
}

TEST_F(IndexTest, LosesTheVerySectorsOfAMask) {
  set(10, 1, lost_sectors(1, 500, {2, 3, 7}));
  EXPECT_EQ(index.counters().lost_sectors, 3U);
  EXPECT_EQ(index.route(Sector(80), 8), (Route{RouteKind::device, 1, 2, Sector(4000)}));
  EXPECT_EQ(index.route(Sector(82), 6), (Route{RouteKind::lost, kMain, 2, Sector(82)}));
  EXPECT_EQ(index.route(Sector(84), 4), (Route{RouteKind::device, 1, 3, Sector(4004)}));
  EXPECT_EQ(index.route(Sector(87), 1), (Route{RouteKind::lost, kMain, 1, Sector(87)}));
}

TEST_F(IndexTest, JoinsLostSectorsOfNeighbouringBlocks) {
  set(10, 1, lost_sectors(1, 500, {6, 7}));
  set(11, 3, lost_in_place());
  set(14, 1, lost_sectors(2, 40, {0}));
  EXPECT_EQ(index.route(Sector(86), 200), (Route{RouteKind::lost, kMain, 27, Sector(86)}));
  EXPECT_EQ(index.counters().lost_sectors, 2U + 24 + 1);
  EXPECT_EQ(index.counters().remapped_blocks, 2U);
}

// What is valid of a block that was lost in place is on main, as its neighbours are.
TEST_F(IndexTest, JoinsMainWithTheValidSectorsOfABlockLostInPlace) {
  set(10, 1, lost_sectors(kMain, 0, {7}));
  EXPECT_EQ(index.route(Sector(70), 30), (Route{RouteKind::device, kMain, 17, Sector(70)}));
  EXPECT_EQ(index.route(Sector(88), 9), (Route{RouteKind::device, kMain, 9, Sector(88)}));
}

TEST_F(IndexTest, TakesAnEmptyMaskForNoneAndAFullOneForAll) {
  set(10, 1, lost_sectors(1, 500, {}));
  EXPECT_EQ(index.lookup(Block(10)).home, on_spare(1, 500));
  set(11, 1, lost_sectors(kMain, 0, {0, 1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(index.lookup(Block(11)).home, lost_in_place());
  set(12, 1, lost_sectors(kMain, 0, {}));
  EXPECT_EQ(index.counters().runs, 2U);
}

TEST_F(IndexTest, KnowsThatTheLastBlockIsShort) {
  const u64 last = geometry.blocks() - 1;
  ASSERT_EQ(geometry.sectors_in(Block(last)), 5U);
  set(last, 1, lost_sectors(kMain, 0, {0, 1, 2, 3, 4}));
  EXPECT_EQ(index.lookup(Block(last)).home, lost_in_place());
  EXPECT_EQ(index.counters().lost_sectors, 5U);
  EXPECT_EQ(index.route(Sector(last * 8), 5), (Route{RouteKind::lost, kMain, 5, Sector(last * 8)}));
  set(0, geometry.blocks(), lost_in_place());
  EXPECT_EQ(index.counters().lost_sectors, kVolumeSectors);
}

TEST_F(IndexTest, IteratesOverARunOfManyRegionsAsOne) {
  set(100, 2 * kRegionBlocks, on_spare(3, 7000));
  ASSERT_EQ(runs().size(), 1U);
  EXPECT_EQ(runs()[0], (dmr::Run{Block(100), 2 * kRegionBlocks, on_spare(3, 7000)}));
  set(kRegionBlocks + 50, 1, lost_in_place());
  EXPECT_EQ(runs().size(), 3U);
}

TEST_F(IndexTest, BeginsAnIterationInTheMiddleOfARun) {
  set(100, 50, on_spare(3, 7000));
  Index::Cursor cursor{Block(120)};
  dmr::Run run;
  ASSERT_TRUE(index.next(cursor, run));
  EXPECT_EQ(run, (dmr::Run{Block(120), 30, on_spare(3, 7020)}));
  EXPECT_FALSE(index.next(cursor, run));
}

TEST_F(IndexTest, GoesOnIteratingOverWhatHasChangedBehindTheCursor) {
  for (u64 block = 0; block < 1000; block += 10) set(block, 3, on_spare(1, 5 * block));
  Index::Cursor cursor;
  dmr::Run run;
  std::vector<u64> seen;
  while (index.next(cursor, run)) {
    seen.push_back(run.begin.value);
    // Before the cursor, and the next but one behind it.
    set(run.begin.value, 1, Home{});
    if (run.begin.value % 40 == 0) set(run.begin.value + 20, 3, Home{});
    host.end_grace();
  }
  std::vector<u64> expected;
  for (u64 block = 0; block < 1000; block += 10) {
    if (block % 40 != 20) expected.push_back(block);
  }
  EXPECT_EQ(seen, expected);
}

TEST_F(IndexTest, AnswersABatchAsItAnswersEachAlone) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 2000; ++i) {
    const u64 block = random() % (i < 1000 ? 2000 : geometry.blocks());
    set(block, 1, i % 7 == 0 ? lost_in_place() : on_spare(1, random() % 100'000));
    host.end_grace();
  }
  const HoldId id = index.hold(Block(300), 100).value();
  std::vector<Extent> in(kRouteBatch);
  std::vector<Route> out(kRouteBatch);
  for (int round = 0; round < 500; ++round) {
    const std::size_t count = random() % (kRouteBatch + 1);
    for (Extent& extent : in) {
      extent.sector = Sector(random() % (round % 2 == 0 ? 16'000 : kVolumeSectors - 64));
      extent.sectors = static_cast<u32>(1 + random() % 64);
    }
    index.route_batch(std::span(in).first(count), out);
    for (std::size_t i = 0; i < count; ++i) {
      ASSERT_EQ(out[i], index.route(in[i].sector, in[i].sectors));
    }
  }
  index.release(id);
}

using IndexDeathTest = IndexTest;

TEST_F(IndexDeathTest, StopsAtAnAddressOutsideTheVolume) {
  EXPECT_DEATH((void)index.route(Sector(u64{kRegionBlocks} * 8 * 4), 1), "assertion failed");
  EXPECT_DEATH((void)index.set(Block(geometry.blocks()), 1, Home{}), "assertion failed");
  EXPECT_DEATH((void)index.set(Block(1), geometry.blocks(), Home{}), "assertion failed");
  EXPECT_DEATH((void)index.lookup(Block(geometry.blocks())), "assertion failed");
}

TEST_F(IndexDeathTest, StopsAtAMaskForSeveralBlocks) {
  EXPECT_DEATH((void)index.set(Block(1), 2, lost_sectors(1, 1, {0})), "assertion failed");
}

}  // namespace
}  // namespace dmr

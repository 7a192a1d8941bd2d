// SPDX-License-Identifier: GPL-2.0-or-later
// What a scrub finds, what it does about it, and that it blames no place for a device.
#include "core/testing/scrub_fixture.h"

namespace dmr::testing {
namespace {

TEST(ScrubberPlaces, FindsEachUnreadableSectorOfOneReadAndSavesTheirNeighbours) {
  ScrubFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  ASSERT_EQ(f.write(4992, kPiece, 7).status, Status::ok);
  for (const u64 bad : {5000U, 5001U, 5030U, 5119U}) f.disks[0].bad_read.insert(bad);
  f.run_pass();
  const VolumeStats stats = f.volume->stats();
  EXPECT_EQ(stats.lost_sectors, 4U);
  EXPECT_EQ(stats.remapped_blocks, 3U);
  EXPECT_EQ(stats.scrub.failed_reads, 3U);
  EXPECT_EQ(stats.scrub.unreadable_blocks, 3U);
  EXPECT_EQ(stats.scrub.read_sectors, kMainSectors);
  f.disks[0].gone = IoStatus::offline;  // what is read now comes from the spare
  EXPECT_EQ(f.read(5002, 6).data, std::vector<std::byte>(6 * kSectorBytes, std::byte{7}));
  EXPECT_EQ(f.read(5000, 1).status, Status::io_error);
  f.disks[0].gone.reset();
}

TEST(ScrubberPlaces, ItsReadsAreNotCountedAsUsers) {
  ScrubFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  f.disks[0].bad_read.insert(5000);
  f.disks[0].transient_reads[9000] = 2;
  f.run_pass();
  EXPECT_EQ(f.volume->stats().failed_reads, 0U);
  EXPECT_EQ(f.volume->stats().recovered_reads, 0U);
  EXPECT_EQ(f.volume->stats().held_requests, 0U);
}

TEST(ScrubberPlaces, ABlockThatComesOnlyAfterRetriesIsMovedAway) {
  ScrubFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  ASSERT_EQ(f.write(9000, 8, 3).status, Status::ok);
  f.disks[0].transient_reads[9003] = 4;  // its piece, its block, that again, its sector
  f.run_pass();
  EXPECT_EQ(f.volume->stats().relocated_blocks, 1U);
  EXPECT_EQ(f.volume->stats().lost_sectors, 0U);
  EXPECT_EQ(f.scrub().unreadable_blocks, 0U);
  EXPECT_EQ(f.volume->route(Sector(9000), 8, false).member, 1U);
}

TEST(ScrubberPlaces, ABlockBehindABadOneIsNotCalledWeak) {
  ScrubFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  f.disks[0].bad_read.insert(kMainSectors - 9);  // of the last block but one
  f.run_pass();
  EXPECT_EQ(f.count(EventKind::weak), 0U);
  EXPECT_EQ(f.volume->stats().relocated_blocks, 0U);
  EXPECT_EQ(f.volume->stats().remapped_blocks, 1U);
}

TEST(ScrubberPlaces, ReadsMovedBlocksWhereTheyLive) {
  ScrubFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  const SectorRange range{Sector(800), 8};
  ASSERT_EQ(f.run_command(CommandKind::mark, {&range, 1}).blocks_changed, 1U);
  const Route home = f.volume->route(Sector(800), 8, false);
  ASSERT_EQ(home.member, 1U);
  f.disks[1].bad_read.insert(home.sector.value + 2);
  f.disks[0].bad_read.insert(801);  // nothing of main is read there any more
  f.run_pass();
  EXPECT_EQ(f.volume->stats().lost_sectors, 1U);
  EXPECT_EQ(f.read(802, 1).status, Status::io_error);
  EXPECT_EQ(f.read(801, 1).status, Status::ok);
}

TEST(ScrubberPlaces, PassesOverWhatIsKnownAsLost) {
  ScrubFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  for (u64 s = 2048; s < 2056; ++s) f.disks[0].bad_read.insert(s);
  f.run_pass();
  ASSERT_EQ(f.volume->stats().lost_sectors, 8U);
  const u64 before = f.volume->stats().member[kMain].errors[0][1];
  f.run_pass();
  EXPECT_EQ(f.volume->stats().member[kMain].errors[0][1], before);
  EXPECT_EQ(f.scrub().skipped_sectors, 8U);
  EXPECT_EQ(f.scrub().read_sectors, kMainSectors - 8);
  EXPECT_EQ(f.scrub().passes, 2U);
}

TEST(ScrubberPlaces, ADeviceThatIsGonePausesItAndMarksNothing) {
  ScrubFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  f.before_io = [&](const DeviceIo& io) {
    if (io.sector == Sector(6 * kPiece)) f.disks[0].gone = IoStatus::offline;
  };
  const u64 began = f.now;
  f.run_pass();
  EXPECT_EQ(f.scrub().state, ScrubState::paused);
  EXPECT_EQ(f.scrub().position, Sector(6 * kPiece));
  EXPECT_GE(f.now - began, f.config.breaker_rest_ns);  // two tries
  EXPECT_EQ(f.count(EventKind::scrub_paused), 1U);
  EXPECT_EQ(f.volume->stats().lost_sectors, 0U);
  f.before_io = nullptr;
  f.disks[0].gone.reset();
  f.run_pass();
  EXPECT_EQ(f.scrub().passes, 1U);
  EXPECT_EQ(f.scrub().read_sectors, kMainSectors);
}

TEST(ScrubberPlaces, ADeviceThatFailsEverywhereWithoutSayingWhyPausesItToo) {
  ScrubFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  f.disks[0].gone = IoStatus::unspecified;
  f.run_pass();
  EXPECT_EQ(f.scrub().state, ScrubState::paused);
  EXPECT_EQ(f.scrub().unreadable_blocks, 0U);
  EXPECT_EQ(f.volume->stats().lost_sectors, 0U);
  f.disks[0].gone.reset();
}

TEST(ScrubberPlaces, AReadOnlyVolumeIsLookedAtAndNothingIsWritten) {
  ScrubFixture f;
  ASSERT_EQ(f.open(true), Status::ok);
  f.disks[0].bad_read.insert(5000);
  const u64 writes = f.disks[0].writes + f.disks[1].writes;
  f.run_pass();
  EXPECT_EQ(f.scrub().unreadable_blocks, 1U);
  EXPECT_EQ(f.scrub().passes, 1U);
  EXPECT_EQ(f.disks[0].writes + f.disks[1].writes, writes);
}

TEST(ScrubberPlaces, APlaceThatTimesOutIsPassedOverAndMarksNothing) {
  ScrubFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  f.disks[0].status = IoStatus::timeout;
  f.disks[0].bad_read.insert(5000);
  f.run_pass();
  EXPECT_EQ(f.scrub().state, ScrubState::idle);
  EXPECT_EQ(f.scrub().passes, 1U);
  EXPECT_EQ(f.scrub().failed_reads, 1U);
  EXPECT_EQ(f.scrub().unreadable_blocks, 1U);
  EXPECT_EQ(f.scrub().read_sectors, kMainSectors);
  EXPECT_EQ(f.count(EventKind::device_error), 1U);
  EXPECT_EQ(f.count(EventKind::scrub_paused), 0U);
  EXPECT_EQ(f.volume->stats().lost_sectors, 0U);
  EXPECT_EQ(f.volume->stats().remapped_blocks, 0U);
}

TEST(ScrubberPlaces, TwoPlacesThatTimeOutOnceEachAreNotHeldAgainstEachOther) {
  ScrubFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  f.disks[0].status = IoStatus::timeout;
  f.disks[0].transient_reads[5000] = 2;  // its piece, its block
  f.disks[0].transient_reads[9000] = 2;
  f.run_pass();
  EXPECT_EQ(f.scrub().passes, 1U);
  EXPECT_EQ(f.scrub().unreadable_blocks, 0U);
}

TEST(ScrubberPlaces, ARegionThatTimesOutCostsOneRestAndPausesThePassInTheEnd) {
  ScrubFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  f.disks[0].status = IoStatus::timeout;
  for (u64 s = 4096; s < 4096 + 100 * 8; ++s) f.disks[0].bad_read.insert(s);
  const u64 began = f.now;
  f.run_pass();
  EXPECT_EQ(f.scrub().state, ScrubState::paused);
  EXPECT_EQ(f.scrub().unreadable_blocks, 64U);
  EXPECT_EQ(f.scrub().position, Sector(4096 + 64 * 8));
  EXPECT_LT(f.now - began, 2 * f.config.breaker_rest_ns);
  f.run_pass();
  EXPECT_EQ(f.scrub().passes, 1U);
  EXPECT_EQ(f.scrub().unreadable_blocks, 100U);
  EXPECT_EQ(f.volume->stats().lost_sectors, 0U);
}

TEST(ScrubberPlaces, ASpareThatIsGoneIsPassedOver) {
  ScrubFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  const SectorRange ranges[] = {{Sector(800), 8}, {Sector(8000), 8}, {Sector(9000), 80}};
  ASSERT_EQ(f.run_command(CommandKind::mark, ranges).blocks_changed, 12U);
  f.disks[1].gone = IoStatus::offline;
  const u64 began = f.now;
  f.run_pass();
  EXPECT_EQ(f.scrub().passes, 1U);
  EXPECT_EQ(f.scrub().skipped_sectors, 96U);
  EXPECT_EQ(f.scrub().read_sectors, kMainSectors - 96);
  EXPECT_LT(f.now - began, 2 * f.config.breaker_rest_ns);  // once for all of it
  EXPECT_EQ(f.volume->stats().lost_sectors, 0U);
  f.disks[1].gone.reset();
}

// Three sectors in its last block.
struct PartialBlock : ScrubFixture {
  static constexpr u64 kSectors = kMainSectors + 3;
  PartialBlock() : ScrubFixture(1, kSectors) {}
};

TEST(ScrubberPlaces, APartialLastBlockIsReadToItsEnd) {
  PartialBlock f;
  ASSERT_EQ(f.open(), Status::ok);
  std::vector<u32> seen(PartialBlock::kSectors);
  f.before_io = [&](const DeviceIo& io) {
    for (u32 i = 0; i < io.sectors; ++i) ++seen[io.sector.value + i];
  };
  f.run_pass();
  f.before_io = nullptr;
  EXPECT_EQ(std::count(seen.begin(), seen.end(), 1U), i64{PartialBlock::kSectors});
  EXPECT_EQ(f.scrub().position, Sector(PartialBlock::kSectors));
  EXPECT_EQ(f.scrub().read_sectors, PartialBlock::kSectors);
  f.run_pass(Sector(PartialBlock::kSectors - 1));
  EXPECT_EQ(f.scrub().read_sectors, 3U);
  EXPECT_EQ(f.scrub().passes, 2U);
}

TEST(ScrubberPlaces, ABadSectorOfAPartialLastBlockIsFoundAndTheOthersAreSaved) {
  PartialBlock f;
  ASSERT_EQ(f.open(), Status::ok);
  ASSERT_EQ(f.write(kMainSectors - 8, 11, 7).status, Status::ok);
  f.disks[0].bad_read.insert(kMainSectors + 1);
  f.run_pass();
  EXPECT_EQ(f.volume->stats().lost_sectors, 1U);
  EXPECT_EQ(f.volume->stats().remapped_blocks, 1U);
  EXPECT_EQ(f.scrub().failed_reads, 1U);
  EXPECT_EQ(f.scrub().read_sectors, PartialBlock::kSectors);
  f.run_pass();
  EXPECT_EQ(f.scrub().skipped_sectors, 1U);
  EXPECT_EQ(f.scrub().read_sectors, PartialBlock::kSectors - 1);
  EXPECT_EQ(f.scrub().failed_reads, 0U);
  const Route home = f.volume->route(Sector(kMainSectors + 2), 1, false);
  ASSERT_EQ(home.member, 1U);
  f.disks[1].bad_read.insert(home.sector.value);
  f.run_pass();
  EXPECT_EQ(f.volume->stats().lost_sectors, 2U);
  f.disks[0].gone = IoStatus::offline;
  EXPECT_EQ(f.read(kMainSectors, 1).data, std::vector<std::byte>(kSectorBytes, std::byte{7}));
  for (const u64 lost : {1U, 2U})
    EXPECT_EQ(f.read(kMainSectors + lost, 1).status, Status::io_error);
  f.disks[0].gone.reset();
}

TEST(ScrubberPlaces, APartialLastBlockThatIsLostIsPassedOver) {
  PartialBlock f;
  ASSERT_EQ(f.open(), Status::ok);
  for (u64 s = kMainSectors; s < PartialBlock::kSectors; ++s) f.disks[0].bad_read.insert(s);
  f.run_pass();
  EXPECT_EQ(f.volume->stats().lost_sectors, 3U);
  EXPECT_EQ(f.scrub().unreadable_blocks, 1U);
  f.run_pass();
  EXPECT_EQ(f.scrub().skipped_sectors, 3U);
  EXPECT_EQ(f.scrub().read_sectors, kMainSectors);
  EXPECT_EQ(f.scrub().position, Sector(PartialBlock::kSectors));
}

TEST(ScrubberPlaces, APartialLastBlockMayBeWeakOrTimeOutLikeAnyOther) {
  for (const IoStatus status : {IoStatus::medium, IoStatus::timeout}) {
    PartialBlock f;
    ASSERT_EQ(f.open(), Status::ok);
    const bool is_weak = status == IoStatus::medium;
    f.disks[0].status = status;
    if (is_weak) f.disks[0].transient_reads[kMainSectors + 2] = 2;  // its piece, its block
    if (!is_weak) f.disks[0].bad_read.insert(kMainSectors + 2);
    f.run_pass();
    EXPECT_EQ(f.scrub().passes, 1U);
    EXPECT_EQ(f.scrub().failed_reads, 1U);
    EXPECT_EQ(f.scrub().read_sectors, PartialBlock::kSectors);
    EXPECT_EQ(f.volume->stats().lost_sectors, 0U);
    EXPECT_EQ(f.volume->stats().relocated_blocks, is_weak ? 1U : 0U);
  }
}

TEST(ScrubberPlaces, WhatLivesOnAMissingSpareIsPassedOverAndTheRestIsRead) {
  for (const Member away : {Member{1}, Member{2}}) {
    ScrubFixture f(2);
    ASSERT_EQ(f.open(), Status::ok);
    for (const u64 bad : {800U, 801U, 9001U}) f.disks[0].bad_read.insert(bad);
    f.run_pass();
    const SectorRange ranges[] = {{Sector(2000), 80}, {Sector(7000), 8}};
    ASSERT_EQ(f.run_command(CommandKind::mark, ranges).status, Status::ok);
    ASSERT_EQ(f.close(), Status::ok);
    f.missing = {away};
    ASSERT_EQ(f.open(), Status::ok);
    u64 readable = 0;
    for (u64 s = 0; s < kMainSectors; ++s) {
      const Route home = f.volume->route(Sector(s), 1, false);
      readable += home.kind == RouteKind::device && home.member != away ? 1U : 0U;
    }
    f.before_io = [&](const DeviceIo& io) { EXPECT_NE(io.member, away); };
    f.run_pass();
    f.before_io = nullptr;
    EXPECT_EQ(f.scrub().passes, 1U);
    EXPECT_EQ(f.scrub().read_sectors, readable);
    EXPECT_EQ(f.scrub().skipped_sectors, kMainSectors - readable);
    EXPECT_EQ(f.scrub().failed_reads, 0U);
    EXPECT_EQ(f.volume->stats().lost_sectors, 3U);
  }
}

TEST(ScrubberPlaces, AMissingMainPausesItAndMarksNothing) {
  ScrubFixture f;
  f.missing = {kMain};
  ASSERT_EQ(f.open(), Status::ok);
  f.run_pass();
  EXPECT_EQ(f.scrub().state, ScrubState::paused);
  EXPECT_EQ(f.scrub().position, Sector(0));
  EXPECT_EQ(f.scrub().unreadable_blocks, 0U);
  EXPECT_EQ(f.count(EventKind::scrub_paused), 1U);
  EXPECT_EQ(f.volume->stats().lost_sectors, 0U);
}

TEST(ScrubberPlaces, NobodyWaitsForTheSalvageOfANeighbour) {
  ScrubFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  f.disks[0].bad_read.insert(5000);
  u32 looks = 0;
  f.before_io = [&](const DeviceIo& io) {
    if (io.sector != Sector(5000) || io.sectors != 1) return;
    ++looks;
    EXPECT_EQ(f.volume->route(Sector(5000), 8, false).kind, RouteKind::held);
    EXPECT_EQ(f.volume->route(Sector(5008), 8, false).kind, RouteKind::device);
    EXPECT_EQ(f.volume->route(Sector(4992), 8, false).kind, RouteKind::device);
  };
  f.run_pass();
  f.before_io = nullptr;
  EXPECT_GT(looks, 0U);
}

TEST(ScrubberPlaces, LooksAtWhatIsLeftOfABlockWithLostSectors) {
  ScrubFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  f.disks[0].bad_read.insert(5003);
  f.run_pass();
  ASSERT_EQ(f.volume->stats().lost_sectors, 1U);
  const Route home = f.volume->route(Sector(5000), 3, false);
  ASSERT_EQ(home.member, 1U);
  f.disks[1].bad_read.insert(home.sector.value + 6);
  f.run_pass();
  EXPECT_EQ(f.volume->stats().lost_sectors, 2U);
  EXPECT_EQ(f.read(5006, 1).status, Status::io_error);
  EXPECT_EQ(f.read(5007, 1).status, Status::ok);
  EXPECT_EQ(f.scrub().skipped_sectors, 1U);
  EXPECT_EQ(f.scrub().read_sectors, kMainSectors - 1);
}

// What the read itself met counts for the block: an error of the medium, and none without a name.
TEST(ScrubberPlaces, AnErrorOfTheMediumMakesABlockWeakAndAnUnnamedOneDoesNot) {
  for (const IoStatus status : {IoStatus::medium, IoStatus::unspecified}) {
    ScrubFixture f;
    ASSERT_EQ(f.open(), Status::ok);
    f.disks[0].status = status;
    f.disks[0].transient_reads[9003] = 2;  // its piece, its block
    f.run_pass();
    EXPECT_EQ(f.volume->stats().relocated_blocks, status == IoStatus::medium ? 1U : 0U);
    EXPECT_EQ(f.scrub().failed_reads, 1U);
  }
}

TEST(ScrubberPlaces, AnErrorWhereTheBlockNoLongerLivesSaysNothingOfIt) {
  ScrubFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  const SectorRange range{Sector(800), 8};
  ASSERT_EQ(f.run_command(CommandKind::mark, {&range, 1}).blocks_changed, 1U);
  f.holds_back = [](const DeviceIo& io) { return io.op == IoOp::read && io.member == 1; };
  ASSERT_EQ(f.volume->scrub(ScrubAction::start), Status::ok);
  f.pump();
  ASSERT_NE(f.held_back, nullptr);
  f.holds_back = nullptr;
  ASSERT_EQ(f.run_command(CommandKind::forget, {&range, 1}).blocks_changed, 1U);
  f.disks[1].bad_read.insert(f.held_back->sector.value);
  f.let_go();
  f.run_pass();
  EXPECT_EQ(f.count(EventKind::weak), 0U);
  EXPECT_EQ(f.scrub().read_sectors, kMainSectors);
  EXPECT_EQ(f.volume->route(Sector(800), 8, false).member, kMain);
}

}  // namespace
}  // namespace dmr::testing

// SPDX-License-Identifier: GPL-2.0-or-later
// A scrub finds what users have not met yet, leaves the disk to them, and blames no place for a
// device that is gone.
#include <algorithm>

#include <gtest/gtest.h>

#include "core/testing/volume_fixture.h"

namespace dmr::testing {
namespace {

constexpr u64 kMainSectors = 16384;
constexpr u64 kPiece = 128;

struct ScrubFixture : VolumeFixture {
  explicit ScrubFixture(u32 spares = 1) : VolumeFixture(kMainSectors, 16384, spares) {}

  [[nodiscard]] ScrubStats scrub() const { return volume->stats().scrub; }
  [[nodiscard]] bool runs() const { return scrub().state == ScrubState::running; }

  // To the time of the timer that the engine has asked for, if it has.
  void next_timer() {
    ASSERT_FALSE(deadlines.empty());
    now = std::max(now, *std::min_element(deadlines.begin(), deadlines.end()));
    deadlines.clear();
    volume->on_timer();
    pump();
  }
  // Until the pass has ended or is paused; every rest is slept through.
  void run_pass(Sector from = Sector(0)) {
    ASSERT_EQ(volume->scrub(ScrubAction::start, from), Status::ok);
    pump();
    for (u32 i = 0; i < 10'000 && runs(); ++i) next_timer();
    ASSERT_FALSE(runs());
  }
};

TEST(Scrubber, APassReadsEachSectorOnce) {
  ScrubFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  std::vector<u32> seen(kMainSectors);
  f.before_io = [&](const DeviceIo& io) {
    ASSERT_EQ(io.op, IoOp::read);
    ASSERT_EQ(io.member, kMain);
    for (u32 i = 0; i < io.sectors; ++i) ++seen[io.sector.value + i];
  };
  f.run_pass();
  f.before_io = nullptr;
  EXPECT_EQ(std::count(seen.begin(), seen.end(), 1U), i64{kMainSectors});
  EXPECT_EQ(f.scrub().state, ScrubState::idle);
  EXPECT_EQ(f.scrub().passes, 1U);
  EXPECT_EQ(f.scrub().read_sectors, kMainSectors);
  EXPECT_EQ(f.scrub().failed_reads, 0U);
  EXPECT_EQ(f.count(EventKind::scrub_ended), 1U);
  EXPECT_EQ(f.volume->stats().remapped_blocks, 0U);
}

TEST(Scrubber, FindsEachUnreadableSectorOfOneReadAndSavesTheirNeighbours) {
  ScrubFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  ASSERT_EQ(f.write(4992, kPiece, 7).status, Status::ok);
  for (const u64 bad : {5000U, 5001U, 5030U, 5119U}) f.disks[0].bad_read.insert(bad);
  f.run_pass();
  const VolumeStats stats = f.volume->stats();
  EXPECT_EQ(stats.lost_sectors, 4U);
  EXPECT_EQ(stats.remapped_blocks, 3U);
  EXPECT_EQ(stats.scrub.failed_reads, 3U);  // what follows a bad block is read anew
  EXPECT_EQ(stats.scrub.unreadable_blocks, 3U);
  EXPECT_EQ(stats.scrub.read_sectors, kMainSectors);
  f.disks[0].gone = IoStatus::offline;  // what is read now comes from the spare
  EXPECT_EQ(f.read(5002, 6).data, std::vector<std::byte>(6 * kSectorBytes, std::byte{7}));
  EXPECT_EQ(f.read(5000, 1).status, Status::io_error);
  f.disks[0].gone.reset();
}

TEST(Scrubber, ItsReadsAreNotCountedAsUsers) {
  ScrubFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  f.disks[0].bad_read.insert(5000);
  f.disks[0].transient_reads[9000] = 2;
  f.run_pass();
  EXPECT_EQ(f.volume->stats().failed_reads, 0U);
  EXPECT_EQ(f.volume->stats().recovered_reads, 0U);
  EXPECT_EQ(f.volume->stats().held_requests, 0U);
}

TEST(Scrubber, ABlockThatComesOnlyAfterRetriesIsMovedAway) {
  ScrubFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  ASSERT_EQ(f.write(9000, 8, 3).status, Status::ok);
  f.disks[0].transient_reads[9003] = 4;  // the read itself, its piece, its block, its sector
  f.run_pass();
  EXPECT_EQ(f.volume->stats().relocated_blocks, 1U);
  EXPECT_EQ(f.volume->stats().lost_sectors, 0U);
  EXPECT_EQ(f.scrub().unreadable_blocks, 0U);
  EXPECT_EQ(f.volume->route(Sector(9000), 8, false).member, 1U);
}

TEST(Scrubber, ABlockBehindABadOneIsNotCalledWeak) {
  ScrubFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  f.disks[0].bad_read.insert(kMainSectors - 9);  // of the last block but one
  f.run_pass();
  EXPECT_EQ(f.count(EventKind::weak), 0U);
  EXPECT_EQ(f.volume->stats().relocated_blocks, 0U);
  EXPECT_EQ(f.volume->stats().remapped_blocks, 1U);
}

TEST(Scrubber, ReadsMovedBlocksWhereTheyLive) {
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

TEST(Scrubber, PassesOverWhatIsKnownAsLost) {
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

TEST(Scrubber, PausedItReadsNothingAndGoesOnWhereItWas) {
  ScrubFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  ASSERT_EQ(f.volume->scrub(ScrubAction::start), Status::ok);
  f.pump();
  ASSERT_EQ(f.volume->scrub(ScrubAction::pause), Status::ok);
  const u64 position = f.scrub().position.value;
  const u64 reads = f.disks[0].reads;
  EXPECT_EQ(position, 16 * kPiece);  // one burst
  f.next_timer();
  EXPECT_EQ(f.disks[0].reads, reads);
  f.run_pass();
  EXPECT_EQ(f.disks[0].reads, kMainSectors / kPiece);
  EXPECT_EQ(f.scrub().passes, 1U);
}

TEST(Scrubber, StoppedInTheMiddleOfAReadItDoesNotMoveTheNextPass) {
  ScrubFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  bool once = true;
  f.before_io = [&](const DeviceIo& io) {
    if (!once || io.sector != Sector(4 * kPiece)) return;
    once = false;
    EXPECT_EQ(f.volume->scrub(ScrubAction::stop), Status::ok);
    EXPECT_EQ(f.volume->scrub(ScrubAction::start, Sector(8192)), Status::ok);
  };
  f.run_pass();
  f.before_io = nullptr;
  EXPECT_FALSE(once);
  EXPECT_EQ(f.scrub().read_sectors, kMainSectors - 8192);
  EXPECT_EQ(f.scrub().passes, 1U);
}

TEST(Scrubber, ADeviceThatIsGonePausesItAndMarksNothing) {
  ScrubFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  f.before_io = [&](const DeviceIo& io) {
    if (io.sector == Sector(6 * kPiece)) f.disks[0].gone = IoStatus::offline;
  };
  const u64 began = f.now;
  f.run_pass();
  EXPECT_EQ(f.scrub().state, ScrubState::paused);
  EXPECT_EQ(f.scrub().position, Sector(6 * kPiece));
  EXPECT_GE(f.now - began, 2 * f.config.breaker_rest_ns);  // three tries
  EXPECT_EQ(f.count(EventKind::scrub_paused), 1U);
  EXPECT_EQ(f.volume->stats().lost_sectors, 0U);
  f.before_io = nullptr;
  f.disks[0].gone.reset();
  f.run_pass();
  EXPECT_EQ(f.scrub().passes, 1U);
  EXPECT_EQ(f.scrub().read_sectors, kMainSectors);
}

TEST(Scrubber, ADeviceThatFailsEverywhereWithoutSayingWhyPausesItToo) {
  ScrubFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  f.disks[0].gone = IoStatus::unspecified;
  f.run_pass();
  EXPECT_EQ(f.scrub().state, ScrubState::paused);
  EXPECT_EQ(f.scrub().unreadable_blocks, 0U);
  EXPECT_EQ(f.volume->stats().lost_sectors, 0U);
  f.disks[0].gone.reset();
}

TEST(Scrubber, KeepsToItsRate) {
  ScrubFixture f;
  f.config.scrub_kib_per_s = 1024;
  ASSERT_EQ(f.open(), Status::ok);
  const u64 began = f.now;
  f.run_pass();
  EXPECT_GE(f.now - began, 7 * kSecond);  // 8 MiB, the last burst without its rest
  EXPECT_LE(f.now - began, 9 * kSecond);
}

TEST(Scrubber, RestsAsLongAsABusyDiskTook) {
  ScrubFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  constexpr u64 kSlow = 50 * kMillisecond;
  f.before_io = [&](const DeviceIo&) { f.now += kSlow; };
  const u64 began = f.now;
  f.run_pass();
  f.before_io = nullptr;
  const u64 reads = kMainSectors / kPiece;
  EXPECT_GE(f.now - began, (2 * reads - 16) * kSlow);
  EXPECT_LE(f.now - began, (2 * reads + 16) * kSlow);
}

TEST(Scrubber, ClosingEndsItInTheMiddleOfASalvage) {
  ScrubFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  f.disks[0].bad_read.insert(5000);
  Volume::Close closing;
  closing.done = [](Volume::Close& close) { *static_cast<bool*>(close.context) = true; };
  bool closed = false;
  bool once = true;
  closing.context = &closed;
  f.before_io = [&](const DeviceIo& io) {
    if (!once || io.sector != Sector(5000)) return;
    once = false;
    f.volume->close(closing);
  };
  ASSERT_EQ(f.volume->scrub(ScrubAction::start), Status::ok);
  f.pump();
  for (u32 i = 0; i < 100 && !closed; ++i) f.next_timer();
  EXPECT_TRUE(closed);
  EXPECT_EQ(closing.status, Status::ok);
  f.before_io = nullptr;
  f.volume.reset();
  ASSERT_EQ(f.open(), Status::ok);
  EXPECT_EQ(f.scrub().state, ScrubState::idle);
}

TEST(Scrubber, ClosingEndsItsRest) {
  ScrubFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  ASSERT_EQ(f.volume->scrub(ScrubAction::start), Status::ok);
  f.pump();
  ASSERT_TRUE(f.runs());
  EXPECT_EQ(f.close(), Status::ok);  // without a timer
}

TEST(Scrubber, WhatAClosingHasEndedGoesOnAfterTheNextOpening) {
  ScrubFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  f.disks[0].bad_read.insert(1000);
  ASSERT_EQ(f.volume->scrub(ScrubAction::start), Status::ok);
  f.pump();
  ASSERT_EQ(f.scrub().position, Sector(16 * kPiece));
  const ScrubStats kept = f.scrub();
  ASSERT_EQ(f.close(), Status::ok);
  ASSERT_EQ(f.open(), Status::ok);
  ASSERT_EQ(f.volume->restore_scrub(kept), Status::ok);
  f.run_pass();
  EXPECT_EQ(f.scrub().passes, 1U);
  EXPECT_EQ(f.scrub().read_sectors, kMainSectors);
  EXPECT_EQ(f.scrub().failed_reads, 1U);
  EXPECT_EQ(f.scrub().unreadable_blocks, 1U);
}

TEST(Scrubber, APassThatHadOnlyToEndEndsWhenItIsRestored) {
  ScrubFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  const ScrubStats kept{.state = ScrubState::running, .position = Sector(kMainSectors)};
  ASSERT_EQ(f.volume->restore_scrub(kept), Status::ok);
  f.pump();
  EXPECT_EQ(f.scrub().state, ScrubState::idle);
  EXPECT_EQ(f.scrub().passes, 1U);
  EXPECT_EQ(f.disks[0].reads, 0U);
  EXPECT_EQ(f.volume->restore_scrub({.position = Sector(kMainSectors + 1)}), Status::invalid);
}

TEST(Scrubber, AReadOnlyVolumeIsLookedAtAndNothingIsWritten) {
  ScrubFixture f;
  ASSERT_EQ(f.open(true), Status::ok);
  f.disks[0].bad_read.insert(5000);
  const u64 writes = f.disks[0].writes + f.disks[1].writes;
  f.run_pass();
  EXPECT_EQ(f.scrub().unreadable_blocks, 1U);
  EXPECT_EQ(f.scrub().passes, 1U);
  EXPECT_EQ(f.disks[0].writes + f.disks[1].writes, writes);
}

TEST(Scrubber, RefusesOrdersThatMeanNothing) {
  ScrubFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  EXPECT_EQ(f.volume->scrub(ScrubAction::pause), Status::invalid);
  EXPECT_EQ(f.volume->scrub(ScrubAction::start, Sector(kMainSectors)), Status::invalid);
  EXPECT_EQ(f.volume->scrub(ScrubAction::stop), Status::ok);
  EXPECT_EQ(f.scrub().state, ScrubState::idle);
  EXPECT_EQ(f.disks[0].reads, 0U);
}

}  // namespace
}  // namespace dmr::testing

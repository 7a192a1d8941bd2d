// SPDX-License-Identifier: GPL-2.0-or-later
// A scrub's course: its orders, its pace, and its end.
#include "core/testing/scrub_fixture.h"

namespace dmr::testing {
namespace {

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

TEST(Scrubber, HeldItReadsNothingAndGoesOnWhereItWasWhenItIsLetGo) {
  ScrubFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  ASSERT_EQ(f.volume->scrub(ScrubAction::start), Status::ok);
  f.pump();
  f.volume->hold_scrub(true);
  EXPECT_EQ(f.scrub().state, ScrubState::held);
  f.next_timer();
  EXPECT_EQ(f.disks[0].reads, 16U);  // one burst
  f.volume->hold_scrub(false);
  f.pump();
  EXPECT_EQ(f.scrub().state, ScrubState::running);
  EXPECT_EQ(f.disks[0].reads, 32U);
  f.run_pass();
  EXPECT_EQ(f.disks[0].reads, kMainSectors / kPiece);
  EXPECT_EQ(f.scrub().passes, 1U);
}

TEST(Scrubber, WhatIsOrderedWhileItIsHeldIsFollowedAfterwards) {
  ScrubFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  f.volume->hold_scrub(true);
  EXPECT_EQ(f.scrub().state, ScrubState::idle);
  const auto order = [&](ScrubAction action, ScrubState now, ScrubState then) {
    f.volume->hold_scrub(true);
    const u64 reads = f.disks[0].reads;
    EXPECT_EQ(f.volume->scrub(action), Status::ok);
    f.pump();
    EXPECT_EQ(f.scrub().state, now);
    EXPECT_EQ(f.disks[0].reads, reads);
    f.volume->hold_scrub(false);
    f.pump();
    EXPECT_EQ(f.scrub().state, then);
    EXPECT_EQ(f.disks[0].reads > reads, then == ScrubState::running);
  };
  order(ScrubAction::start, ScrubState::held, ScrubState::running);
  order(ScrubAction::pause, ScrubState::paused, ScrubState::paused);
  order(ScrubAction::start, ScrubState::held, ScrubState::running);
  order(ScrubAction::stop, ScrubState::idle, ScrubState::idle);
}

TEST(Scrubber, LetGoWithoutAHoldItKeepsItsRest) {
  ScrubFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  ASSERT_EQ(f.volume->scrub(ScrubAction::start), Status::ok);
  f.pump();
  f.volume->hold_scrub(false);
  f.pump();
  EXPECT_EQ(f.disks[0].reads, 16U);
}

TEST(Scrubber, StoppedInTheMiddleOfAReadItDoesNotMoveTheNextPass) {
  ScrubFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  bool once = true;
  std::set<u64> seen;
  f.before_io = [&](const DeviceIo& io) {
    if (!once) seen.insert(io.sector.value);
    if (!once || io.sector != Sector(4 * kPiece)) return;
    once = false;
    EXPECT_EQ(f.volume->scrub(ScrubAction::stop), Status::ok);
    EXPECT_EQ(f.volume->scrub(ScrubAction::start, Sector(8192)), Status::ok);
  };
  f.run_pass();
  f.before_io = nullptr;
  EXPECT_FALSE(once);
  EXPECT_TRUE(seen.contains(8192));
  EXPECT_EQ(seen.size(), (kMainSectors - 8192) / kPiece);
  EXPECT_EQ(f.scrub().read_sectors, kMainSectors - 8192);
  EXPECT_EQ(f.scrub().passes, 1U);
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
  for (u32 i = 0; i < 100 && f.scrub().position <= Sector(1008); ++i) f.next_timer();
  ASSERT_TRUE(f.runs());
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

TEST(Scrubber, WhatWasHeldAtAClosingIsHeldAfterTheNextOpening) {
  ScrubFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  ASSERT_EQ(f.volume->scrub(ScrubAction::start, Sector(8192)), Status::ok);
  f.pump();
  f.volume->hold_scrub(true);
  const ScrubStats kept = f.scrub();
  ASSERT_EQ(kept.state, ScrubState::held);
  ASSERT_EQ(f.close(), Status::ok);
  ASSERT_EQ(f.open(), Status::ok);
  f.volume->hold_scrub(true);
  ASSERT_EQ(f.volume->restore_scrub(kept), Status::ok);
  f.pump();
  EXPECT_EQ(f.scrub().state, ScrubState::held);
  EXPECT_EQ(f.scrub().position, kept.position);
  f.volume->hold_scrub(false);
  EXPECT_EQ(f.scrub().state, ScrubState::running);
  f.run_pass();
  EXPECT_EQ(f.scrub().read_sectors, kMainSectors - 8192);
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

TEST(Scrubber, RefusesOrdersThatMeanNothing) {
  ScrubFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  EXPECT_EQ(f.volume->scrub(ScrubAction::pause), Status::invalid);
  EXPECT_EQ(f.volume->scrub(ScrubAction::start, Sector(kMainSectors)), Status::invalid);
  EXPECT_EQ(f.volume->scrub(ScrubAction::stop), Status::ok);
  EXPECT_EQ(f.scrub().state, ScrubState::idle);
  EXPECT_EQ(f.disks[0].reads, 0U);
}

TEST(Scrubber, ABurstEndsInTimeOnASlowDisk) {
  ScrubFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  f.before_io = [&](const DeviceIo&) { f.now += kSecond; };
  ASSERT_EQ(f.volume->scrub(ScrubAction::start), Status::ok);
  f.pump();
  f.before_io = nullptr;
  EXPECT_EQ(f.disks[0].reads, 1U);
}

TEST(Scrubber, AnotherTimerBeforeItsOwnDoesNotKeepItAsleep) {
  ScrubFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  ASSERT_EQ(f.volume->scrub(ScrubAction::start), Status::ok);
  f.pump();
  ASSERT_FALSE(f.deadlines.empty());
  const u64 due = *std::min_element(f.deadlines.begin(), f.deadlines.end());
  ASSERT_GT(due, f.now);
  f.deadlines.clear();
  f.volume->on_timer();  // somebody else's
  f.pump();
  ASSERT_EQ(f.deadlines.size(), 1U);
  EXPECT_EQ(f.deadlines[0], due);
}

TEST(Scrubber, StartingOneThatRunsChangesNothing) {
  ScrubFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  ASSERT_EQ(f.volume->scrub(ScrubAction::start), Status::ok);
  f.pump();
  const u64 reads = f.disks[0].reads;
  EXPECT_EQ(f.volume->scrub(ScrubAction::start, Sector(8192)), Status::ok);
  f.pump();
  EXPECT_EQ(f.disks[0].reads, reads);
  EXPECT_EQ(f.scrub().position, Sector(reads * kPiece));
}

TEST(Scrubber, ANewRateEndsTheRestOfTheOld) {
  ScrubFixture f;
  f.config.scrub_kib_per_s = 64;
  ASSERT_EQ(f.open(), Status::ok);
  ASSERT_EQ(f.volume->scrub(ScrubAction::start), Status::ok);
  f.pump();
  ASSERT_EQ(f.disks[0].reads, 16U);
  EXPECT_EQ(f.volume->tune(Tunable::scrub_kib_per_s, 32768), Status::ok);
  f.pump();
  EXPECT_EQ(f.disks[0].reads, 32U);
}

TEST(Scrubber, BeginsWithAWholeBlock) {
  ScrubFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  f.run_pass(Sector(8197));
  EXPECT_EQ(f.scrub().read_sectors, kMainSectors - 8192);
}

}  // namespace
}  // namespace dmr::testing

// SPDX-License-Identifier: GPL-2.0-or-later
// FUA writes to devices without FUA of their own: a write and a flush of the engine's, so that the
// refusal of the one is not taken for that of the other.
#include <gtest/gtest.h>

#include "core/testing/volume_fixture.h"
#include "core/volume/volume.h"

namespace dmr::testing {
namespace {

class VolumeFua : public ::testing::Test {
 protected:
  VolumeFua() {
    for (MemoryDisk& disk : f.disks) disk.native_fua = false;
    f.before_io = [this](const DeviceIo& io) { fua_writes += io.fua ? 1 : 0; };
  }
  // As a host submits it, before it has sent anything.
  Status write(u64 sector, u32 sectors, IoStatus error = IoStatus::ok) {
    return f.slow(IoOp::write, sector, sectors, 0x33, error, true).status;
  }
  void move_block_100() {
    const SectorRange range{Sector(800), 8};
    ASSERT_EQ(f.run_command(CommandKind::mark, {&range, 1}).blocks_changed, 1U);
  }

  VolumeFixture f;
  u32 fua_writes = 0;
};

TEST_F(VolumeFua, NoFuaWriteIsEverSentWhereItWouldBeAWriteAndAFlush) {
  ASSERT_EQ(f.open(), Status::ok);
  for (Member m = kMain; m <= 1; ++m) {
    Route route;
    route.member = m;
    EXPECT_FALSE(f.volume->is_direct(route, IoOp::write, true));
    EXPECT_TRUE(f.volume->is_direct(route, IoOp::write, false));
  }
  const u64 flushes = f.disks[kMain].flushes;
  EXPECT_EQ(write(80, 8), Status::ok);
  EXPECT_EQ(f.disks[kMain].flushes, flushes + 1);
  f.disks[kMain].bad_write.insert(88);
  EXPECT_EQ(write(88, 16), Status::ok);  // one block to the spare, one stays
  EXPECT_EQ(f.disks[kMain].flushes, flushes + 2);
  ASSERT_EQ(f.close(), Status::ok);
  EXPECT_EQ(fua_writes, 0U);
}

TEST_F(VolumeFua, WhereItIsOneCommandNoFlushIsSentForIt) {
  f.disks[kMain].native_fua = true;
  ASSERT_EQ(f.open(), Status::ok);
  const u64 flushes = f.disks[kMain].flushes;
  EXPECT_EQ(write(80, 8), Status::ok);
  EXPECT_EQ(f.disks[kMain].flushes, flushes);
  EXPECT_EQ(fua_writes, 1U);
}

TEST_F(VolumeFua, OnlyWhatMeetsAHoldCountsAsHeld) {
  f.disks[kMain].native_fua = true;
  ASSERT_EQ(f.open(), Status::ok);
  EXPECT_EQ(write(80, 8), Status::ok);  // it would not have come otherwise
  EXPECT_EQ(f.volume->stats().held_requests, 1U);
  move_block_100();
  EXPECT_EQ(write(800, 8), Status::ok);  // to the spare, for its flush
  EXPECT_EQ(f.volume->stats().held_requests, 1U);
}

TEST_F(VolumeFua, ARefusedFlushBehindAWriteFailsItAndIsToldAndNotTriedAgain) {
  ASSERT_EQ(f.open(), Status::ok);
  f.disks[kMain].refuses_flush = true;
  const u64 flushes = f.disks[kMain].flushes;
  for (const IoStatus error : {IoStatus::ok, IoStatus::transport}) {
    const u64 told = f.volume->flush_refusals();
    EXPECT_EQ(write(80, 8, error), Status::io_error);
    EXPECT_EQ(f.volume->flush_refusals(), told + 1);
  }
  EXPECT_EQ(f.disks[kMain].flushes, flushes + 2);
  EXPECT_EQ(f.count(EventKind::flush_failed), 2U);
  EXPECT_EQ(f.volume->stats().remapped_blocks, 0U);
  f.disks[kMain].refuses_flush = false;
}

TEST_F(VolumeFua, AWriteThatIsRefusedIsNoRefusedFlush) {
  ASSERT_EQ(f.open(), Status::ok);
  f.disks[kMain].bad_write.insert(800);
  f.disks[kMain].status = IoStatus::unspecified;
  const u64 told = f.volume->flush_refusals();
  EXPECT_EQ(write(800, 8), Status::ok);
  EXPECT_EQ(f.volume->flush_refusals(), told);
  EXPECT_EQ(f.volume->stats().remapped_blocks, 1U);
}

TEST_F(VolumeFua, ASpareThatRefusesTheFlushBehindAWriteIsRetired) {
  ASSERT_EQ(f.open(), Status::ok);
  move_block_100();
  f.disks[1].refuses_flush = true;
  EXPECT_EQ(write(800, 8), Status::io_error);
  f.disks[1].refuses_flush = false;
  EXPECT_EQ(f.volume->stats().member[1].state, format::MemberState::failed);
}

// Also one that has taken no data: what it takes from now on may be lost in the same way.
TEST(VolumeFuaSpares, OneThatRefusesTheFlushBehindAJournalBlockIsRetired) {
  VolumeFixture f(16384, 16384, 2);
  for (MemoryDisk& disk : f.disks) disk.native_fua = false;
  ASSERT_EQ(f.open(), Status::ok);
  u32 flushes = 0;
  f.before_io = [&](const DeviceIo& io) {
    if (io.op == IoOp::flush && io.member == 2) ++flushes;
    f.disks[2].refuses_flush = flushes == 1;
  };
  const u64 told = f.volume->flush_refusals();
  const SectorRange range{Sector(800), 8};
  EXPECT_EQ(f.run_command(CommandKind::mark, {&range, 1}).status, Status::ok);
  f.before_io = nullptr;
  f.disks[2].refuses_flush = false;
  ASSERT_EQ(f.volume->route(Sector(800), 8, false).member, 1U);
  EXPECT_EQ(f.volume->flush_refusals(), told + 1);
  EXPECT_EQ(f.volume->stats().member[2].state, format::MemberState::failed);
}

// Somebody else's, between this write and the flush behind it.
TEST_F(VolumeFua, AFlushThatIsRefusedMeanwhileMayHaveLostTheWrite) {
  ASSERT_EQ(f.open(), Status::ok);
  f.before_io = [this](const DeviceIo& io) {
    if (io.op != IoOp::flush) return;
    const FlushTicket ticket = f.volume->flush_begin(1U << kMain);
    f.volume->note_flush_refused(ticket, kMain);
  };
  EXPECT_EQ(write(80, 8), Status::io_error);
  f.before_io = nullptr;
}

TEST_F(VolumeFua, ARefusedFlushBehindAJournalBlockIsTold) {
  ASSERT_EQ(f.open(), Status::ok);
  const u64 told = f.volume->flush_refusals();
  u32 flushes = 0;
  f.before_io = [&](const DeviceIo& io) {
    if (io.member != 1) return;
    if (io.op == IoOp::flush) ++flushes;
    f.disks[1].refuses_flush = flushes == 2;  // behind the data, behind the journal block
  };
  const SectorRange range{Sector(800), 8};
  const Command done = f.run_command(CommandKind::mark, {&range, 1});
  f.before_io = nullptr;
  f.disks[1].refuses_flush = false;
  EXPECT_EQ(done.status, Status::io_error);
  EXPECT_GT(flushes, 2U);  // it is cancelled by two checkpoints
  EXPECT_EQ(f.volume->flush_refusals(), told + 1);
  EXPECT_EQ(f.volume->stats().remapped_blocks, 0U);
  EXPECT_TRUE(f.volume->writable());
}

}  // namespace
}  // namespace dmr::testing

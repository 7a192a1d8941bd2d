// SPDX-License-Identifier: GPL-2.0-or-later
// A failed write that may still arrive at its spare block, after the block has become free.
#include <gtest/gtest.h>

#include "core/testing/volume_fixture.h"
#include "core/volume/volume.h"

namespace dmr::testing {
namespace {

// The home of block 100 after a command has moved it there.
u64 home_of_100(VolumeFixture& f) {
  const SectorRange range{Sector(800), 8};
  EXPECT_EQ(f.run_command(CommandKind::mark, {&range, 1}).blocks_changed, 1U);
  return f.volume->route(Sector(800), 8, true).sector.value;
}

// How many spare blocks are used when block 100 has gone home again, and whether another block may
// get the one that it had. `fail` has a write to its home fail.
template <class Fail>
u64 used_when_home_again(VolumeFixture& f, Fail fail) {
  const u64 home = home_of_100(f);
  fail(home);
  EXPECT_EQ(f.volume->route(Sector(800), 8, true).sector.value, home);
  const SectorRange range{Sector(800), 8};
  EXPECT_EQ(f.run_command(CommandKind::forget, {&range, 1}).blocks_changed, 1U);
  return f.volume->stats().member[1].used_blocks;
}

TEST(VolumeLateWrite, AHomeWhereAWriteMayStillArriveGoesToNobodyBeforeTheNextOpen) {
  for (const IoStatus status : {IoStatus::transport, IoStatus::timeout, IoStatus::unspecified}) {
    for (const bool by_engine : {false, true}) {
      VolumeFixture f;
      ASSERT_EQ(f.open(), Status::ok);
      const auto fail = [&](u64) {
        f.disks[1].gone = status;
        f.before_io = [&, writes = 0](const DeviceIo& io) mutable {
          if (io.op == IoOp::write && io.member == 1 && ++writes > 1) f.disks[1].gone.reset();
        };
        // The first write is the hot path's, or the engine's own.
        const auto answer =
            by_engine ? f.slow(IoOp::write, 800, 8, 7, IoStatus::ok) : f.write(800, 8, 7);
        EXPECT_EQ(answer.status, Status::ok);
        f.before_io = nullptr;
        f.disks[1].gone.reset();
      };
      EXPECT_EQ(used_when_home_again(f, fail), 1U) << static_cast<u32>(status) << by_engine;
      ASSERT_EQ(f.close(), Status::ok);
      ASSERT_EQ(f.open(), Status::ok);
      EXPECT_EQ(f.volume->stats().member[1].used_blocks, 0U);
    }
  }
}

TEST(VolumeLateWrite, AHomeThatRefusedAWriteOfTheMediumOnceIsFreeAgain) {
  VolumeFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  const auto fail = [&](u64 home) {
    f.disks[1].bad_write.insert(home);
    f.before_io = [&, writes = 0](const DeviceIo& io) mutable {
      if (io.op == IoOp::write && io.member == 1 && ++writes > 1) f.disks[1].bad_write.clear();
    };
    EXPECT_EQ(f.write(800, 8, 7).status, Status::ok);
    f.before_io = nullptr;
  };
  EXPECT_EQ(used_when_home_again(f, fail), 0U);
}

// Writes of several blocks are given up together, and nobody tries the same blocks again.
TEST(VolumeLateWrite, BlocksOfALongWriteThatFailedOnceGoToNobodyEither) {
  for (const IoStatus status : {IoStatus::transport, IoStatus::unspecified}) {
    VolumeFixture f;
    ASSERT_EQ(f.open(), Status::ok);
    SectorRange failed;
    f.before_io = [&](const DeviceIo& io) {
      f.disks[1].gone.reset();
      if (io.op != IoOp::write || io.member != 1 || failed.sectors != 0 || io.sectors <= 8) return;
      failed = {io.sector, io.sectors};
      f.disks[1].gone = status;  // this once
    };
    const SectorRange some{Sector(0), 64};
    EXPECT_EQ(f.run_command(CommandKind::mark, {&some, 1}).blocks_changed, 8U);
    f.before_io = nullptr;
    f.disks[1].gone.reset();
    ASSERT_EQ(failed.sectors, 64U);
    const SectorRange all{Sector(64), f.disks[0].sectors() - 64};
    (void)f.run_command(CommandKind::mark, {&all, 1});
    EXPECT_EQ(f.count(EventKind::spare_exhausted), 1U);
    for (u64 sector = 0; sector < f.disks[0].sectors(); sector += 8) {
      const Route route = f.volume->route(Sector(sector), 8, false);
      const bool inside =
          failed.begin <= route.sector && route.sector < failed.begin + failed.sectors;
      ASSERT_FALSE(route.member == 1 && inside) << sector << ' ' << static_cast<u32>(status);
    }
  }
}

TEST(VolumeLateWrite, ABlockStaysOnItsSpareWhereAnOlderCopyMayStillArriveOnMain) {
  VolumeFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  (void)home_of_100(f);
  const SectorRange range{Sector(800), 8};
  const auto forget = [&] { return f.run_command(CommandKind::forget, {&range, 1}); };
  f.disks[kMain].gone = IoStatus::timeout;
  EXPECT_EQ(forget().blocks_changed, 0U);
  f.disks[kMain].gone.reset();
  EXPECT_EQ(forget().blocks_changed, 0U);
  ASSERT_EQ(f.close(), Status::ok);
  ASSERT_EQ(f.open(), Status::ok);
  EXPECT_EQ(forget().blocks_changed, 1U);
}

TEST(LateWrites, CoverAllThatWasAddedAndWidenWhenTheyAreFull) {
  LateWrites writes;
  EXPECT_FALSE(writes.may_arrive_in(Block(0), ~u64{0} >> 1U));
  for (u64 i = 0; i < 100; ++i) writes.add(Block(i * 1000), 3);
  for (u64 i = 0; i < 100; ++i) {
    EXPECT_TRUE(writes.may_arrive_in(Block(i * 1000 + 2), 1)) << i;
    if (i > 0 && i < 63) {
      EXPECT_FALSE(writes.may_arrive_in(Block(i * 1000 - 1), 1)) << i;
      EXPECT_FALSE(writes.may_arrive_in(Block(i * 1000 + 3), 1)) << i;
    }
  }
}

}  // namespace
}  // namespace dmr::testing

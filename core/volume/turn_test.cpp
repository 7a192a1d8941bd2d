// SPDX-License-Identifier: GPL-2.0-or-later
// Mark and forget on a slow disk: they hold what they move for a turn, and end when the volume
// does.
#include <functional>

#include <gtest/gtest.h>

#include "core/testing/volume_fixture.h"
#include "core/volume/volume.h"

namespace dmr::testing {
namespace {

constexpr u64 kEvery = 64;  // sectors from one bad block to the next

// Every failing read takes as long as a disk without error-recovery control does.
void make_slow(VolumeFixture& f, u64 blocks) {
  for (u64 i = 0; i < blocks; ++i) f.disks[0].bad_read.insert(i * kEvery + 3);
  f.before_io = [&f](const DeviceIo& io) {
    const auto bad = f.disks[0].bad_read.lower_bound(io.sector.value);
    const bool fails = io.op == IoOp::read && io.member == kMain &&
                       bad != f.disks[0].bad_read.end() && *bad < io.sector.value + io.sectors;
    if (fails) f.now += 7 * kSecond;
  };
}

std::vector<SectorRange> bad_blocks(u64 count) {
  std::vector<SectorRange> ranges;
  for (u64 i = 0; i < count; ++i) ranges.push_back({Sector(i * kEvery), 8});
  return ranges;
}

struct Closing {
  Volume::Close close;
  bool begun = false;
  void begin(Volume& volume) {
    begun = true;
    close.done = [](Volume::Close&) {};
    volume.close(close);
  }
};

TEST(Turn, contract_10_AMarkOfSlowBlocksLetsTheRestGoAfterEachTurn) {
  constexpr u64 kBlocks = 20;
  VolumeFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  make_slow(f, kBlocks);
  std::vector<SectorRange> all = bad_blocks(kBlocks);
  std::span<SectorRange> ranges = all;
  u64 changed = 0;
  u64 lost = 0;
  for (u64 turn = 1; turn <= kBlocks; ++turn) {
    const Command done = f.run_command(CommandKind::mark, ranges);
    ASSERT_EQ(done.status, Status::ok);
    EXPECT_EQ(done.blocks_changed, 1U) << "one block takes longer than a turn";
    changed += done.blocks_changed;
    lost += done.sectors_lost;
    ranges = ranges_from(done.rest, ranges);
    ASSERT_EQ(ranges.size(), kBlocks - turn);
    if (!ranges.empty()) {
      EXPECT_EQ(f.volume->route(ranges[0].begin, 8, false).kind, RouteKind::device);
    }
  }
  EXPECT_EQ(changed, kBlocks);
  EXPECT_EQ(lost, kBlocks);
  EXPECT_EQ(f.volume->stats().lost_sectors, kBlocks);
}

TEST(Turn, ALongRunThatCannotBeReadInOnePieceIsTriedSoOnceOnly) {
  u64 long_reads = 0;
  std::function<void(const DeviceIo&)> slow;  // both are used until the fixture has closed
  VolumeFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  make_slow(f, 2);
  slow = f.before_io;
  f.before_io = [&](const DeviceIo& io) {
    slow(io);
    if (io.op == IoOp::read && io.member == kMain && io.sectors == kBufferSectors) ++long_reads;
  };
  SectorRange all{Sector(0), kBufferSectors + 40};
  std::span<SectorRange> ranges(&all, 1);
  u64 changed = 0;
  u64 turns = 0;
  for (; !ranges.empty() && turns < 100; ++turns) {
    const Command done = f.run_command(CommandKind::mark, ranges);
    ASSERT_EQ(done.status, Status::ok);
    changed += done.blocks_changed;
    ranges = ranges_from(done.rest, ranges);
  }
  EXPECT_GE(turns, 3U);
  EXPECT_EQ(changed, (kBufferSectors + 40) / 8);
  EXPECT_EQ(long_reads, 1U);
  EXPECT_EQ(f.volume->stats().lost_sectors, 2U);
}

TEST(Turn, AForgetEndsItsTurnToo) {
  constexpr u64 kBlocks = 5;
  VolumeFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  std::vector<SectorRange> all = bad_blocks(kBlocks);
  std::span<SectorRange> ranges = all;
  ASSERT_EQ(f.run_command(CommandKind::mark, ranges).rest, Sector((kBlocks - 1) * kEvery + 8));
  f.before_io = [&f](const DeviceIo& io) {
    if (io.op == IoOp::write && io.member == kMain) f.now += 2 * kSecond;
  };
  for (u64 turn = 1; turn <= kBlocks; ++turn) {
    const Command done = f.run_command(CommandKind::forget, ranges);
    ASSERT_EQ(done.status, Status::ok);
    EXPECT_EQ(done.blocks_changed, 1U);
    ranges = ranges_from(done.rest, ranges);
  }
  EXPECT_TRUE(ranges.empty());
  EXPECT_EQ(f.volume->stats().remapped_blocks, 0U);
}

TEST(Turn, ClosingEndsTheMarkThatRunsAndThoseThatWait) {
  Closing closing;
  VolumeFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  const std::vector<SectorRange> ranges = bad_blocks(60);
  Command waits;
  waits.ranges = ranges;
  waits.done = [](Command&) {};
  f.before_io = [&](const DeviceIo& io) {
    if (io.op != IoOp::read || io.sector != Sector(4 * kEvery) || closing.begun) return;
    f.volume->command(waits);
    closing.begin(*f.volume);
  };
  const Command done = f.run_command(CommandKind::mark, ranges);
  f.before_io = nullptr;
  EXPECT_EQ(done.status, Status::closed);
  EXPECT_EQ(done.blocks_changed, 5U);
  EXPECT_EQ(done.rest, Sector(5 * kEvery));
  EXPECT_EQ(done.bad_sector, done.rest);
  EXPECT_EQ(waits.status, Status::closed);
  EXPECT_EQ(waits.rest, Sector(0));
  EXPECT_EQ(closing.close.status, Status::ok);
  f.volume.reset();
  ASSERT_EQ(f.open(), Status::ok);
  EXPECT_EQ(f.volume->stats().remapped_blocks, 5U);
}

}  // namespace
}  // namespace dmr::testing

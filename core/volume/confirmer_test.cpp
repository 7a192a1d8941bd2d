// SPDX-License-Identifier: GPL-2.0-or-later
// Whether the place is to blame or the device: what opens the breaker, what does not, what closes
// it.
#include "core/volume/confirmer.h"

#include <set>

#include <gtest/gtest.h>

#include "core/testing/volume_fixture.h"

namespace dmr::testing {
namespace {

// Every second block is bad, without a pattern: far from a dead disk.
TEST(Confirmer, ProbesThatHappenToMeetBadBlocksDoNotMakeADiskDead) {
  VolumeFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  for (u64 block = 0; block < 2048; ++block) {
    if ((block * 0x9E3779B97F4A7C15U) >> 63U != 0) f.disks[0].bad_write.insert(block * 8);
  }
  u32 written = 0;
  for (const u64 sector : std::set<u64>(f.disks[0].bad_write)) {
    if (++written > 32) break;
    f.now += kSecond;
    EXPECT_EQ(f.write(sector, 8, 0x55).status, Status::ok) << sector;
  }
  EXPECT_EQ(f.count(EventKind::breaker_open), 0U);
}

TEST(Confirmer, ADiskFromWhichAllElseHasMovedAwayIsNotDead) {
  VolumeFixture f(1024);
  ASSERT_EQ(f.open(), Status::ok);
  const SectorRange rest[] = {{Sector(0), 800}, {Sector(808), 216}};
  ASSERT_EQ(f.run_command(CommandKind::mark, rest).blocks_changed, 127U);
  const std::vector<std::byte> before = f.disks[kMain].bytes;
  f.disks[0].bad_write.insert(800);
  EXPECT_EQ(f.write(800, 8, 0x55).status, Status::ok);
  EXPECT_EQ(f.volume->stats().remapped_blocks, 128U);
  EXPECT_EQ(f.count(EventKind::breaker_open), 0U);
  EXPECT_EQ(f.disks[kMain].bytes, before);
}

TEST(Confirmer, ARequestThatLocksTheWholeDiskDoesNotMakeItDead) {
  VolumeFixture f(1024);
  ASSERT_EQ(f.open(), Status::ok);
  f.disks[0].bad_read.insert(100);
  EXPECT_EQ(f.read(0, 1024).bad_sector, 100U);
  EXPECT_EQ(f.count(EventKind::breaker_open), 0U);
  EXPECT_EQ(f.volume->stats().lost_sectors, 1U);
}

TEST(Confirmer, TheBreakerClosesAgainAndThenRealBadSectorsAreHandled) {
  VolumeFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  f.disks[0].gone = IoStatus::unspecified;
  EXPECT_EQ(f.write(800, 8, 0x55).status, Status::io_error);
  EXPECT_TRUE(f.volume->stats().member[0].breaker_open);
  f.disks[0].gone.reset();
  f.now += 60 * kSecond;
  f.disks[0].bad_write.insert(800);
  EXPECT_EQ(f.write(800, 8, 0x55).status, Status::ok);
  EXPECT_FALSE(f.volume->stats().member[0].breaker_open);
  EXPECT_EQ(f.volume->stats().remapped_blocks, 1U);
}

TEST(Confirmer, AnUnspecifiedErrorThatTookHalfTheTimeoutIsTheDevices) {
  EXPECT_EQ(classify(IoStatus::unspecified, 16 * kSecond, 30 * kSecond), ErrorClass::device);
  EXPECT_EQ(classify(IoStatus::unspecified, 14 * kSecond, 30 * kSecond), ErrorClass::unspecified);
  EXPECT_EQ(classify(IoStatus::medium, 16 * kSecond, 30 * kSecond), ErrorClass::medium);
}

}  // namespace
}  // namespace dmr::testing

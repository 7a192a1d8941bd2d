// SPDX-License-Identifier: GPL-2.0-or-later
// The virtual disk must be as unreliable as it claims to be, and not more.
#include "sim/disk.h"

#include <gtest/gtest.h>

namespace dmr::sim {
namespace {

class SimDiskTest : public testing::Test {
 protected:
  static Data token(u64 value) { return Data{.token = value, .bytes = nullptr}; }
  IoStatus write(u64 sector, u32 sectors, u64 value, bool fua = false) {
    const u64 id = ++ids_;
    const IoStatus status =
        disk_.write(id, Sector(sector), sectors, [value](u32) { return token(value); });
    if (status == IoStatus::ok) disk_.write_completed(id, Sector(sector), sectors, fua);
    return status;
  }
  IoStatus read(u64 sector, u32 sectors) {
    got_.assign(sectors, 0);
    return disk_.read(Sector(sector), sectors,
                      [this](u32 i, const Data& data) { got_[i] = data.token; });
  }
  void cut_power_losing_all() {
    disk_.power_cut([](Sector, u32) { return u32{0}; });
  }

  World world_{1};
  SimDisk disk_{world_, kMain, 64};
  std::vector<u64> got_;
  u64 ids_ = 0;
};

TEST_F(SimDiskTest, WhatWasNotFlushedMayBeGoneAfterAPowerCut) {
  ASSERT_EQ(write(3, 2, 7), IoStatus::ok);
  ASSERT_EQ(read(3, 2), IoStatus::ok);
  EXPECT_EQ(got_, (std::vector<u64>{7, 7}));
  cut_power_losing_all();
  ASSERT_EQ(read(3, 2), IoStatus::ok);
  EXPECT_EQ(got_, (std::vector<u64>{0, 0}));
}

TEST_F(SimDiskTest, FlushedAndFuaWritesSurvive) {
  ASSERT_EQ(write(3, 1, 7), IoStatus::ok);
  ASSERT_EQ(disk_.flush(world_.stamp()), IoStatus::ok);
  ASSERT_EQ(write(4, 1, 8, true), IoStatus::ok);
  cut_power_losing_all();
  ASSERT_EQ(read(3, 2), IoStatus::ok);
  EXPECT_EQ(got_, (std::vector<u64>{7, 8}));
}

TEST_F(SimDiskTest, AFlushCoversOnlyWritesThatHadCompletedWhenItWasSent) {
  const u64 sent = world_.stamp();
  ASSERT_EQ(write(3, 1, 7), IoStatus::ok);
  ASSERT_EQ(disk_.flush(sent), IoStatus::ok);
  cut_power_losing_all();
  ASSERT_EQ(read(3, 1), IoStatus::ok);
  EXPECT_EQ(got_[0], 0U);
}

TEST_F(SimDiskTest, APowerCutTearsBetweenSectors) {
  ASSERT_EQ(write(8, 8, 7), IoStatus::ok);
  disk_.power_cut([](Sector sector, u32 candidates) {
    return sector.value % 2 == 0 ? candidates - 1 : u32{0};
  });
  ASSERT_EQ(read(8, 4), IoStatus::ok);
  EXPECT_EQ(got_, (std::vector<u64>{7, 0, 7, 0}));
  EXPECT_EQ(disk_.counters().torn_blocks, 1U);
}

TEST_F(SimDiskTest, AnOlderUnflushedWriteMaySurviveTheNewerOne) {
  ASSERT_EQ(write(3, 1, 7), IoStatus::ok);
  ASSERT_EQ(write(3, 1, 8), IoStatus::ok);
  disk_.power_cut([](Sector, u32 candidates) {
    EXPECT_EQ(candidates, 3U);
    return u32{1};
  });
  ASSERT_EQ(read(3, 1), IoStatus::ok);
  EXPECT_EQ(got_[0], 7U);
}

TEST_F(SimDiskTest, AFailedFlushMayLoseWhatNoLaterFlushBringsBack) {
  ASSERT_EQ(write(3, 1, 7), IoStatus::ok);
  disk_.ailment = {.chance_of_1000 = 1000,
                   .status = IoStatus::unspecified,
                   .flush_only = true,
                   .cache_kept = false};
  EXPECT_EQ(disk_.flush(world_.stamp()), IoStatus::unspecified);
  disk_.ailment = {};
  EXPECT_EQ(disk_.flush(world_.stamp()), IoStatus::ok);
  cut_power_losing_all();
  ASSERT_EQ(read(3, 1), IoStatus::ok);
  EXPECT_EQ(got_[0], 0U);
}

TEST_F(SimDiskTest, ABadSectorFailsTheWholeReadAndGivesNoData) {
  ASSERT_EQ(write(0, 8, 7), IoStatus::ok);
  disk_.set_fault(Sector(5), Fault{});
  EXPECT_EQ(read(0, 8), IoStatus::medium);
  for (const u64 token : got_) EXPECT_EQ(token, kGarbage);
  EXPECT_EQ(read(0, 5), IoStatus::ok);
}

TEST_F(SimDiskTest, ATransientFaultGoesAwayAndAWriteMayHeal) {
  disk_.set_fault(Sector(1), Fault{.times = 2});
  EXPECT_EQ(read(1, 1), IoStatus::medium);
  EXPECT_EQ(read(1, 1), IoStatus::medium);
  EXPECT_EQ(read(1, 1), IoStatus::ok);
  disk_.set_fault(Sector(2), Fault{.healed_by_write = true});
  EXPECT_EQ(read(2, 1), IoStatus::medium);
  EXPECT_EQ(write(2, 1, 9), IoStatus::ok);
  EXPECT_EQ(read(2, 1), IoStatus::ok);
  EXPECT_EQ(disk_.fault_count(), 0U);
}

TEST_F(SimDiskTest, ARefusedWriteLeavesTheBadSectorAsItWas) {
  disk_.set_fault(Sector(4), Fault{.on_read = false, .on_write = true});
  EXPECT_EQ(write(0, 8, 7), IoStatus::medium);
  ASSERT_EQ(read(4, 1), IoStatus::ok);
  EXPECT_EQ(got_[0], 0U);
}

TEST_F(SimDiskTest, BytesThatAreNoTokenKeepTheirContent) {
  std::array<std::byte, kSectorBytes> bytes{};
  bytes[17] = std::byte{3};
  const u64 id = ++ids_;
  ASSERT_EQ(disk_.write(id, Sector(1), 1, [&](u32) { return pack(bytes); }), IoStatus::ok);
  std::array<std::byte, kSectorBytes> back{};
  unpack(disk_.newest(Sector(1)), back);
  EXPECT_EQ(back, bytes);
  disk_.write_completed(id, Sector(1), 1, true);
  disk_.flip_bit(Sector(1), 17 * 8);
  unpack(disk_.durable(Sector(1)), back);
  EXPECT_EQ(back[17], std::byte{2});
}

}  // namespace
}  // namespace dmr::sim

// SPDX-License-Identifier: GPL-2.0-or-later
// Putting a backup's state back: it loads as it was, an older one forbids writing for ever, one
// that was cut short never loads; and rebuilding the superblocks of a spare that has none left.
#include <algorithm>

#include <gtest/gtest.h>

#include "core/testing/store_bench.h"

namespace dmr {
namespace {

using testing::MapModel;
using testing::MemoryDisks;
using testing::StoreBench;

class Restore : public ::testing::TestWithParam<u32> {
 protected:
  void SetUp() override {
    ASSERT_EQ(bench_.make(), Status::ok);
    ASSERT_TRUE(bench_.commit(3, 7, 20));
    ASSERT_EQ(bench_.checkpoint(), Status::ok);
    ASSERT_TRUE(bench_.commit(60, 9, 2));
    bench_.restart();
    ASSERT_EQ(bench_.load(), Status::ok);
    saved_ = bench_.store->superblock();
    head_ = bench_.store->head();
    expected_ = bench_.model.map;
    // What came after the backup.
    ASSERT_EQ(bench_.begin(), Status::ok);
    ASSERT_TRUE(bench_.commit(100, 5));
    newest_ = bench_.store->superblock();
    bench_.restart();
  }

  [[nodiscard]] RestoreRequest request(bool is_older) const {
    RestoreRequest request;
    request.superblock = &saved_;
    request.covered_sequence = head_.sequence + (is_older ? 1 : 0);
    request.covered_crc = head_.crc;
    request.is_older = is_older;
    request.seen_superblock = newest_.header.sequence;
    request.seen_opening = newest_.open_generation;
    request.seen_membership = newest_.membership.generation;
    for (Member m = 0; m < bench_.disks.members(); ++m) request.device[m] = bench_.device(m);
    return request;
  }
  Status restore(const RestoreRequest& request) {
    MapModel source;
    source.map = expected_;
    return bench_.run(bench_.store->restore(bench_.frames, request, source));
  }
  void lose_all_metadata() {
    for (Member m = 1; m < bench_.disks.members(); ++m) {
      std::ranges::fill(bench_.disks.bytes(m), std::byte{0xEE});
    }
  }

  StoreBench bench_{GetParam()};
  format::Superblock saved_{};
  format::Superblock newest_{};
  ChainPoint head_;
  MapModel::Map expected_;
};

TEST_P(Restore, BringsBackTheStateWhateverIsOnTheSpares) {
  lose_all_metadata();
  ASSERT_EQ(restore(request(false)), Status::ok);
  ASSERT_EQ(bench_.load(), Status::ok);
  EXPECT_EQ(bench_.model.map, expected_);
  EXPECT_TRUE(bench_.findings.all.empty());
  EXPECT_FALSE(bench_.store->has_damage());
  EXPECT_TRUE(bench_.store->writable_allowed());
  // And it goes on from there.
  ASSERT_EQ(bench_.begin(), Status::ok);
  ASSERT_TRUE(bench_.commit(200, 4));
  bench_.restart();
  ASSERT_EQ(bench_.load(), Status::ok);
  EXPECT_EQ(bench_.model.map.at(200), 4U);
}

TEST_P(Restore, AnOlderStateForbidsWritingForEver) {
  ASSERT_EQ(restore(request(true)), Status::ok);
  for (int round = 0; round < 2; ++round) {
    ASSERT_EQ(bench_.load(), Status::ok);
    EXPECT_EQ(bench_.model.map, expected_);
    EXPECT_EQ(bench_.findings.count(FindingKind::restored_older), 1U);
    EXPECT_EQ(bench_.findings.all.size(), 1U);
    EXPECT_FALSE(bench_.store->has_damage());
    EXPECT_FALSE(bench_.store->writable_allowed());
    EXPECT_GT(u64{bench_.store->superblock().open_generation}, u64{newest_.open_generation});
    EXPECT_GT(u64{bench_.store->superblock().membership.generation},
              u64{newest_.membership.generation});
    // Repairing metadata does not take the mark away.
    ASSERT_EQ(bench_.begin(), Status::ok);
    EXPECT_FALSE(bench_.store->writable_allowed());
    bench_.restart();
  }
}

TEST_P(Restore, CutShortAnywhereItIsSeenOrWholeOrNeverBegan) {
  const std::vector<MemoryDisks::Image> before = bench_.disks.durable();
  bool is_done = false;
  u32 seen = 0;
  for (u64 last = 0; !is_done; ++last) {
    bench_.disks.restore(before);
    u64 writes = 0;
    bench_.disks.fault = [&](const DeviceIo& io) {
      const bool fails = io.op == IoOp::write && writes++ >= last;
      return fails ? MemoryDisks::Fate{IoStatus::offline, false} : MemoryDisks::Fate{};
    };
    is_done = restore(request(true)) == Status::ok;
    bench_.disks.fault = nullptr;
    // What was written counts, whether flushed or not: the cut is between the writes.
    bench_.restart();
    const Status status = bench_.load();
    if (status == Status::ok) {
      const bool is_new = bench_.model.map == expected_;
      EXPECT_EQ(is_new, bench_.findings.count(FindingKind::restored_older) == 1) << last;
      if (!is_new) {
        EXPECT_EQ(bench_.model.map.size(), expected_.size() + 1) << last;
      }
      EXPECT_TRUE(is_new || last == 0) << last;
    } else {
      EXPECT_EQ(bench_.findings.count(FindingKind::restore_interrupted), 1U) << last;
      ++seen;
    }
  }
  EXPECT_GT(seen, 5U);
}

TEST_P(Restore, AReplacedSpareIsAnotherMember) {
  RestoreRequest wanted = request(true);
  wanted.replaced[1] = true;
  std::memcpy(wanted.device[1].identity, "new", 4);
  ASSERT_EQ(restore(wanted), Status::ok);
  ASSERT_EQ(bench_.load(), Status::ok);
  EXPECT_NE(bench_.store->superblock().member[1].uuid, saved_.member[1].uuid);
  EXPECT_STREQ(bench_.store->superblock().member[1].identity, "new");
}

TEST_P(Restore, RefusesDevicesThatDoNotFitAndWritesNothing) {
  const std::vector<MemoryDisks::Image> before = bench_.disks.durable();
  RestoreRequest wanted = request(false);
  wanted.device[1].present = false;
  EXPECT_EQ(restore(wanted), Status::invalid);
  wanted = request(false);
  ++wanted.device[1].sectors;
  EXPECT_EQ(restore(wanted), Status::invalid);
  wanted = request(false);
  wanted.device[1].logical_block_bytes = 4096;
  EXPECT_EQ(restore(wanted), Status::invalid);
  EXPECT_EQ(bench_.disks.durable(), before);
}

INSTANTIATE_TEST_SUITE_P(Spares, Restore, ::testing::Values(1, 2));

class Rebuild : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(bench_.make(), Status::ok);
    ASSERT_TRUE(bench_.commit(3, 7, 20));
    ASSERT_EQ(bench_.checkpoint(), Status::ok);
    ASSERT_TRUE(bench_.commit(60, 9));
    expected_ = bench_.model.map;
    bench_.restart();
  }
  void lose_superblocks(Member member, std::byte with) {
    for (u32 copy = 0; copy < kSuperblockCopies; ++copy) {
      const Sector at = *SpareLayout::superblock_sector(StoreBench::kSpareSectors, copy);
      std::fill_n(
          bench_.disks.bytes(member).begin() + static_cast<std::ptrdiff_t>(at.value * kSectorBytes),
          kMetaBytes, with);
    }
  }
  Status load_to_rebuild() {
    LoadRequest request = bench_.load_request();
    request.rebuild_superblocks = true;
    return bench_.load(request);
  }

  StoreBench bench_{2};
  MapModel::Map expected_;
};

TEST_F(Rebuild, ASpareWhoseCheckpointsAreTheNewestGetsSuperblocks) {
  for (const std::byte with : {std::byte{0}, std::byte{0x5A}}) {
    lose_superblocks(2, with);
    EXPECT_NE(bench_.load(), Status::ok);  // a start does not
    ASSERT_EQ(load_to_rebuild(), Status::ok);
    EXPECT_TRUE(bench_.store->has_damage());
    EXPECT_EQ(bench_.findings.count(FindingKind::superblock_damaged), 3U);
    ASSERT_EQ(bench_.begin(), Status::ok);
    bench_.restart();
    ASSERT_EQ(bench_.load(), Status::ok);
    EXPECT_TRUE(bench_.findings.all.empty());
    EXPECT_EQ(bench_.model.map, expected_);
  }
}

TEST_F(Rebuild, ASpareWhoseCheckpointsAreOlderStaysOut) {
  const MemoryDisks::Image old = bench_.disks.bytes(2);
  ASSERT_EQ(bench_.load(), Status::ok);
  ASSERT_EQ(bench_.begin(), Status::ok);
  for (int i = 0; i < 2; ++i) ASSERT_EQ(bench_.checkpoint(), Status::ok);
  bench_.restart();
  bench_.disks.bytes(2) = old;  // a disk that had this place before
  lose_superblocks(2, std::byte{0});
  EXPECT_EQ(load_to_rebuild(), Status::damaged);
}

TEST_F(Rebuild, ASpareWithoutAnyGoodCheckpointStaysOut) {
  lose_superblocks(2, std::byte{0});
  ASSERT_EQ(load_to_rebuild(), Status::ok);
  const SpareLayout layout = bench_.store->layout(2);
  for (u32 area = 0; area < kAreas; ++area) {
    bench_.disks.bytes(2)[layout.checkpoint_block(area, 0).value * kSectorBytes + 70] ^=
        std::byte{1};
  }
  EXPECT_EQ(load_to_rebuild(), Status::damaged);
}

TEST_F(Rebuild, ABlankDeviceIsNotTakenForASpare) {
  std::ranges::fill(bench_.disks.bytes(2), std::byte{0});
  EXPECT_EQ(load_to_rebuild(), Status::damaged);
}

TEST_F(Rebuild, MainNeedNotBeThereForWorkOnMetadata) {
  LoadRequest request = bench_.load_request();
  request.device[kMain].present = false;
  EXPECT_EQ(bench_.load(request), Status::member_missing);
  request.spares_only = true;
  EXPECT_EQ(bench_.load(request), Status::ok);
  EXPECT_TRUE(bench_.findings.all.empty());
}

}  // namespace
}  // namespace dmr

// SPDX-License-Identifier: GPL-2.0-or-later
// Opening a volume when it must not succeed: homes that contradict each other, and memory that is
// not to be had. Nothing is left behind, and nothing written.
#include <gtest/gtest.h>

#include "core/testing/store_bench.h"
#include "core/testing/volume_fixture.h"

namespace dmr {
namespace {

using testing::Findings;
using testing::StoreBench;
using testing::VolumeFixture;

// A set whose journal holds records of the test's own, opened as a volume.
class Crafted {
 public:
  Crafted() { EXPECT_EQ(bench_.make(), Status::ok); }

  // The nth spare block that can hold data.
  [[nodiscard]] SpareBlock data_block(u64 n) const {
    const SpareLayout& layout = bench_.store->layout(1);
    SpareBlock block{};
    while (!layout.is_data(block, 1) || n-- > 0) block = block + 1;
    return block;
  }
  void commit(const std::vector<format::Mapping>& mappings) {
    std::vector<format::Record> records;
    for (const format::Mapping& one : mappings) {
      records.push_back(format::encode_mapping(one, bench_.store->geometry()));
    }
    const auto committed = bench_.run(
        bench_.store->commit(bench_.frames, records.data(), static_cast<u32>(records.size())));
    EXPECT_TRUE(committed && *committed == CommitResult::durable);
  }
  Status open() {
    bench_.restart();
    bench_.disks.give_page = [this](void* page) { volume_->give_page(page); };
    volume_.emplace(static_cast<Host&>(bench_.disks), config_);
    Volume::Open request;
    request.load = bench_.load_request();
    request.findings = &findings;
    request.done = [](Volume::Open&) {};
    const u64 writes = bench_.disks.writes;
    volume_->open(request);
    settle();
    writes_of_open = bench_.disks.writes - writes;
    return request.status;
  }
  void close() {
    Volume::Close request;
    request.done = [](Volume::Close&) {};
    volume_->close(request);
    settle();
  }
  [[nodiscard]] Volume& volume() { return *volume_; }

  Findings findings;
  u64 writes_of_open = 0;

 private:
  void settle() {
    for (u32 round = 0; round < 100'000; ++round) {
      const bool more = volume_->run();
      if (!bench_.disks.idle()) {
        bench_.disks.complete_all();
      } else if (!bench_.disks.grace.empty()) {
        (void)bench_.disks.end_grace();
      } else if (!more) {
        return;
      }
    }
    ADD_FAILURE() << "the volume never came to rest";
  }

  StoreBench bench_;
  const VolumeConfig config_{};
  std::optional<Volume> volume_;
};

TEST(VolumeOpen, ASpareBlockWithTwoOwnersIsRefusedAndNamed) {
  Crafted set;
  const SpareBlock home = set.data_block(7);
  set.commit({{.block = Block(10), .member = 1, .home = home},
              {.block = Block(900), .member = 1, .home = home}});
  EXPECT_EQ(set.open(), Status::damaged);
  ASSERT_EQ(set.findings.count(FindingKind::double_owner), 1U);
  const Finding& finding = set.findings.all.back();
  EXPECT_EQ(finding.member, 1);
  EXPECT_TRUE(finding.fatal);
  EXPECT_EQ(finding.address.value, home.value * 8);
  EXPECT_EQ(set.writes_of_open, 0U);
}

TEST(VolumeOpen, RunsThatShareOneSpareBlockAreRefused) {
  Crafted set;
  const SpareBlock home = set.data_block(7);
  set.commit({{.block = Block(10), .length = 4, .member = 1, .home = home},
              {.block = Block(900), .length = 4, .member = 1, .home = home + 3}});
  EXPECT_EQ(set.open(), Status::damaged);
  EXPECT_EQ(set.findings.count(FindingKind::double_owner), 1U);
}

TEST(VolumeOpen, AHomeThatWasGivenUpBeforeMayHaveANewOwner) {
  Crafted set;
  const SpareBlock home = set.data_block(7);
  set.commit({{.block = Block(10), .member = 1, .home = home}});
  set.commit({{.block = Block(10)}, {.block = Block(900), .member = 1, .home = home}});
  ASSERT_EQ(set.open(), Status::ok);
  const Route route = set.volume().route(Sector(7200), 8, false);
  EXPECT_EQ(route.member, 1);
  EXPECT_EQ(route.sector.value, home.value * 8);
  EXPECT_EQ(set.volume().route(Sector(80), 8, false).member, kMain);
  set.close();
}

// A volume with something in its map, so that every part has to be made.
void redirect_one(VolumeFixture& fixture) {
  ASSERT_EQ(fixture.open(), Status::ok);
  fixture.disks[kMain].bad_write.insert(800);
  ASSERT_EQ(fixture.write(800, 8, 0x22).status, Status::ok);
  ASSERT_EQ(fixture.close(), Status::ok);
}

TEST(VolumeOpen, WhicheverMemoryIsNotToBeHadOpeningFailsAndLeavesNothing) {
  VolumeFixture fixture;
  redirect_one(fixture);
  const std::vector<std::byte> spare = fixture.disks[1].bytes;
  constexpr i64 kMost = 200;
  i64 granted = 0;
  for (; granted < kMost; ++granted) {
    fixture.allocations_left = granted;
    const Status status = fixture.open();
    fixture.allocations_left = -1;
    if (status == Status::ok) break;
    ASSERT_EQ(status, Status::no_memory) << "after " << granted << " allocations";
    ASSERT_EQ(fixture.bytes_held, 0U) << "after " << granted << " allocations";
  }
  EXPECT_GT(granted, 10);  // all parts of a volume, one after the other
  ASSERT_LT(granted, kMost);
  EXPECT_EQ(fixture.read(800, 8).status, Status::ok);
  EXPECT_EQ(fixture.volume->stats().remapped_blocks, 1U);
}

TEST(VolumeOpen, WithoutPagesForItsMapAVolumeDoesNotOpen) {
  VolumeFixture fixture;
  redirect_one(fixture);
  fixture.pages_left = 0;
  EXPECT_EQ(fixture.open(), Status::no_memory);
  EXPECT_EQ(fixture.bytes_held, 0U);
  fixture.pages_left = -1;
  EXPECT_EQ(fixture.open(), Status::ok);
}

}  // namespace
}  // namespace dmr

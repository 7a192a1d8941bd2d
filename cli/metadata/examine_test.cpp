// SPDX-License-Identifier: GPL-2.0-or-later
// Checking, repairing, backing up and restoring sets that lie in memory, as a fuzzer calls it: what
// is promised holds for damage anywhere.
#include "cli/metadata/examine.h"

#include <cstring>
#include <memory>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/device/member.h"
#include "cli/metadata/backup.h"
#include "cli/metadata/offline_host.h"
#include "cli/metadata/restore.h"
#include "cli/metadata/salvage.h"

namespace dmr::cli {
namespace {

constexpr u64 kMainSectors = 16384;
constexpr u64 kSpareSectors = 2048;

format::Record mapping(u64 block, Member member, u64 home) {
  format::Record record{};
  record.block = block;
  record.home = home;
  record.length = 1;
  record.type = static_cast<u8>(format::RecordType::mapping);
  record.member = member;
  return record;
}

class OnImages : public ::testing::Test {
 protected:
  void SetUp() override {
    for (MemoryDisk* disk : {&main_, &spare_1_, &spare_2_}) {
      disk->image().resize((disk == &main_ ? kMainSectors : kSpareSectors) * kSectorBytes);
    }
    run([](MetadataStore& store, FrameStack& frames, const FormatRequest& request) {
      return store.format(frames, request);
    });
    commit({mapping(10, 1, 60), mapping(11, 2, 60)}, true);
    clean_ = {spare_1_.image(), spare_2_.image()};
    expected_ = records();
    ASSERT_EQ(expected_.size(), 2U);
  }

  template <class Make>
  void run(Make make) {
    FormatRequest request;
    request.members = 3;
    request.name = "tank";
    for (Member m = 0; m < 3; ++m) request.device[m] = member_device(*disks_[m]);
    auto host = std::make_unique<OfflineHost>(
        std::vector<const OfflineDisk*>(disks_.begin(), disks_.end()));
    auto store = std::make_unique<MetadataStore>(*host, host->executor());
    ASSERT_EQ(store->open_memory(), Status::ok);
    EXPECT_EQ(host->run([&](FrameStack& frames) { return make(*store, frames, request); }),
              Status::ok);
    store->close_memory();
  }

  void commit(const std::vector<format::Record>& changes, bool then_checkpoint) {
    const auto set = arrange(disks_);
    ASSERT_TRUE(set.has_value());
    auto host = std::make_unique<OfflineHost>(
        std::vector<const OfflineDisk*>(disks_.begin(), disks_.end()));
    auto store = std::make_unique<MetadataStore>(*host, host->executor());
    ASSERT_EQ(store->open_memory(), Status::ok);
    MapModel map;
    FindingList findings;
    const LoadRequest request = load_request(*set);
    ASSERT_EQ(
        host->run([&](FrameStack& frames) { return store->load(frames, request, map, findings); }),
        Status::ok);
    RecordList source(map.records(store->geometry()));
    ASSERT_EQ(host->run([&](FrameStack& frames) { return store->begin_writing(frames, source); }),
              Status::ok);
    ASSERT_EQ(host->run([&](FrameStack& frames) -> Task<Status> {
      return commit_task(frames, *store, changes);
    }),
              Status::ok);
    for (const format::Record& record : changes) (void)map.replay(record);
    RecordList now(map.records(store->geometry()));
    if (then_checkpoint) {
      ASSERT_EQ(host->run([&](FrameStack& frames) { return store->checkpoint(frames, now); }),
                Status::ok);
    }
    store->close_memory();
  }
  static Task<Status> commit_task(FrameStack& frames, MetadataStore& store,
                                  const std::vector<format::Record>& changes) {
    const Result<CommitResult> done =
        co_await store.commit(frames, changes.data(), static_cast<u32>(changes.size()));
    co_return done && *done == CommitResult::durable ? Status::ok : Status::io_error;
  }

  [[nodiscard]] std::vector<format::Record> records() const {
    const auto set = arrange(disks_);
    if (!set) return {};
    const Examination found = examine(*set);
    EXPECT_EQ(found.status, Status::ok);
    return found.map.records(found.geometry);
  }
  void restore_images() {
    spare_1_.image() = clean_[0];
    spare_2_.image() = clean_[1];
  }
  [[nodiscard]] static bool is_same(const std::vector<format::Record>& a,
                                    const std::vector<format::Record>& b) {
    return a.size() == b.size() &&
           (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(a[0])) == 0);
  }
  [[nodiscard]] std::vector<SpareLayout> layouts() const {
    const auto set = arrange(disks_);
    return {*format::layout_of(set->superblock, 1), *format::layout_of(set->superblock, 2)};
  }
  static void damage(MemoryDisk& disk, Sector at, u32 byte = 100) {
    disk.image()[at.value * kSectorBytes + byte] ^= std::byte{0x10};
  }

  // What holds for any content of the disks.
  void expect_promises() {
    main_.writes = spare_1_.writes = spare_2_.writes = 0;
    const auto set = arrange(disks_);
    if (set) {
      const Examination found = examine(*set);
      EXPECT_EQ(spare_1_.writes + spare_2_.writes, 0U);
      if (found.status != Status::ok) {
        EXPECT_TRUE(found.map.mappings().empty());
        EXPECT_FALSE(is_clean(found));
      } else {
        EXPECT_TRUE(is_same(found.map.records(found.geometry), expected_));
      }
      const Repair done = repair(*set, {.degraded = true});
      if (done.outcome == RepairOutcome::repaired) {
        const auto again = arrange(disks_);
        ASSERT_TRUE(again.has_value());
        EXPECT_TRUE(is_clean(examine(*again)));
        EXPECT_TRUE(is_same(records(), expected_));
      } else {
        EXPECT_EQ(spare_1_.writes + spare_2_.writes, 0U) << int(done.outcome);
      }
    }
    EXPECT_EQ(main_.writes, 0U);
    EXPECT_EQ(main_.strays + spare_1_.strays + spare_2_.strays, 0U);
  }

  MemoryDisk main_{"main", {}};
  MemoryDisk spare_1_{"spare 1", {}};
  MemoryDisk spare_2_{"spare 2", {}};
  std::vector<const OfflineDisk*> disks_{&main_, &spare_1_, &spare_2_};
  std::vector<std::vector<std::byte>> clean_;
  std::vector<format::Record> expected_;
};

TEST_F(OnImages, ASoundSetIsLeftAlone) {
  spare_1_.writes = spare_2_.writes = 0;
  const Repair done = repair(*arrange(disks_), {});
  EXPECT_EQ(done.outcome, RepairOutcome::sound);
  EXPECT_EQ(main_.writes + spare_1_.writes + spare_2_.writes, 0U);
}

TEST_F(OnImages, TheOrderOfTheDisksDoesNotMatter) {
  disks_ = {&spare_2_, &main_, &spare_1_};
  const auto set = arrange(disks_);
  ASSERT_TRUE(set.has_value());
  EXPECT_EQ(set->disk[0], &main_);
  EXPECT_EQ(set->disk[1], &spare_1_);
  EXPECT_EQ(set->disk[2], &spare_2_);
}

TEST_F(OnImages, EveryMetadataBlockThatIsDamagedAloneIsRepaired) {
  for (MemoryDisk* disk : {&spare_1_, &spare_2_}) {
    const SpareLayout layout = layouts()[disk == &spare_1_ ? 0 : 1];
    std::vector<Sector> places(layout.superblock, layout.superblock + kSuperblockCopies);
    for (u32 area = 0; area < kAreas; ++area) {
      places.push_back(layout.checkpoint_block(area, 0));
      for (const u64 slot : {0U, 1U, 7U, 31U}) places.push_back(layout.journal_slot(area, slot));
    }
    for (const Sector place : places) {
      restore_images();
      damage(*disk, place);
      expect_promises();
      EXPECT_TRUE(is_clean(examine(*arrange(disks_)))) << place.value;
    }
  }
}

// core/log/damage_test.cpp has all bytes, before the same loader. The step is prime: of each place
// other bytes.
TEST_F(OnImages, ADamagedByteIsFoundWhereverItIs) {
  const SpareLayout layout = layouts()[0];
  const Sector places[] = {layout.superblock[0],          layout.superblock[2],
                           layout.checkpoint_block(0, 0), layout.checkpoint_block(1, 0),
                           layout.checkpoint_block(0, 1), layout.journal_slot(0, 0),
                           layout.journal_slot(1, 1)};
  u32 byte = 0;
  for (const Sector place : places) {
    for (; byte < kMetaBytes; byte += 53) {
      damage(spare_1_, place, byte);
      EXPECT_FALSE(is_clean(examine(*arrange(disks_)))) << place.value << " " << byte;
      damage(spare_1_, place, byte);  // and back
    }
    byte -= kMetaBytes;
  }
  EXPECT_TRUE(is_clean(examine(*arrange(disks_))));
}

TEST_F(OnImages, TwoBlocksThatAreDamagedTogetherAreRepairedOrRefused) {
  const SpareLayout layout = layouts()[0];
  const Sector places[] = {layout.superblock[0],          layout.superblock[1],
                           layout.superblock[2],          layout.checkpoint_block(0, 0),
                           layout.checkpoint_block(1, 0), layout.journal_slot(0, 1),
                           layout.journal_slot(1, 1)};
  for (const Sector a : places) {
    for (const Sector b : places) {
      for (MemoryDisk* other : {&spare_1_, &spare_2_}) {
        restore_images();
        damage(spare_1_, a);
        damage(*other, b, 101);
        expect_promises();
      }
    }
  }
}

TEST_F(OnImages, ASpareThatIsZeroedPartByPartIsRepairedOrRefused) {
  for (u64 begin = 0; begin < kSpareSectors; begin += 128) {
    for (const u64 length : {u64{8}, u64{128}, u64{512}, kSpareSectors}) {
      restore_images();
      const u64 end = std::min(begin + length, kSpareSectors);
      std::fill(spare_1_.image().begin() + static_cast<std::ptrdiff_t>(begin * kSectorBytes),
                spare_1_.image().begin() + static_cast<std::ptrdiff_t>(end * kSectorBytes),
                std::byte{0});
      expect_promises();
    }
  }
}

TEST_F(OnImages, BothCopiesOfAJournalBlockGoneIsBeyondRepair) {
  commit({mapping(12, 1, 61)}, false);
  commit({mapping(13, 1, 62)}, false);
  for (MemoryDisk* disk : {&spare_1_, &spare_2_}) damage(*disk, layouts()[0].journal_slot(0, 2));
  spare_1_.writes = spare_2_.writes = 0;
  const Repair done = repair(*arrange(disks_), {});
  EXPECT_EQ(done.outcome, RepairOutcome::beyond);
  EXPECT_EQ(done.status, Status::damaged);
  EXPECT_EQ(spare_1_.writes + spare_2_.writes, 0U);
}

TEST_F(OnImages, ASpareThatIsNotGivenIsNotCountedAsMissingByItself) {
  damage(spare_1_, layouts()[0].superblock[0]);
  disks_ = {&spare_1_};
  const Repair done = repair(*arrange(disks_), {});
  EXPECT_EQ(done.outcome, RepairOutcome::degraded);
  EXPECT_EQ(done.missing, 2);
}

TEST_F(OnImages, ABackupHoldsTheWholeState) {
  const Examination found = examine(*arrange(disks_));
  const std::vector<std::byte> bytes = encode(backup_of(found, 1234));
  EXPECT_EQ(bytes.size(), 3U * kMetaBytes);
  const auto again = decode(bytes, "file");
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->made_unix_s, 1234U);
  EXPECT_EQ(again->covered_sequence, 1U);
  EXPECT_TRUE(is_same(again->records, expected_));
  EXPECT_EQ(std::memcmp(&again->superblock, &found.superblock, kMetaBytes), 0);
}

TEST_F(OnImages, NoByteOfABackupMayBeWrong) {
  const std::vector<std::byte> good = encode(backup_of(examine(*arrange(disks_)), 1));
  for (std::size_t at = 0; at < good.size(); at += 13) {
    std::vector<std::byte> bad = good;
    bad[at] ^= std::byte{0x04};
    EXPECT_FALSE(decode(bad, "file").has_value()) << at;
  }
  for (std::size_t size = 0; size < good.size(); size += 512) {
    EXPECT_FALSE(decode(std::span(good).first(size), "file").has_value()) << size;
  }
}

TEST_F(OnImages, AnEmptyMapHasABackupToo) {
  restore_images();
  run([](MetadataStore& store, FrameStack& frames, const FormatRequest& request) {
    return store.format(frames, request);
  });
  const auto again = decode(encode(backup_of(examine(*arrange(disks_)), 1)), "file");
  ASSERT_TRUE(again.has_value());
  EXPECT_TRUE(again->records.empty());
  EXPECT_EQ(again->covered_sequence, 0U);
}

TEST_F(OnImages, RestoreBringsBackWhatABackupHolds) {
  const Backup saved = backup_of(examine(*arrange(disks_)), 1);
  const SpareLayout layout = layouts()[0];
  for (MemoryDisk* disk : {&spare_1_, &spare_2_}) {
    for (u32 area = 0; area < kAreas; ++area) damage(*disk, layout.checkpoint_block(area, 0));
  }
  disks_ = {&spare_2_, &spare_1_};
  const auto plan = plan_restore(saved, disks_, {});
  ASSERT_TRUE(plan.has_value()) << plan.error().message;
  EXPECT_FALSE(plan->request.is_older);
  ASSERT_TRUE(restore(*plan).has_value());
  EXPECT_TRUE(is_same(records(), expected_));
}

TEST_F(OnImages, RestoreOfAnOlderMapIsTheUsersDecision) {
  const Backup saved = backup_of(examine(*arrange(disks_)), 1);
  commit({mapping(12, 1, 61)}, true);
  disks_ = {&spare_1_, &spare_2_};
  const auto refused = plan_restore(saved, disks_, {.trust = true});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().exit_code, runtime::kExitRefused);
  EXPECT_THAT(refused.error().message, ::testing::HasSubstr("--older"));
  const auto plan = plan_restore(saved, disks_, {.older = true});
  ASSERT_TRUE(plan.has_value());
  EXPECT_TRUE(plan->request.is_older);
  ASSERT_TRUE(restore(*plan).has_value());
  EXPECT_TRUE(is_same(records(), expected_));
  EXPECT_TRUE(format::is_restored_older(arrange(disks_)->superblock));
  // An older one does not become a current one by being restored again.
  EXPECT_FALSE(plan_restore(saved, disks_, {}).has_value());
  EXPECT_FALSE(plan_restore(saved, disks_, {.trust = true}).has_value());
}

TEST_F(OnImages, BlocksOfAReplacedSpareAreLost) {
  const Backup saved = backup_of(examine(*arrange(disks_)), 1);
  MemoryDisk blank("blank", std::vector<std::byte>(kSpareSectors * kSectorBytes));
  disks_ = {&blank, &spare_2_};
  EXPECT_FALSE(plan_restore(saved, disks_, {}).has_value());
  const auto plan = plan_restore(saved, disks_, {.older = true, .replaced = true});
  ASSERT_TRUE(plan.has_value());
  EXPECT_TRUE(plan->replaced[1]);
  EXPECT_EQ(plan->lost_blocks, 1U);
  ASSERT_TRUE(restore(*plan).has_value());
  const Examination found = examine(*arrange(disks_));
  const auto mappings = found.map.mappings();
  ASSERT_EQ(mappings.size(), 2U);
  EXPECT_EQ(mappings[0].member, kMain);
  EXPECT_TRUE(mappings[0].lost_all);
  EXPECT_EQ(mappings[1].member, 2);
}

TEST_F(OnImages, SalvageFindsTheMapWhenNoCheckpointIsLeft) {
  for (MemoryDisk* disk : {&spare_1_, &spare_2_}) {
    for (u32 area = 0; area < kAreas; ++area) {
      damage(*disk, layouts()[0].checkpoint_block(area, 0));
    }
  }
  const auto found = salvage(disks_);
  ASSERT_TRUE(found.has_value());
  EXPECT_TRUE(is_same(found->records, expected_));
  EXPECT_TRUE(found->gaps.empty());
  EXPECT_EQ(found->bad_blocks, 4U);
}

}  // namespace
}  // namespace dmr::cli

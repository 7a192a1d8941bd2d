// SPDX-License-Identifier: GPL-2.0-or-later
// Members: the right disks or none, spares that are missing, lag, come back, leave or were changed
// apart from each other, and sets made by other versions.
#include <gtest/gtest.h>

#include "core/log/membership.h"
#include "core/testing/store_bench.h"

namespace dmr {
namespace {

using format::MemberState;
using testing::MapModel;
using testing::MemoryDisks;
using testing::StoreBench;

LoadRequest without(const StoreBench& bench, std::initializer_list<Member> missing) {
  LoadRequest request = bench.load_request();
  for (const Member m : missing) request.device[m].present = false;
  request.allow_degraded = true;
  return request;
}

void put(MemberDevice& device, const char* identity) {
  for (u32 i = 0; identity[i] != 0; ++i) device.identity[i] = identity[i];
}

class Members : public ::testing::Test {
 protected:
  void SetUp() override {
    FormatRequest request = bench_.format_request();
    put(request.device[0], "main-serial");
    put(request.device[1], "S1|wwn1");
    ASSERT_EQ(bench_.run(bench_.store->format(bench_.frames, request)), Status::ok);
    ASSERT_EQ(bench_.load(), Status::ok);
    ASSERT_EQ(bench_.begin(), Status::ok);
    ASSERT_TRUE(bench_.commit(1, 1, 30));
    bench_.restart();
  }

  // Starts without these members, commits once and stops.
  void change_without(std::initializer_list<Member> missing, u64 block, u64 value) {
    bench_.restart();
    ASSERT_EQ(bench_.load(without(bench_, missing)), Status::ok);
    ASSERT_EQ(bench_.begin(), Status::ok);
    ASSERT_TRUE(bench_.commit(block, value));
    bench_.restart();
  }

  void expect_wrong(const LoadRequest& request, WrongMember wrong, Member member) {
    const u64 writes = bench_.disks.writes;
    EXPECT_EQ(bench_.load(request), Status::wrong_member);
    ASSERT_EQ(bench_.findings.count(FindingKind::member_wrong), 1U);
    const Finding& finding = bench_.findings.all.back();
    EXPECT_EQ(finding.kind, FindingKind::member_wrong);
    EXPECT_EQ(finding.wrong, wrong);
    EXPECT_EQ(finding.member, member);
    EXPECT_TRUE(finding.fatal);
    EXPECT_EQ(bench_.disks.writes, writes);
  }

  // Changes the superblocks of a spare as another program would have written them.
  template <class Change>
  void rewrite_superblocks(Member member, Change change, u8 copies = kSuperblockCopies) {
    for (u8 copy = 0; copy < copies; ++copy) {
      const Result<Sector> at = SpareLayout::superblock_sector(bench_.disks.sectors(member), copy);
      auto& block = *reinterpret_cast<format::Superblock*>(bench_.disks.bytes(member).data() +
                                                           at->value * kSectorBytes);
      change(block);
      const format::Place place{.kind = format::Kind::superblock,
                                .member = member,
                                .area = copy,
                                .set = block.header.set,
                                .address = *at};
      format::seal(block, place, block.header.sequence, block.header.open_epoch);
    }
  }

  StoreBench bench_{2};
};

TEST_F(Members, DeviceOfAnotherSizeIsRefusedWithBothSizes) {
  for (const Member m : {Member{0}, Member{1}, Member{2}}) {
    LoadRequest request = bench_.load_request();
    const u64 expected = request.device[m].sectors;
    request.device[m].sectors -= 128;
    expect_wrong(request, WrongMember::size, m);
    EXPECT_EQ(bench_.findings.all.back().expected, expected);
    EXPECT_EQ(bench_.findings.all.back().found, expected - 128);
  }
}

TEST_F(Members, OtherLogicalBlockSizeIsRefused) {
  LoadRequest request = bench_.load_request();
  request.device[kMain].logical_block_bytes = 4096;
  expect_wrong(request, WrongMember::logical_block, kMain);
  EXPECT_EQ(bench_.findings.all.back().expected, 512U);
  EXPECT_EQ(bench_.findings.all.back().found, 4096U);
}

TEST_F(Members, OtherSerialIsRefusedUnlessAskedFor) {
  LoadRequest request = bench_.load_request();
  put(request.device[kMain], "main-serial");
  put(request.device[1], "S1|wwn1");
  put(request.device[2], "the table knows none");
  EXPECT_EQ(bench_.load(request), Status::ok);
  put(request.device[kMain], "main-serial-2");
  expect_wrong(request, WrongMember::identity, kMain);
  request.ignore_identity = true;
  EXPECT_EQ(bench_.load(request), Status::ok);
}

TEST_F(Members, SwappedSparesAreRefused) {
  std::swap(bench_.disks.bytes(1), bench_.disks.bytes(2));
  expect_wrong(bench_.load_request(), WrongMember::place, 1);
}

TEST_F(Members, SpareOfAnotherSetIsRefused) {
  StoreBench other(2);
  other.disks.random_state = 4711;
  ASSERT_EQ(other.format(), Status::ok);
  bench_.disks.bytes(2) = other.disks.bytes(2);
  EXPECT_EQ(bench_.load(), Status::wrong_member);
  EXPECT_EQ(bench_.findings.all.back().wrong, WrongMember::set);
}

TEST_F(Members, OneSuperblockOfAnotherSetIsDamageThatIsRepaired) {
  const auto into_another_set = [](format::Superblock& block) {
    block.header.set.bytes[0] ^= 1;
    block.header.sequence += 100;  // newer than all that is ours
  };
  rewrite_superblocks(1, into_another_set, 1);
  ASSERT_EQ(bench_.load(), Status::ok);
  ASSERT_EQ(bench_.findings.count(FindingKind::superblock_damaged), 1U);
  EXPECT_EQ(bench_.findings.all.back().copy, 0);
  ASSERT_EQ(bench_.begin(), Status::ok);
  bench_.restart();
  ASSERT_EQ(bench_.load(), Status::ok);
  EXPECT_TRUE(bench_.findings.all.empty());
}

TEST_F(Members, SpareBeyondTheTableIsRefused) {
  LoadRequest request = bench_.load_request();
  request.members = 4;
  request.device[3] = request.device[kMain];
  request.device[3].present = true;
  request.device[3].sectors = 100;  // too small to hold anything of ours
  expect_wrong(request, WrongMember::place, 3);
}

TEST_F(Members, DiskWithNothingOfOursIsNotFound) {
  bench_.disks.bytes(1).assign(bench_.disks.bytes(1).size(), std::byte{0});
  EXPECT_EQ(bench_.load(), Status::not_found);
  bench_.disks.bytes(2).assign(bench_.disks.bytes(2).size(), std::byte{0x33});
  EXPECT_EQ(bench_.load(), Status::not_found);
  EXPECT_EQ(bench_.load(without(bench_, {1, 2})), Status::member_missing);
}

TEST_F(Members, MissingMemberNeedsToBeAllowed) {
  for (const Member m : {Member{0}, Member{1}, Member{2}}) {
    LoadRequest request = without(bench_, {m});
    request.allow_degraded = false;
    EXPECT_EQ(bench_.load(request), Status::member_missing);
    ASSERT_EQ(bench_.findings.all.size(), 1U);
    EXPECT_EQ(bench_.findings.all[0].kind, FindingKind::member_missing);
    EXPECT_EQ(bench_.findings.all[0].member, m);
    EXPECT_TRUE(bench_.findings.all[0].fatal);
    request.allow_degraded = true;
    EXPECT_EQ(bench_.load(request), Status::ok);
    EXPECT_FALSE(bench_.findings.all[0].fatal);
    EXPECT_FALSE(bench_.store->present(m));
    EXPECT_EQ(bench_.model.map.size(), 30U);
  }
}

TEST_F(Members, MissingMemberIsRecordedAndBroughtUpToDateWhenItIsBack) {
  change_without({2}, 7, 70);
  ASSERT_EQ(bench_.load(without(bench_, {2})), Status::ok);
  EXPECT_EQ(bench_.store->state(2), MemberState::missing);
  ASSERT_EQ(bench_.begin(), Status::ok);
  const u64 generation = bench_.store->superblock().membership.generation;
  for (u64 i = 0; i < 100; ++i) ASSERT_TRUE(bench_.commit_as_volume(i, 1 + i));
  const MapModel::Map expected = bench_.model.map;
  bench_.restart();
  ASSERT_EQ(bench_.load(), Status::ok);
  EXPECT_EQ(bench_.model.map, expected);
  EXPECT_EQ(bench_.findings.count(FindingKind::member_stale), 1U);
  EXPECT_EQ(bench_.store->state(2), MemberState::missing);  // until writing begins
  ASSERT_EQ(bench_.begin(), Status::ok);
  EXPECT_EQ(bench_.store->state(2), MemberState::live);
  EXPECT_EQ(bench_.store->superblock().membership.generation, generation + 1);
  bench_.restart();
  ASSERT_EQ(bench_.load(without(bench_, {1})), Status::ok);  // alone it has everything
  EXPECT_EQ(bench_.model.map, expected);
}

// It holds a block that the others never had, under the sequence that they use next.
TEST_F(Members, JournalOfAMemberThatComesBackIsNotReplayed) {
  ASSERT_EQ(bench_.load(), Status::ok);
  ASSERT_EQ(bench_.begin(), Status::ok);
  bench_.disks.fault = [](const DeviceIo& io) {
    const bool hit = io.op == IoOp::write && io.member == 1;
    return MemoryDisks::Fate{hit ? IoStatus::offline : IoStatus::ok};
  };
  const std::vector<MemoryDisks::Image> before = bench_.disks.durable();
  ASSERT_TRUE(bench_.commit(9, 99));  // on member 2 only
  bench_.disks.fault = nullptr;
  std::vector<MemoryDisks::Image> images = bench_.disks.durable();
  const SpareLayout layout = bench_.store->layout(2);
  images[1] = before[1];
  images[2] = before[2];  // the power failed before the retirement ...
  const std::size_t slot = layout.journal_slot(0, 2).value * kSectorBytes;
  std::memcpy(images[2].data() + slot, bench_.disks.bytes(2).data() + slot, kMetaBytes);
  bench_.disks.restore(images);
  bench_.restart();  // ... and the set goes on without that spare
  ASSERT_EQ(bench_.load(without(bench_, {2})), Status::ok);
  ASSERT_EQ(bench_.begin(), Status::ok);
  bench_.restart();
  ASSERT_EQ(bench_.load(), Status::ok);
  ASSERT_EQ(bench_.begin(), Status::ok);
  const MapModel::Map expected = bench_.model.map;
  EXPECT_EQ(expected.count(9), 1U);
  EXPECT_EQ(expected.at(9), 1U);
  for (const Member missing : {Member{1}, Member{2}}) {
    bench_.restart();
    ASSERT_EQ(bench_.load(without(bench_, {missing})), Status::ok);
    EXPECT_EQ(bench_.model.map, expected);
  }
}

TEST_F(Members, ChangedApartFromEachOtherIsRefused) {
  change_without({1}, 7, 70);
  change_without({2}, 7, 71);
  const u64 writes = bench_.disks.writes;
  EXPECT_EQ(bench_.load(), Status::divergent);
  EXPECT_EQ(bench_.findings.count(FindingKind::members_divergent), 1U);
  EXPECT_EQ(bench_.disks.writes, writes);
  // Each of them alone still is a set.
  EXPECT_EQ(bench_.load(without(bench_, {2})), Status::ok);
  EXPECT_EQ(bench_.load(without(bench_, {1})), Status::ok);
}

TEST_F(Members, ChangedApartIsSeenWhenOneSideWentFurther) {
  change_without({1}, 7, 70);
  for (u64 i = 0; i < 3; ++i) {
    change_without({2}, 7, 71 + i);
    ASSERT_EQ(bench_.load(without(bench_, {2})), Status::ok);
    ASSERT_EQ(bench_.begin(), Status::ok);
  }
  bench_.restart();
  EXPECT_EQ(bench_.load(), Status::divergent);
}

TEST_F(Members, FailedMemberStaysFailedAndItsMetadataIsNotReplayed) {
  ASSERT_EQ(bench_.load(), Status::ok);
  ASSERT_EQ(bench_.begin(), Status::ok);
  ASSERT_EQ(bench_.run(bench_.store->set_member_state(bench_.frames, 1, MemberState::failed)),
            Status::ok);
  EXPECT_TRUE(bench_.store->should_checkpoint());
  ASSERT_TRUE(bench_.commit(9, 9));
  const MapModel::Map expected = bench_.model.map;
  for (int i = 0; i < 2; ++i) {
    bench_.restart();
    ASSERT_EQ(bench_.load(), Status::ok);
    EXPECT_EQ(bench_.model.map, expected);
    EXPECT_EQ(bench_.store->state(1), MemberState::failed);
    EXPECT_TRUE(bench_.store->present(1));
    ASSERT_EQ(bench_.begin(), Status::ok);
  }
  bench_.restart();
  for (std::byte& byte : bench_.disks.bytes(1)) byte = std::byte{0};
  EXPECT_EQ(bench_.load(), Status::member_missing);  // nothing proves that this is the one
  LoadRequest request = bench_.load_request();
  request.allow_degraded = true;
  ASSERT_EQ(bench_.load(request), Status::ok);
  EXPECT_FALSE(bench_.store->present(1));
  EXPECT_EQ(bench_.model.map, expected);
}

TEST_F(Members, LastLiveSpareCannotBeRetired) {
  ASSERT_EQ(bench_.load(without(bench_, {2})), Status::ok);
  ASSERT_EQ(bench_.begin(), Status::ok);
  EXPECT_EQ(bench_.run(bench_.store->set_member_state(bench_.frames, 1, MemberState::failed)),
            Status::io_error);
  EXPECT_EQ(bench_.store->state(1), MemberState::live);
  EXPECT_TRUE(bench_.commit(9, 9));
}

TEST_F(Members, RemovedMemberIsNotAskedForAgain) {
  ASSERT_EQ(bench_.load(), Status::ok);
  ASSERT_EQ(bench_.begin(), Status::ok);
  ASSERT_EQ(bench_.run(bench_.store->set_member_state(bench_.frames, 2, MemberState::removed)),
            Status::ok);
  bench_.restart();
  LoadRequest request = without(bench_, {2});
  request.allow_degraded = false;
  EXPECT_EQ(bench_.load(request), Status::ok);
  EXPECT_TRUE(bench_.findings.all.empty());
}

TEST_F(Members, LaggingSuperblocksFollowTheNewest) {
  const MemoryDisks::Image before = bench_.disks.bytes(2);
  ASSERT_EQ(bench_.load(), Status::ok);
  ASSERT_EQ(bench_.begin(), Status::ok);
  for (const Sector address : bench_.store->layout(2).superblock) {
    std::memcpy(bench_.disks.bytes(2).data() + address.value * kSectorBytes,
                before.data() + address.value * kSectorBytes, kMetaBytes);
  }
  const u64 generation = bench_.store->superblock().open_generation;
  bench_.restart();
  ASSERT_EQ(bench_.load(), Status::ok);
  EXPECT_EQ(bench_.store->superblock().open_generation, generation);
}

TEST_F(Members, OlderSuperblocksThanTheJournalAreRefused) {
  const std::vector<MemoryDisks::Image> before = bench_.disks.durable();
  ASSERT_EQ(bench_.load(), Status::ok);
  ASSERT_EQ(bench_.begin(), Status::ok);
  ASSERT_TRUE(bench_.commit(9, 9));
  for (const Member m : {Member{1}, Member{2}}) {
    for (const Sector address : bench_.store->layout(m).superblock) {
      std::memcpy(bench_.disks.bytes(m).data() + address.value * kSectorBytes,
                  before[m].data() + address.value * kSectorBytes, kMetaBytes);
    }
  }
  bench_.restart();
  EXPECT_EQ(bench_.load(), Status::damaged);
}

TEST_F(Members, NewerVersionsAndUnknownFeaturesAreNotTouched) {
  const std::vector<MemoryDisks::Image> before = bench_.disks.durable();
  rewrite_superblocks(2, [](format::Superblock& block) { block.incompat = 4; });
  EXPECT_EQ(bench_.load(), Status::wrong_version);
  bench_.disks.restore(before);
  rewrite_superblocks(1, [](format::Superblock& block) { ++block.version_major; });
  EXPECT_EQ(bench_.load(), Status::wrong_version);
  bench_.disks.restore(before);
  for (const Member m : {Member{1}, Member{2}}) {
    rewrite_superblocks(m, [](format::Superblock& block) { block.ro_compat = u64{1} << 63; });
  }
  const u64 writes = bench_.disks.writes;
  EXPECT_EQ(bench_.load(), Status::ok);
  EXPECT_FALSE(bench_.store->writable_allowed());
  EXPECT_EQ(bench_.begin(), Status::read_only);
  EXPECT_EQ(bench_.disks.writes, writes);
}

TEST(Membership, HistoryIsFollowedAsFarAsItReaches) {
  format::Superblock block{};
  block.membership = {1, 1000};
  for (u64 i = 2; i <= 30; ++i) begin_membership(block, 1000 * i);
  EXPECT_EQ(block.membership.generation, 30U);
  EXPECT_TRUE(membership_descends_from(block, {30, 30000}));
  EXPECT_FALSE(membership_descends_from(block, {30, 1}));
  EXPECT_TRUE(membership_descends_from(block, {29, 29000}));
  EXPECT_TRUE(membership_descends_from(block, {14, 14000}));
  EXPECT_FALSE(membership_descends_from(block, {14, 1}));
  EXPECT_FALSE(membership_descends_from(block, {13, 13000}));  // forgotten: nobody can tell
  EXPECT_FALSE(membership_descends_from(block, {31, 31000}));
}

TEST(MembersOfUnequalSize, ShareAJournalAsLongAsTheShortest) {
  StoreBench bench(1, 2048);
  bench.disks.add(65536);
  FormatRequest request = bench.format_request();
  request.block_sectors = 128;  // else the small one has no room for a record of each block
  ASSERT_EQ(bench.run(bench.store->format(bench.frames, request)), Status::ok);
  ASSERT_EQ(bench.load(), Status::ok);
  ASSERT_EQ(bench.begin(), Status::ok);
  ASSERT_EQ(bench.store->layout(1).journal_slots, 32U);
  ASSERT_EQ(bench.store->layout(2).journal_slots, 128U);
  for (u64 i = 0; i < 300; ++i) ASSERT_TRUE(bench.commit_as_volume(i % 70, 1 + i % 200));
  ASSERT_EQ(bench.run(bench.store->set_member_state(bench.frames, 1, MemberState::failed)),
            Status::ok);
  for (u64 i = 0; i < 300; ++i) {
    ASSERT_TRUE(bench.commit_as_volume(i % 90, 1 + i % 190));
    if (i % 37 != 0) continue;
    const MapModel::Map expected = bench.model.map;
    bench.restart();
    ASSERT_EQ(bench.load(), Status::ok);
    ASSERT_EQ(bench.model.map, expected);
    EXPECT_TRUE(bench.findings.all.empty());
    ASSERT_EQ(bench.begin(), Status::ok);
  }
}

}  // namespace
}  // namespace dmr

// SPDX-License-Identifier: GPL-2.0-or-later
// Superblocks with a good CRC and bad content: newer versions are called newer, nonsense is
// refused.
#include "core/format/validate.h"

#include <functional>
#include <string>

#include <gtest/gtest.h>

#include "core/format/test_blocks.h"

namespace dmr::format {
namespace {

using namespace testing;

using Edit = std::function<void(Superblock&)>;

Judgement after(const Edit& edit, Access access = Access::read_write) {
  Superblock block = good_superblock();
  edit(block);
  return validate_superblock(block, access);
}

void expect_damaged(const Edit& edit, const std::string& words) {
  const Judgement found = after(edit);
  EXPECT_EQ(found.status, Status::damaged) << words;
  EXPECT_EQ(found.why, words);
}

TEST(ValidateSuperblock, AGoodOneIsAccepted) {
  const Judgement found = after([](Superblock&) {});
  EXPECT_EQ(found.status, Status::ok) << found.why;
  EXPECT_EQ(std::string(found.why), "");
}

TEST(ValidateSuperblock, TheLargestSetAndTheLongestTextsAreAccepted) {
  const auto found = after([](Superblock& block) {
    block.member_count = kMaxMembers;
    for (u8 i = 3; i < kMaxMembers; ++i) {
      block.member[i] = block.member[1];
      block.member[i].uuid = uuid_of(static_cast<u8>(0x60 + i));
    }
    std::memset(block.name, 'n', kNameBytes - 1);
    std::memset(block.member[4].identity, 'i', kIdentityBytes - 1);
    std::memset(block.member[5].identity, 0, kIdentityBytes);
    for (u32 i = 0; i < kMembershipHistory; ++i) block.history[i] = {100 - i, i};
    block.membership = {101, 0};
  });
  EXPECT_EQ(found.status, Status::ok) << found.why;
}

TEST(ValidateSuperblock, AnotherMajorVersionIsNotUnderstood) {
  for (const u16 major : {u16{0}, u16{2}, u16{0xFFFF}}) {
    EXPECT_EQ(after([&](Superblock& b) { b.version_major = major; }).status, Status::wrong_version);
  }
  // Even if all else in it looks like nonsense from here.
  EXPECT_EQ(after([](Superblock& b) {
              std::memset(&b.version_minor, 0xEE, sizeof(b) - offsetof(Superblock, version_minor));
              b.version_major = 2;
            }).status,
            Status::wrong_version);
}

TEST(ValidateSuperblock, EveryUnknownIncompatFeatureIsRefused) {
  for (u32 bit = 0; bit < 64; ++bit) {
    if (((kKnownIncompat >> bit) & 1U) != 0) continue;
    const Edit edit = [&](Superblock& b) { b.incompat = u64{1} << bit; };
    EXPECT_EQ(after(edit).status, Status::wrong_version) << bit;
    EXPECT_EQ(after(edit, Access::read_only).status, Status::wrong_version) << bit;
  }
}

TEST(ValidateSuperblock, EveryUnknownRoCompatFeatureForbidsWritingOnly) {
  for (u32 bit = 0; bit < 64; ++bit) {
    if (((kKnownRoCompat >> bit) & 1U) != 0) continue;
    const Edit edit = [&](Superblock& b) { b.ro_compat = u64{1} << bit; };
    EXPECT_EQ(after(edit).status, Status::wrong_version) << bit;
    EXPECT_EQ(after(edit, Access::read_only).status, Status::ok) << bit;
  }
}

TEST(ValidateSuperblock, AMapThatMayBeOlderThanTheBlocksIsKnownAsSuch) {
  EXPECT_EQ(after([](Superblock& b) { b.ro_compat = kRestoredOlder; }).status, Status::ok);
  Superblock block{};
  EXPECT_FALSE(is_restored_older(block));
  block.ro_compat = kRestoredOlder;
  EXPECT_TRUE(is_restored_older(block));
}

TEST(ValidateSuperblock, CompatFeaturesAndANewerMinorVersionAreNoObstacle) {
  EXPECT_EQ(after([](Superblock& b) { b.compat = ~u64{0}; }).status, Status::ok);
  EXPECT_EQ(after([](Superblock& b) { b.version_minor = 9; }).status, Status::ok);
}

TEST(ValidateSuperblock, ReservedBytesInUseAreRefusedAsDamageOrAsNewer) {
  const Edit edits[] = {
      [](Superblock& b) { b.header.reserved = 1; },
      [](Superblock& b) { b.reserved0[0] = 1; },
      [](Superblock& b) { b.reserved0[2] = 1; },
      [](Superblock& b) { b.reserved[0] = 1; },
      [](Superblock& b) { b.reserved[sizeof(b.reserved) - 1] = 1; },
      [](Superblock& b) { b.member[0].reserved[0] = 1; },
      [](Superblock& b) { b.member[2].reserved[6] = 1; },
      [](Superblock& b) { b.member[8].reserved[3] = 1; },
  };
  for (const Edit& edit : edits) {
    expect_damaged(edit, "reserved bytes of the superblock are not zero");
    EXPECT_EQ(after([&](Superblock& b) {
                edit(b);
                b.version_minor = kVersionMinor + 1;
              }).status,
              Status::wrong_version);
  }
}

TEST(ValidateSuperblock, NonsenseAboutTheSetIsRefused) {
  expect_damaged([](Superblock& b) { b.oldest_minor = 1; },
                 "the oldest minor version is newer than the present one");
  expect_damaged([](Superblock& b) { b.header.set = Uuid{}; }, "the set UUID is zero");
  expect_damaged([](Superblock& b) { b.header.sequence = 0; }, "the superblock version is zero");
  for (const u32 size : {0U, 3U, 256U, ~0U}) {
    expect_damaged([&](Superblock& b) { b.block_sectors = size; },
                   "the volume's size or block size cannot be");
  }
  for (const u64 size : {u64{0}, kMaxSectors, ~u64{0}}) {
    expect_damaged([&](Superblock& b) { b.volume_sectors = size; },
                   "the volume's size or block size cannot be");
  }
  expect_damaged([](Superblock& b) { b.policy = 2; }, "the policy is not known");
}

TEST(ValidateSuperblock, ANameThatIsNoPlainFileNameIsRefused) {
  const auto expect_bad = [](std::string_view name) {
    expect_damaged(
        [&](Superblock& b) {
          std::memset(b.name, 0, sizeof(b.name));
          std::memcpy(b.name, name.data(), name.size());
        },
        "the volume's name is not a plain text");
  };
  expect_bad("../etc");
  expect_bad(".");
  expect_bad("..");
  expect_bad("two\nlines");
  expect_bad("esc\x1B[2J");
  expect_bad(std::string_view("gap\0after", 9));
  expect_bad(std::string(kNameBytes, 'x'));  // no room for the end
}

TEST(ValidateSuperblock, AMembershipHistoryOutOfOrderIsRefused) {
  expect_damaged([](Superblock& b) { b.membership.generation = 0; },
                 "the membership generation is zero");
  expect_damaged([](Superblock& b) { b.history[0].generation = 3; },
                 "the membership history is not in descending order");
  expect_damaged([](Superblock& b) { b.history[1].generation = 2; },
                 "the membership history is not in descending order");
  expect_damaged([](Superblock& b) { b.history[4].generation = 1; },
                 "the membership history is not in descending order");
  expect_damaged([](Superblock& b) { b.history[15].epoch = 1; },
                 "the membership history has half a row");
}

TEST(ValidateSuperblock, NonsenseInTheMemberTableIsRefused) {
  for (const u8 count : {u8{0}, u8{1}, u8{10}, u8{255}}) {
    expect_damaged([&](Superblock& b) { b.member_count = count; },
                   "the number of members cannot be");
  }
  expect_damaged([](Superblock& b) { b.member_count = 2; },
                 "an unused row of the member table is set");
  expect_damaged([](Superblock& b) { b.member[8].identity[95] = 'x'; },
                 "an unused row of the member table is set");
  for (const u8 state : {u8{0}, u8{5}, u8{255}}) {
    expect_damaged([&](Superblock& b) { b.member[2].state = state; },
                   "the state of a member is not known");
  }
  expect_damaged([](Superblock& b) { b.member[1].uuid = Uuid{}; }, "the UUID of a member is zero");
  expect_damaged([](Superblock& b) { b.member[2].uuid = b.member[0].uuid; },
                 "two members have the same UUID");
  for (const u32 bytes : {0U, 256U, 513U, ~0U}) {
    expect_damaged([&](Superblock& b) { b.member[1].logical_block_bytes = bytes; },
                   "the logical block size of a member is no power of two from 512");
  }
  expect_damaged([](Superblock& b) { b.member[1].identity[1] = '\n'; },
                 "the identity of a member is not plain text");
  expect_damaged([](Superblock& b) { std::memset(b.member[1].identity, 'x', kIdentityBytes); },
                 "the identity of a member is not plain text");
}

TEST(ValidateSuperblock, NonsenseAboutMainIsRefused) {
  expect_damaged([](Superblock& b) { b.member[0].state = static_cast<u8>(MemberState::removed); },
                 "main is removed");
  expect_damaged([](Superblock& b) { b.member[0].journal_slots = 32; }, "main carries metadata");
  expect_damaged([](Superblock& b) { b.member[0].checkpoint_blocks = 2; }, "main carries metadata");
  for (const u64 sectors : {kVolumeSectors - 1, kMaxSectors}) {
    expect_damaged([&](Superblock& b) { b.member[0].sectors = sectors; },
                   "main is smaller than the volume");
  }
  expect_damaged([](Superblock& b) { b.member[0].logical_block_bytes = 8192; },
                 "a block is smaller than main's logical block");
  EXPECT_TRUE(after([](Superblock& b) { b.member[0].sectors += 8; }));  // replaced by a larger one
}

TEST(ValidateSuperblock, NonsenseAboutASpareIsRefused) {
  expect_damaged([](Superblock& b) { b.member[1].logical_block_bytes = 1024; },
                 "a spare's logical block is larger than main's");
  expect_damaged(
      [](Superblock& b) {
        b.block_sectors = 128;
        b.member[0].logical_block_bytes = 16384;
        b.member[1].logical_block_bytes = 8192;
      },
      "a spare's logical block is larger than a metadata block");
  for (const u64 sectors : {u64{0}, u64{100}, u64{5000}, kMaxSectors, ~u64{0}}) {
    expect_damaged([&](Superblock& b) { b.member[2].sectors = sectors; },
                   "a spare's size does not fit its metadata");
  }
  for (const u64 blocks : {u64{0}, u64{1}, u64{1} << 40, ~u64{0}}) {
    expect_damaged([&](Superblock& b) { b.member[2].checkpoint_blocks = blocks; },
                   "a spare's size does not fit its metadata");
  }
  for (const u32 slots : {0U, 33U, 2048U, ~0U}) {
    expect_damaged([&](Superblock& b) { b.member[2].journal_slots = slots; },
                   "a spare's size does not fit its metadata");
  }
}

TEST(ValidateSuperblock, OneThatDoesNotLieWhereItSaysIsRefused) {
  for (const u8 own : {u8{0}, u8{2}, u8{3}, u8{255}}) {
    expect_damaged([&](Superblock& b) { b.own_member = own; },
                   "the superblock's own member number is wrong");
  }
  expect_damaged([](Superblock& b) { b.header.address = 16; },
                 "the superblock does not lie where its member's size puts it");
  expect_damaged([](Superblock& b) { b.header.area = 1; },
                 "the superblock does not lie where its member's size puts it");
  expect_damaged([](Superblock& b) { b.header.area = 3; },
                 "the superblock does not lie where its member's size puts it");
}

TEST(ValidateSuperblock, LayoutsAreThoseOfTheMemberTable) {
  const Superblock block = good_superblock();
  EXPECT_EQ(layout_of(block, 1)->device_sectors, kSpareSectors[0]);
  EXPECT_EQ(layout_of(block, 2)->device_sectors, kSpareSectors[1]);
  EXPECT_EQ(layout_of(block, 2)->checkpoint_blocks, u64{block.member[2].checkpoint_blocks});
  EXPECT_EQ(layout_of(block, kMain).status(), Status::invalid);
  EXPECT_EQ(layout_of(block, kMaxMembers).status(), Status::invalid);
  EXPECT_FALSE(layout_of(block, 3).has_value());
  EXPECT_EQ(geometry_of(block)->blocks(), (kVolumeSectors + 7) / 8);
}

}  // namespace
}  // namespace dmr::format

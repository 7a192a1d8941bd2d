// SPDX-License-Identifier: GPL-2.0-or-later
// A metadata block that is not exactly the one expected is noticed: damage of every single bit,
// and intact blocks of another kind, set, member, area or place.
#include "core/format/codec.h"

#include <vector>

#include <gtest/gtest.h>

#include "core/format/test_blocks.h"

namespace dmr::format {
namespace {

using namespace testing;

// Flips each bit in turn. `judge` must never call the result good, nor the good one bad.
template <class T, class Judge>
void expect_every_flip_noticed(T block, Judge judge) {
  ASSERT_EQ(judge(block), Verdict::ok);
  const MetaBytes bytes = bytes_of(block);
  for (u32 bit = 0; bit < kMetaBytes * 8; ++bit) {
    const auto flip = static_cast<std::byte>(1U << (bit % 8));
    bytes[bit / 8] ^= flip;
    const Verdict verdict = judge(block);
    ASSERT_NE(verdict, Verdict::ok) << "bit " << bit % 8 << " of byte " << bit / 8;
    ASSERT_NE(verdict, Verdict::blank);
    bytes[bit / 8] ^= flip;
  }
}

template <class T>
void expect_every_flip_noticed_at(const T& block, const Place& place) {
  expect_every_flip_noticed(block, [&](const T& damaged) { return check(damaged, place); });
}

TEST(Codec, EverySingleBitFlipOfASuperblockIsNoticed) {
  expect_every_flip_noticed_at(good_superblock(), superblock_place());
}

TEST(Codec, EverySingleBitFlipOfASuperblockOfUnknownSetIsNoticed) {
  expect_every_flip_noticed(good_superblock(), [](const Superblock& damaged) {
    return check_of_any_set(damaged, superblock_place());
  });
}

TEST(Codec, EverySingleBitFlipOfAJournalBlockIsNoticed) {
  expect_every_flip_noticed_at(good_journal(), journal_place());
}

TEST(Codec, EverySingleBitFlipOfACheckpointHeaderIsNoticed) {
  expect_every_flip_noticed_at(good_checkpoint(), checkpoint_place());
}

TEST(Codec, EverySingleBitFlipOfACheckpointBodyIsNoticed) {
  expect_every_flip_noticed_at(good_body(), body_place());
}

TEST(Codec, EveryTornWriteBetweenTwoJournalBlocksIsNoticed) {
  const JournalBlock before = good_journal();
  JournalBlock after = good_journal();
  after.records = kJournalRecords;
  for (u32 i = 0; i < kJournalRecords; ++i) after.record[i] = good_record(5 * i + 1);
  std::memset(after.tail, 0, sizeof(after.tail));
  seal(after, journal_place(), 7 + 64, kOpenEpoch);
  for (u32 mask = 1; mask < 255; ++mask) {
    JournalBlock torn = before;
    for (u32 sector = 0; sector < 8; ++sector) {
      if ((mask >> sector & 1U) == 0) continue;
      const std::size_t at = std::size_t{sector} * kSectorBytes;
      std::memcpy(bytes_of(torn).data() + at, bytes_of(after).data() + at, kSectorBytes);
    }
    // Its last sector holds records and the tail in `after`, zeros in `before`: all eight differ.
    EXPECT_EQ(check(torn, journal_place()), Verdict::bad_crc) << "mask " << mask;
  }
}

TEST(Codec, SealAndCheckAgreeOnEveryField) {
  const Superblock block = good_superblock();
  EXPECT_EQ(std::memcmp(block.header.magic, kMagic, sizeof(kMagic)), 0);
  EXPECT_EQ(block.header.kind, 1);
  EXPECT_EQ(block.header.member, 1);
  EXPECT_EQ(block.header.area, 0);
  EXPECT_EQ(block.header.set, set_uuid());
  EXPECT_EQ(u64{block.header.address}, 8U);
  EXPECT_EQ(u64{block.header.sequence}, 9U);
  EXPECT_EQ(u64{block.header.open_epoch}, kOpenEpoch);
  EXPECT_EQ(u64{block.header.reserved}, 0U);
  EXPECT_EQ(check(block, superblock_place()), Verdict::ok);
  Superblock again = block;
  seal(again, superblock_place(), 9, kOpenEpoch);
  EXPECT_EQ(std::memcmp(&again, &block, sizeof(block)), 0) << "sealing twice changes nothing";
}

TEST(Codec, ABlankBlockIsToldFromADamagedOne) {
  Superblock block{};
  EXPECT_EQ(check(block, superblock_place()), Verdict::blank);
  block.reserved[2335] = 1;
  EXPECT_EQ(check(block, superblock_place()), Verdict::bad_magic);
  std::memset(&block, 0xFF, sizeof(block));
  EXPECT_EQ(check(block, superblock_place()), Verdict::bad_magic);
  block = good_superblock();
  std::memset(bytes_of(block).data() + 512, 0, 512);
  EXPECT_EQ(check(block, superblock_place()), Verdict::bad_crc);
}

TEST(Codec, ABlockOfTheWrongKindFailsWhateverItsHeaderSays) {
  JournalBlock block = good_journal();
  EXPECT_EQ(check(block, place_of(Kind::checkpoint_body, Sector(4096))), Verdict::wrong_kind);
  EXPECT_EQ(check(block, place_of(Kind::superblock, Sector(4096))), Verdict::wrong_kind);
  // The kind in the header alone is not believed: the CRC is salted by it.
  block.header.kind = static_cast<u16>(Kind::superblock);
  EXPECT_EQ(check(block, place_of(Kind::superblock, Sector(4096))), Verdict::bad_crc);
  for (const Kind kind : {Kind::superblock, Kind::checkpoint_header, Kind::checkpoint_body}) {
    EXPECT_NE(block_crc(bytes_of(block), kind), block_crc(bytes_of(block), Kind::journal));
  }
  // Nor is a CRC of the wrong kind under the right kind in the header.
  block = good_journal();
  block.header.crc = block_crc(bytes_of(block), Kind::checkpoint_body);
  EXPECT_EQ(check(block, journal_place()), Verdict::bad_crc);
  // A header that names another kind under a CRC of the expected one contradicts itself.
  block.header.kind = static_cast<u16>(Kind::checkpoint_body);
  block.header.crc = block_crc(bytes_of(block), Kind::journal);
  EXPECT_EQ(check(block, journal_place()), Verdict::wrong_kind);
}

TEST(Codec, IntactBlocksOfElsewhereAreNamed) {
  const JournalBlock block = good_journal();
  Place place = journal_place();
  place.set = uuid_of(1);
  EXPECT_EQ(check(block, place), Verdict::wrong_set);
  place = journal_place();
  place.member = 2;
  EXPECT_EQ(check(block, place), Verdict::wrong_member);
  place = journal_place();
  place.area = 1;
  EXPECT_EQ(check(block, place), Verdict::wrong_area);
  place = journal_place();
  place.address = place.address + 8;
  EXPECT_EQ(check(block, place), Verdict::wrong_address);
}

TEST(Codec, ASuperblockOfAnySetIsStillHeldToItsCopyAndPlace) {
  const Superblock block = good_superblock();
  Place place = superblock_place();
  place.set = uuid_of(1);
  place.member = 5;
  EXPECT_EQ(check_of_any_set(block, place), Verdict::ok);
  EXPECT_EQ(check(block, place), Verdict::wrong_set);
  place.area = 1;
  EXPECT_EQ(check_of_any_set(block, place), Verdict::wrong_area);
  place = superblock_place();
  place.address = Sector(128);
  EXPECT_EQ(check_of_any_set(block, place), Verdict::wrong_address);
}

// Puts a right CRC on a block that seal() would refuse.
template <class T>
Verdict verdict_after_resealing(T block, const Place& place) {
  block.header.crc = block_crc(bytes_of(block), place.kind);
  return check(block, place);
}

TEST(Codec, EveryReservedByteOfAJournalBlockIsChecked) {
  for (u32 at = 0; at < 32; ++at) {
    JournalBlock block = good_journal();
    block.reserved[at] = 1;
    EXPECT_EQ(verdict_after_resealing(block, journal_place()), Verdict::malformed) << at;
    block = good_journal();
    block.tail[at] = 1;
    EXPECT_EQ(verdict_after_resealing(block, journal_place()), Verdict::malformed) << at;
  }
  JournalBlock block = good_journal();
  block.header.reserved = 1;
  EXPECT_EQ(verdict_after_resealing(block, journal_place()), Verdict::malformed);
  block = good_journal();
  block.record[5].lost_high = 1;  // behind the last record in use
  EXPECT_EQ(verdict_after_resealing(block, journal_place()), Verdict::malformed);
}

TEST(Codec, ImpossibleCountsAndSequencesOfAJournalBlockAreMalformed) {
  JournalBlock block = good_journal();
  block.records = kJournalRecords + 1;
  EXPECT_EQ(verdict_after_resealing(block, journal_place()), Verdict::malformed);
  block.records = ~0U;
  EXPECT_EQ(verdict_after_resealing(block, journal_place()), Verdict::malformed);
  block = good_journal();
  block.previous_sequence = 7;
  EXPECT_EQ(verdict_after_resealing(block, journal_place()), Verdict::malformed);
  block = good_journal();
  block.header.sequence = 0;
  EXPECT_EQ(verdict_after_resealing(block, journal_place()), Verdict::malformed);
  block = good_journal();
  block.previous_sequence = 0;
  EXPECT_EQ(verdict_after_resealing(block, journal_place()), Verdict::malformed)
      << "no predecessor, but its CRC";
}

TEST(Codec, AFormattedEmptySlotAndAFirstBlockAreGood) {
  JournalBlock block{};
  seal(block, journal_place(), 0, kOpenEpoch);
  EXPECT_EQ(check(block, journal_place()), Verdict::ok);
  block.records = 1;
  block.record[0] = good_record(0);
  seal(block, journal_place(), 1, kOpenEpoch);
  EXPECT_EQ(check(block, journal_place()), Verdict::ok);
}

TEST(Codec, AFullJournalBlockIsGood) {
  JournalBlock block{};
  block.records = kJournalRecords;
  for (Record& record : block.record) record = good_record(1);
  seal(block, journal_place(), 1, kOpenEpoch);
  EXPECT_EQ(check(block, journal_place()), Verdict::ok);
}

TEST(Codec, EveryReservedByteOfCheckpointBlocksIsChecked) {
  for (u32 at = 112; at < kMetaBytes; ++at) {
    CheckpointHeader block = good_checkpoint();
    bytes_of(block)[at] = std::byte{1};
    ASSERT_EQ(verdict_after_resealing(block, checkpoint_place()), Verdict::malformed) << at;
  }
  CheckpointHeader header = good_checkpoint();
  header.reserved0 = 1;
  EXPECT_EQ(verdict_after_resealing(header, checkpoint_place()), Verdict::malformed);
  header = good_checkpoint();
  header.header.reserved = 1U << 31;
  EXPECT_EQ(verdict_after_resealing(header, checkpoint_place()), Verdict::malformed);
  for (const u32 at : {76U, 95U, 96U + 6 * 48, 4079U, 4080U, 4095U}) {
    CheckpointBody body = good_body();
    bytes_of(body)[at] = std::byte{1};
    EXPECT_EQ(verdict_after_resealing(body, body_place()), Verdict::malformed) << at;
  }
}

TEST(Codec, ImpossibleStatesAndCountsOfCheckpointBlocksAreMalformed) {
  for (const u32 state : {0U, 3U, ~0U}) {
    CheckpointHeader block = good_checkpoint();
    block.state = state;
    EXPECT_EQ(verdict_after_resealing(block, checkpoint_place()), Verdict::malformed) << state;
  }
  for (const u32 records : {0U, kCheckpointRecords + 1, ~0U}) {
    CheckpointBody block = good_body();
    block.records = records;
    EXPECT_EQ(verdict_after_resealing(block, body_place()), Verdict::malformed) << records;
  }
}

TEST(Codec, TheBodyCrcDependsOnEveryBlockAndTheirOrder) {
  CheckpointBody first = good_body();
  CheckpointBody second = good_body();
  second.index = 1;
  seal(second, body_place(), 12, kOpenEpoch);
  const u32 forwards = add_body_crc(add_body_crc(0, first), second);
  EXPECT_NE(forwards, add_body_crc(add_body_crc(0, second), first));
  EXPECT_NE(forwards, add_body_crc(0, second));
  EXPECT_NE(forwards, add_body_crc(0, first));
}

TEST(Codec, EveryVerdictHasAText) {
  std::vector<std::string_view> texts;
  for (u8 value = 0; value <= static_cast<u8>(Verdict::malformed); ++value) {
    const std::string_view words = text(static_cast<Verdict>(value));
    EXPECT_FALSE(words.empty());
    EXPECT_NE(words, "unknown");
    for (const std::string_view other : texts) EXPECT_NE(words, other);
    texts.push_back(words);
  }
}

TEST(CodecDeathTest, SealRefusesWhatCheckWouldRefuse) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  JournalBlock block = good_journal();
  block.reserved[3] = 1;
  EXPECT_DEATH(seal(block, journal_place(), 7, kOpenEpoch), "is_formed");
  Place place = journal_place();
  place.member = kMain;
  block.reserved[3] = 0;
  EXPECT_DEATH(seal(block, place, 7, kOpenEpoch), "member");
}

TEST(AllZero, SeesASingleByteAnywhere) {
  std::vector<std::byte> bytes(37);
  EXPECT_TRUE(all_zero({}));
  for (std::size_t length = 1; length <= bytes.size(); ++length) {
    const auto part = std::span<std::byte>(bytes).first(length);
    EXPECT_TRUE(all_zero(part));
    for (std::byte& byte : part) {
      byte = std::byte{0x80};
      ASSERT_FALSE(all_zero(part));
      byte = std::byte{0};
    }
  }
}

}  // namespace
}  // namespace dmr::format

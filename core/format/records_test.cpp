// SPDX-License-Identifier: GPL-2.0-or-later
// Records: what a correct writer writes is accepted, each way to be wrong is refused and named.
#include <functional>
#include <string>

#include <gtest/gtest.h>

#include "core/format/test_blocks.h"
#include "core/format/validate.h"

namespace dmr::format {
namespace {

using namespace testing;

using RecordEdit = std::function<void(Record&)>;

Judgement judge(const Record& record) {
  const auto layouts = good_layouts();
  return validate_record(record, good_geometry(), layouts);
}

void expect_damaged(Record record, const RecordEdit& edit, const std::string& words) {
  edit(record);
  const Judgement found = judge(record);
  EXPECT_EQ(found.status, Status::damaged) << words;
  EXPECT_EQ(found.why, words);
}

Block last_block() { return Block(good_geometry().blocks() - 1); }

TEST(Records, EveryGoodMappingSurvivesEncodingAndDecoding) {
  const Mapping mappings[] = {
      {.block = Block(7), .length = 100, .member = 1, .home = data_block()},
      {.block = Block(0), .length = 1, .member = 1, .home = data_block() + 5, .lost = {.low = 3}},
      {.block = Block(9), .length = 4, .member = 1, .home = data_block(), .lost_all = true},
      {.block = Block(9), .length = 4, .member = kMain, .lost_all = true},  // lost in place
      {.block = Block(9), .length = 1, .member = kMain, .lost = {.low = 0x81}},
      {.block = Block(9), .length = 4000, .member = kMain},  // home again
      {.block = last_block(), .length = 1, .member = 1, .home = data_block(), .lost = {.low = 16}},
      {.block = last_block() - 3, .length = 4, .member = 1, .home = data_block()},
  };
  for (const Mapping& mapping : mappings) {
    const Record record = encode_mapping(mapping, good_geometry());
    const Judgement found = judge(record);
    EXPECT_EQ(found.status, Status::ok) << found.why;
    const Mapping back = decode_mapping(record);
    EXPECT_EQ(back.block, mapping.block);
    EXPECT_EQ(back.length, mapping.length);
    EXPECT_EQ(back.member, mapping.member);
    EXPECT_EQ(back.home, mapping.home);
    EXPECT_EQ(back.lost_all, mapping.lost_all);
    EXPECT_EQ(back.lost, mapping.lost);
  }
}

TEST(Records, AMaskOfAllSectorsOfABlockBecomesTheFlag) {
  const Geometry geometry = good_geometry();
  for (const Block block : {Block(4), last_block()}) {
    const LostMask all = LostMask::all(geometry.sectors_in(block));
    const Record record = encode_mapping({.block = block, .lost = all}, geometry);
    EXPECT_EQ(record.flags, kRecordLostAll);
    EXPECT_EQ(u64{record.lost_low} | u64{record.lost_high}, 0U);
    EXPECT_TRUE(judge(record));
  }
}

TEST(Records, MasksOfTheLargestBlocksUseBothWords) {
  const Geometry geometry = *Geometry::make(1280, 128);
  const LostMask lost{.low = 1, .high = u64{1} << 63};
  const Record record = encode_mapping({.block = Block(3), .lost = lost}, geometry);
  EXPECT_EQ(decode_mapping(record).lost, lost);
  EXPECT_TRUE(validate_record(record, geometry, {}));
}

TEST(Records, RangesBeyondTheVolumeAreRefused) {
  const std::string words = "a mapping beyond the end of the volume";
  const u64 blocks = good_geometry().blocks();
  expect_damaged(good_record(0), [&](Record& r) { r.block = blocks; }, words);
  expect_damaged(good_record(0), [&](Record& r) { r.block = blocks - 2; }, words);
  expect_damaged(good_record(0), [&](Record& r) { r.block = ~u64{0} - 1; }, words);
  expect_damaged(good_record(5), [&](Record& r) { r.length = ~u32{0}; }, words);
  expect_damaged(good_record(5), [](Record& r) { r.length = 0; }, "a record of no block");
}

TEST(Records, HomesInMetadataOrBeyondTheSpareAreRefused) {
  const std::string words = "a mapping to metadata or beyond the end of a spare";
  const auto layouts = good_layouts();
  for (const SpareRange& range : layouts[0].metadata) {
    expect_damaged(good_record(0), [&](Record& r) { r.home = range.begin.value; }, words);
    expect_damaged(good_record(0), [&](Record& r) { r.home = range.end.value - 1; }, words);
    expect_damaged(good_record(0), [&](Record& r) { r.home = range.begin.value - 2; }, words);
  }
  const u64 end = layouts[0].spare_blocks;
  expect_damaged(good_record(0), [&](Record& r) { r.home = end - 2; }, words);
  expect_damaged(good_record(0), [&](Record& r) { r.home = end; }, words);
  expect_damaged(good_record(0), [](Record& r) { r.home = ~u64{0}; }, words);
  expect_damaged(good_record(0), [](Record& r) { r.home = ~u64{0} - 1; }, words);
  expect_damaged(
      good_record(0), [](Record& r) { r.member = kMain; },
      "a home on main that is not the block's own");
}

TEST(Records, UnknownMembersTypesFlagsAndReservedBytesAreRefused) {
  for (const u8 member : {u8{3}, u8{8}, u8{9}, u8{255}}) {
    expect_damaged(
        good_record(0), [&](Record& r) { r.member = member; }, "a record of an unknown member");
  }
  for (const u8 type : {u8{0}, u8{3}, u8{255}}) {
    expect_damaged(
        good_record(0), [&](Record& r) { r.type = type; }, "a record of an unknown type");
  }
  for (u32 bit = 1; bit < 8; ++bit) {
    expect_damaged(
        good_record(0), [&](Record& r) { r.flags = static_cast<u8>(1U << bit); },
        "a record with an unknown flag");
  }
  const std::string words = "reserved bytes of a record are not zero";
  expect_damaged(good_record(0), [](Record& r) { r.second = 1; }, words);
  expect_damaged(good_record(0), [](Record& r) { r.second_member = 1; }, words);
}

TEST(Records, MasksThatCannotBeAreRefused) {
  Record record = good_record(0);
  record.length = 1;
  record.lost_low = 1;
  EXPECT_TRUE(judge(record));
  expect_damaged(record, [](Record& r) { r.length = 2; }, "a lost mask for more than one block");
  expect_damaged(
      record, [](Record& r) { r.flags = kRecordLostAll; }, "all is lost, and a mask says what");
  const std::string words = "lost sectors beyond the end of the block";
  for (u32 bit = 0; bit < 128; ++bit) {
    LostMask mask;
    mask.set(bit);
    const RecordEdit edit = [&](Record& r) {
      r.lost_low = mask.low;
      r.lost_high = mask.high;
    };
    if (bit >= 8) expect_damaged(record, edit, words);
    if (bit >= 5) {  // the last block has five sectors
      expect_damaged(record, [&](Record& r) { edit(r), r.block = last_block().value; }, words);
    }
  }
}

TEST(Records, BadSpareBlocksMustBeDataBlocksOfASpare) {
  const Record good = encode_bad_spare(1, data_block(), 4);
  EXPECT_TRUE(judge(good));
  const std::string words = "a bad spare block in metadata or beyond the end of a spare";
  expect_damaged(good, [](Record& r) { r.block = 0; }, words);
  expect_damaged(good, [](Record& r) { r.block -= 1; }, words);
  expect_damaged(good, [](Record& r) { r.length = ~u32{0}; }, words);
  expect_damaged(good, [](Record& r) { r.block = ~u64{0}; }, words);
  expect_damaged(good, [](Record& r) { r.length = 0; }, "a record of no block");
  expect_damaged(good, [](Record& r) { r.member = kMain; }, "a bad spare block on main");
  expect_damaged(good, [](Record& r) { r.member = 3; }, "a record of an unknown member");
  const std::string mapping = "fields of a mapping in the record of a bad spare block";
  expect_damaged(good, [](Record& r) { r.home = 1; }, mapping);
  expect_damaged(good, [](Record& r) { r.flags = kRecordLostAll; }, mapping);
  expect_damaged(good, [](Record& r) { r.lost_low = 1; }, mapping);
  expect_damaged(good, [](Record& r) { r.lost_high = 1; }, mapping);
}

TEST(Records, TheLayoutOfTheRightSpareIsUsed) {
  const auto layouts = good_layouts();
  Record record = good_record(0);
  record.member = 2;
  record.home = layouts[1].spare_blocks - 1;  // data of spare 1, beyond three blocks of spare 2
  EXPECT_FALSE(judge(record));
  record.home = layouts[1].metadata[0].end.value;
  EXPECT_TRUE(judge(record));
}

TEST(Records, AJournalBlockIsJudgedByEachOfItsRecords) {
  const auto layouts = good_layouts();
  JournalBlock block = good_journal();
  EXPECT_TRUE(validate_journal(block, good_geometry(), layouts));
  for (u32 i = 0; i < 5; ++i) {
    JournalBlock bad = block;
    bad.record[i].home = 0;
    EXPECT_FALSE(validate_journal(bad, good_geometry(), layouts)) << i;
  }
}

TEST(Records, ACheckpointHeaderMustFitItsAreaAndItsCounts) {
  const SpareLayout layout = good_layouts()[0];
  const auto judge_header = [&](const std::function<void(CheckpointHeader&)>& edit) {
    CheckpointHeader header = good_checkpoint();
    edit(header);
    return std::string(validate_checkpoint_header(header, layout).why);
  };
  const u64 room = layout.checkpoint_blocks - 1;
  const auto fill = [](u64 blocks, u64 records) {
    return [=](CheckpointHeader& h) { h.body_blocks = blocks, h.records = records; };
  };
  EXPECT_EQ(judge_header([](CheckpointHeader&) {}), "");
  EXPECT_EQ(judge_header(fill(0, 0)), "");
  EXPECT_EQ(judge_header(fill(room, room * kCheckpointRecords)), "");
  EXPECT_EQ(judge_header(fill(room + 1, room * kCheckpointRecords + 1)),
            "a checkpoint larger than its area");
  const std::string counts = "a checkpoint's records do not fit its number of blocks";
  EXPECT_EQ(judge_header(fill(1, 0)), counts);
  EXPECT_EQ(judge_header(fill(0, 1)), counts);
  EXPECT_EQ(judge_header(fill(1, 84)), counts);
  EXPECT_EQ(judge_header(fill(2, 83)), counts);
  EXPECT_EQ(judge_header(fill(0, ~u64{0})), counts);
  EXPECT_EQ(judge_header([](CheckpointHeader& h) { h.header.sequence = 0; }),
            "a checkpoint without a sequence");
  EXPECT_EQ(judge_header([](CheckpointHeader& h) { h.covered_sequence = 0; }),
            "a checkpoint of no journal block that names its CRC");
  // One that is being written promises nothing about its body.
  EXPECT_EQ(
      judge_header([](CheckpointHeader& h) { h.state = kCheckpointWriting, h.records = 9999; }),
      "");
}

TEST(Records, ACheckpointBodyMustBelongToItsHeader) {
  const auto layouts = good_layouts();
  const auto judge_body = [&](const std::function<void(CheckpointBody&)>& edit, u64 records = 6) {
    CheckpointHeader header = good_checkpoint();
    header.records = records;
    header.body_blocks = (records + 82) / 83;
    CheckpointBody body = good_body();
    edit(body);
    return std::string(validate_checkpoint_body(body, header, 0, good_geometry(), layouts).why);
  };
  EXPECT_EQ(judge_body([](CheckpointBody&) {}), "");
  EXPECT_EQ(judge_body([](CheckpointBody& b) { b.index = 1; }),
            "a checkpoint block that belongs elsewhere");
  const std::string another = "a checkpoint block of another checkpoint";
  EXPECT_EQ(judge_body([](CheckpointBody& b) { b.header.sequence = 11; }), another);
  EXPECT_EQ(judge_body([](CheckpointBody& b) { b.header.open_epoch = 1; }), another);
  const std::string count = "a checkpoint block with too few or many records";
  EXPECT_EQ(judge_body([](CheckpointBody&) {}, 5), count);
  EXPECT_EQ(judge_body([](CheckpointBody&) {}, 7), count);
  EXPECT_EQ(judge_body([](CheckpointBody&) {}, 84), count);  // all but the last are full
  EXPECT_EQ(judge_body([](CheckpointBody& b) { b.record[5].home = 0; }),
            "a mapping to metadata or beyond the end of a spare");
}

}  // namespace
}  // namespace dmr::format

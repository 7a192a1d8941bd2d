// SPDX-License-Identifier: GPL-2.0-or-later
// Holds docs/format.md against the code, in both directions: every field, offset, size and constant
// of one is in the other, and the examples are what the code computes.
#include <charconv>
#include <cstdio>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/crc32c.h"
#include "core/format/codec.h"

namespace dmr::format {
namespace {

struct Field {
  u64 offset = 0;
  u64 bytes = 0;
  std::string name;
  friend bool operator==(const Field&, const Field&) = default;
};
void PrintTo(const Field& field, std::ostream* out) {
  *out << field.offset << "+" << field.bytes << " " << field.name;
}

struct Struct {
  u64 bytes = 0;
  std::vector<Field> fields;
};
using Structs = std::map<std::string, Struct>;
using Constants = std::map<std::string, u64>;

#define DMR_FIELD(type, field) \
  Field { offsetof(type, field), sizeof(type::field), #field }

Structs structs_of_the_code() {
  return {
      {"BlockHeader",
       {sizeof(BlockHeader),
        {DMR_FIELD(BlockHeader, magic), DMR_FIELD(BlockHeader, crc), DMR_FIELD(BlockHeader, kind),
         DMR_FIELD(BlockHeader, member), DMR_FIELD(BlockHeader, area), DMR_FIELD(BlockHeader, set),
         DMR_FIELD(BlockHeader, address), DMR_FIELD(BlockHeader, sequence),
         DMR_FIELD(BlockHeader, open_epoch), DMR_FIELD(BlockHeader, reserved)}}},
      {"Superblock",
       {sizeof(Superblock),
        {DMR_FIELD(Superblock, header),          DMR_FIELD(Superblock, version_major),
         DMR_FIELD(Superblock, version_minor),   DMR_FIELD(Superblock, oldest_minor),
         DMR_FIELD(Superblock, own_member),      DMR_FIELD(Superblock, member_count),
         DMR_FIELD(Superblock, compat),          DMR_FIELD(Superblock, ro_compat),
         DMR_FIELD(Superblock, incompat),        DMR_FIELD(Superblock, volume_sectors),
         DMR_FIELD(Superblock, block_sectors),   DMR_FIELD(Superblock, policy),
         DMR_FIELD(Superblock, reserved0),       DMR_FIELD(Superblock, created_unix_s),
         DMR_FIELD(Superblock, open_generation), DMR_FIELD(Superblock, membership),
         DMR_FIELD(Superblock, history),         DMR_FIELD(Superblock, name),
         DMR_FIELD(Superblock, member),          DMR_FIELD(Superblock, reserved)}}},
      {"MemberEntry",
       {sizeof(MemberEntry),
        {DMR_FIELD(MemberEntry, uuid), DMR_FIELD(MemberEntry, sectors),
         DMR_FIELD(MemberEntry, checkpoint_blocks), DMR_FIELD(MemberEntry, journal_slots),
         DMR_FIELD(MemberEntry, logical_block_bytes), DMR_FIELD(MemberEntry, state),
         DMR_FIELD(MemberEntry, reserved), DMR_FIELD(MemberEntry, identity)}}},
      {"MembershipPoint",
       {sizeof(MembershipPoint),
        {DMR_FIELD(MembershipPoint, generation), DMR_FIELD(MembershipPoint, epoch)}}},
      {"Record",
       {sizeof(Record),
        {DMR_FIELD(Record, block), DMR_FIELD(Record, home), DMR_FIELD(Record, second),
         DMR_FIELD(Record, lost_low), DMR_FIELD(Record, lost_high), DMR_FIELD(Record, length),
         DMR_FIELD(Record, type), DMR_FIELD(Record, member), DMR_FIELD(Record, second_member),
         DMR_FIELD(Record, flags)}}},
      {"JournalBlock",
       {sizeof(JournalBlock),
        {DMR_FIELD(JournalBlock, header), DMR_FIELD(JournalBlock, previous_sequence),
         DMR_FIELD(JournalBlock, previous_crc), DMR_FIELD(JournalBlock, records),
         DMR_FIELD(JournalBlock, open_generation), DMR_FIELD(JournalBlock, membership),
         DMR_FIELD(JournalBlock, reserved), DMR_FIELD(JournalBlock, record),
         DMR_FIELD(JournalBlock, tail)}}},
      {"CheckpointHeader",
       {sizeof(CheckpointHeader),
        {DMR_FIELD(CheckpointHeader, header), DMR_FIELD(CheckpointHeader, covered_sequence),
         DMR_FIELD(CheckpointHeader, covered_crc), DMR_FIELD(CheckpointHeader, state),
         DMR_FIELD(CheckpointHeader, records), DMR_FIELD(CheckpointHeader, body_blocks),
         DMR_FIELD(CheckpointHeader, body_crc), DMR_FIELD(CheckpointHeader, reserved0),
         DMR_FIELD(CheckpointHeader, open_generation), DMR_FIELD(CheckpointHeader, reserved),
         DMR_FIELD(CheckpointHeader, zero)}}},
      {"CheckpointBody",
       {sizeof(CheckpointBody),
        {DMR_FIELD(CheckpointBody, header), DMR_FIELD(CheckpointBody, index),
         DMR_FIELD(CheckpointBody, records), DMR_FIELD(CheckpointBody, reserved),
         DMR_FIELD(CheckpointBody, record), DMR_FIELD(CheckpointBody, tail)}}},
      {"BackupHeader",
       {sizeof(BackupHeader),
        {DMR_FIELD(BackupHeader, header), DMR_FIELD(BackupHeader, made_unix_s),
         DMR_FIELD(BackupHeader, covered_sequence), DMR_FIELD(BackupHeader, covered_crc),
         DMR_FIELD(BackupHeader, body_crc), DMR_FIELD(BackupHeader, records),
         DMR_FIELD(BackupHeader, body_blocks), DMR_FIELD(BackupHeader, reserved)}}},
  };
}

#undef DMR_FIELD

template <class T>
u64 number(T value) {
  return static_cast<u64>(value);
}

Constants constants_of_the_code() {
  return {{"version.major", kVersionMajor},
          {"version.minor", kVersionMinor},
          {"incompat.restoring", kRestoring},
          {"ro_compat.restored_older", kRestoredOlder},
          {"kind.superblock", number(Kind::superblock)},
          {"kind.journal", number(Kind::journal)},
          {"kind.checkpoint_header", number(Kind::checkpoint_header)},
          {"kind.checkpoint_body", number(Kind::checkpoint_body)},
          {"kind.backup_header", number(Kind::backup_header)},
          {"kind.backup_body", number(Kind::backup_body)},
          {"record.mapping", number(RecordType::mapping)},
          {"record.bad_spare", number(RecordType::bad_spare)},
          {"record_flag.lost_all", kRecordLostAll},
          {"checkpoint.complete", kCheckpointComplete},
          {"checkpoint.writing", kCheckpointWriting},
          {"state.absent", number(MemberState::absent)},
          {"state.live", number(MemberState::live)},
          {"state.missing", number(MemberState::missing)},
          {"state.failed", number(MemberState::failed)},
          {"state.removed", number(MemberState::removed)},
          {"policy.redirect", number(Policy::redirect)},
          {"policy.rewrite", number(Policy::rewrite)}};
}

// What the document says.
struct Document {
  std::string text;
  Structs structs;
  Constants constants;
  std::vector<std::vector<u64>> layouts;  // rows of the table of examples
  std::vector<u8> example;                // bytes of the hex dump
};

u64 to_number(const std::string& text) {
  u64 value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  EXPECT_TRUE(result.ec == std::errc{} && result.ptr == text.data() + text.size()) << text;
  return value;
}

// The cells of a table row, without the blanks and backquotes around them.
std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells;
  std::istringstream row(line.substr(1));
  for (std::string cell; std::getline(row, cell, '|');) {
    const auto first = cell.find_first_not_of(" `");
    const auto last = cell.find_last_not_of(" `");
    cells.push_back(first == std::string::npos ? "" : cell.substr(first, last - first + 1));
  }
  return cells;
}

// Heading `### Name (N bytes)`: begins a struct.
bool parse_heading(const std::string& line, std::string& name, u64& bytes) {
  const auto open = line.find(" (");
  const auto close = line.find(" bytes)");
  if (!line.starts_with("### ") || open == std::string::npos || close == std::string::npos) {
    return false;
  }
  name = line.substr(4, open - 4);
  bytes = to_number(line.substr(open + 2, close - open - 2));
  return true;
}

void parse_row(const std::vector<std::string>& cells, const std::string& header,
               const std::string& name, Document& document) {
  if (header == "offset") {
    ASSERT_EQ(cells.size(), 5U) << "a row of " << name;
    document.structs[name].fields.push_back({to_number(cells[0]), to_number(cells[1]), cells[2]});
  } else if (header == "name") {
    ASSERT_EQ(cells.size(), 3U) << "a row of the constants";
    EXPECT_TRUE(document.constants.emplace(cells[0], to_number(cells[1])).second) << cells[0];
  } else if (header == "size") {
    std::vector<u64> row;
    for (const std::string& cell : cells) row.push_back(to_number(cell));
    document.layouts.push_back(row);
  }
}

void parse_hex(const std::string& line, std::vector<u8>& bytes) {
  std::istringstream words(line);
  for (std::string word; words >> word;) {
    u32 value = 0;
    const auto result = std::from_chars(word.data(), word.data() + word.size(), value, 16);
    EXPECT_TRUE(result.ec == std::errc{} && word.size() == 2) << word;
    bytes.push_back(static_cast<u8>(value));
  }
}

Document parse(std::istream& in) {
  Document document;
  std::string name;    // the struct whose table is being read
  std::string header;  // first cell of the present table's head, empty outside of tables
  bool fenced = false;
  for (std::string line; std::getline(in, line);) {
    document.text += line + '\n';
    u64 bytes = 0;
    if (line == "```") {
      fenced = !fenced;
    } else if (fenced) {
      parse_hex(line, document.example);
    } else if (parse_heading(line, name, bytes)) {
      EXPECT_TRUE(document.structs.emplace(name, Struct{bytes, {}}).second) << name << " twice";
    } else if (!line.starts_with("|")) {
      header.clear();
    } else if (header.empty()) {
      header = cells_of(line)[0];
    } else if (!line.starts_with("|-")) {
      parse_row(cells_of(line), header, name, document);
    }
  }
  return document;
}

const Document& document() {
  static const Document parsed = [] {
    std::ifstream file(DMR_SOURCE_DIR "/docs/format.md");
    EXPECT_TRUE(file.is_open()) << "no docs/format.md";
    return parse(file);
  }();
  return parsed;
}

TEST(FormatDocument, TheFieldsListedHereFillEveryStruct) {
  // A field that is missing here leaves a hole, so that the comparison below cannot overlook it.
  for (const auto& [name, structure] : structs_of_the_code()) {
    u64 at = 0;
    for (const Field& field : structure.fields) {
      EXPECT_EQ(field.offset, at) << name << "." << field.name;
      at = field.offset + field.bytes;
    }
    EXPECT_EQ(at, structure.bytes) << name;
  }
}

TEST(FormatDocument, ListsTheStructsOfTheCodeAndNoOther) {
  std::vector<std::string> in_code;
  std::vector<std::string> in_document;
  for (const auto& [name, structure] : structs_of_the_code()) in_code.push_back(name);
  for (const auto& [name, structure] : document().structs) in_document.push_back(name);
  EXPECT_EQ(in_code, in_document);
}

TEST(FormatDocument, ListsEveryFieldWithItsOffsetAndSizeAndNoOther) {
  for (const auto& [name, structure] : structs_of_the_code()) {
    const auto at = document().structs.find(name);
    ASSERT_NE(at, document().structs.end()) << name;
    EXPECT_EQ(at->second.bytes, structure.bytes) << name;
    EXPECT_EQ(at->second.fields, structure.fields) << name;
  }
}

TEST(FormatDocument, ListsEveryConstantWithItsValueAndNoOther) {
  EXPECT_EQ(document().constants, constants_of_the_code());
}

TEST(FormatDocument, LayoutExamplesAreWhatTheCodeComputes) {
  ASSERT_GE(document().layouts.size(), 4U);
  for (const std::vector<u64>& row : document().layouts) {
    ASSERT_EQ(row.size(), 10U);
    SCOPED_TRACE(row[0]);
    const u64 sizes[] = {row[0]};
    const auto block_sectors = static_cast<u32>(row[1]);
    EXPECT_EQ(SpareLayout::default_journal_slots(row[0]), row[2]);
    const auto checkpoint = SpareLayout::checkpoint_blocks_for_set(sizes, block_sectors);
    ASSERT_TRUE(checkpoint.has_value());
    EXPECT_EQ(*checkpoint, row[3]);
    const auto layout = SpareLayout::make(row[0], block_sectors, static_cast<u32>(row[2]), row[3]);
    ASSERT_TRUE(layout.has_value());
    EXPECT_EQ(layout->superblock[0].value, 8U);
    EXPECT_EQ(layout->superblock[1].value, row[4]);
    EXPECT_EQ(layout->superblock[2].value, row[5]);
    EXPECT_EQ(layout->journal[1].value, row[6]);
    EXPECT_EQ(layout->checkpoint[0].value, row[7]);
    EXPECT_EQ(layout->checkpoint[1].value, row[8]);
    EXPECT_EQ(layout->data_blocks, row[9]);
  }
}

TEST(FormatDocument, TheExampleBlockIsWhatTheCodeWrites) {
  const Uuid set{{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};
  JournalBlock block{};
  seal(block, {.kind = Kind::journal, .member = 1, .area = 0, .set = set, .address = Sector(16)}, 0,
       0x0123456789ABCDEFU);
  const auto* bytes = reinterpret_cast<const u8*>(&block);
  EXPECT_EQ(document().example, std::vector<u8>(bytes, bytes + sizeof(BlockHeader)));
  EXPECT_TRUE(all_zero(std::span<const std::byte>(bytes_of(block)).subspan(sizeof(BlockHeader))));
}

TEST(FormatDocument, NumbersInTheTextAreThoseOfTheCode) {
  const auto has = [](const std::string& words) {
    return document().text.find(words) != std::string::npos;
  };
  std::string magic = "`";
  for (const u8 byte : kMagic) {
    char hex[4];
    std::snprintf(hex, sizeof(hex), "%02X ", byte);
    magic += hex;
  }
  magic.back() = '`';
  EXPECT_TRUE(has(magic)) << magic;
  EXPECT_TRUE(has("= E3069283 hex"));
  EXPECT_EQ(crc32c(0, std::as_bytes(std::span("123456789", 9))), 0xE3069283U);
  EXPECT_TRUE(has("less than " + std::to_string(kMinSpareSectors) + " sectors is no spare"));
  EXPECT_TRUE(has(std::to_string(kJournalRecords) + " records; those from `records` on"));
  EXPECT_TRUE(has(std::to_string(kCheckpointRecords) + " records; those from `records` on"));
  EXPECT_TRUE(has("least " + std::to_string(kMinJournalSlots) + " and at most " +
                  std::to_string(kMaxJournalSlots)));
  // The seed of the CRC, computed by the document's rule.
  JournalBlock block{};
  seal(block, {.kind = Kind::journal, .address = Sector(16)}, 0, 0);
  JournalBlock without = block;
  without.header.crc = 0;
  EXPECT_EQ(crc32c(0x444D5200U + 2, bytes_of(without)), u32{block.header.crc});
  EXPECT_TRUE(has("crc32c(444D5200 hex + kind, block)"));
}

TEST(FormatDocument, AChangedMissingOrExtraFieldIsNoticed) {
  // The parser sees what is written, or else the comparisons above would prove nothing.
  std::istringstream in(
      "### Record (48 bytes)\n\n| offset | size | field | type | meaning |\n|--:|--:|--|--|--|\n"
      "| 0 | 8 | `block` | u64 | x |\n| 9 | 8 | `extra` | u64 | y |\n");
  const Document other = parse(in);
  ASSERT_EQ(other.structs.count("Record"), 1U);
  const std::vector<Field> expected = {{0, 8, "block"}, {9, 8, "extra"}};
  EXPECT_EQ(other.structs.at("Record").fields, expected);
  EXPECT_NE(other.structs.at("Record").fields, structs_of_the_code().at("Record").fields);
}

}  // namespace
}  // namespace dmr::format

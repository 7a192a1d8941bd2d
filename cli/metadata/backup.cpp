// SPDX-License-Identifier: GPL-2.0-or-later
// The bytes of a backup file.
#include "cli/metadata/backup.h"

#include <cstring>

#include <fmt/format.h>

#include "core/format/codec.h"
#include "core/format/validate.h"

namespace dmr::cli {
namespace {

constexpr std::size_t kFirstBody = 2;  // behind header and superblock

format::Place place_of(format::Kind kind, const Uuid& set, std::size_t block) {
  return {
      .kind = kind, .member = 1, .area = 0, .set = set, .address = Sector(block * kMetaSectors)};
}

template <format::MetaBlock T>
T block_at(std::span<const std::byte> bytes, std::size_t block) {
  DMR_ASSERT((block + 1) * kMetaBytes <= bytes.size());
  T copy;
  std::memcpy(&copy, bytes.data() + block * kMetaBytes, kMetaBytes);
  return copy;
}

template <format::MetaBlock T>
void append(std::vector<std::byte>& bytes, const T& block) {
  const auto from = std::as_bytes(std::span(&block, 1));
  bytes.insert(bytes.end(), from.begin(), from.end());
}

std::unexpected<Error> bad(const std::string& path, std::string_view why) {
  return failed(fmt::format("{}: {}; it cannot be restored", path, why));
}

Expected<void> decode_superblock(const format::Superblock& block, const std::string& path) {
  const format::Place place{.kind = format::Kind::superblock,
                            .member = block.header.member,
                            .area = block.header.area,
                            .set = block.header.set,
                            .address = Sector(block.header.address)};
  const format::Verdict verdict = format::check(block, place);
  if (verdict != format::Verdict::ok) {
    return bad(path, fmt::format("the superblock in it is {}", format::text(verdict)));
  }
  const format::Judgement judged = format::validate_superblock(block, format::Access::read_write);
  if (judged.status == Status::wrong_version) {
    return failed(
        fmt::format("{}: {}; use the version of dm-remap that made it", path, judged.why));
  }
  if (!judged) return bad(path, judged.why);
  return {};
}

Expected<void> decode_records(std::span<const std::byte> bytes, const format::BackupHeader& header,
                              Backup& backup, const std::string& path) {
  const Geometry geometry = *format::geometry_of(backup.superblock);
  std::vector<SpareLayout> spares;
  for (Member m = 1; m < backup.superblock.member_count; ++m) {
    spares.push_back(*format::layout_of(backup.superblock, m));
    if (header.body_blocks > spares.back().checkpoint_blocks - 1) {
      return bad(path, "it has more records than a spare has room for");
    }
  }
  MapModel map;
  u32 body_crc = 0;
  for (u64 i = 0; i < header.body_blocks; ++i) {
    const auto body = block_at<format::CheckpointBody>(bytes, kFirstBody + i);
    const format::Verdict verdict = format::check(
        body, place_of(format::Kind::backup_body, backup.superblock.header.set, kFirstBody + i));
    if (verdict != format::Verdict::ok) {
      return bad(path, fmt::format("block {} is {}", kFirstBody + i, format::text(verdict)));
    }
    const format::Judgement judged =
        format::validate_backup_body(body, header, i, geometry, spares);
    if (!judged) return bad(path, judged.why);
    body_crc = format::add_body_crc(body_crc, body);
    for (u32 r = 0; r < body.records; ++r) {
      const format::Record record = body.record[r];
      (void)map.replay(record);
      backup.records.push_back(record);
    }
  }
  if (body_crc != header.body_crc) return bad(path, "its blocks are not all of one backup");
  if (map.shared_block()) return bad(path, "a spare block in it serves two blocks of the volume");
  return {};
}

}  // namespace

Backup backup_of(const Examination& found, u64 now_unix_s) {
  DMR_ASSERT(found.status == Status::ok);
  return {.superblock = found.superblock,
          .made_unix_s = now_unix_s,
          .covered_sequence = found.covered_sequence,
          .covered_crc = found.covered_crc,
          .records = found.map.records(found.geometry)};
}

std::vector<std::byte> encode(const Backup& backup) {
  constexpr std::size_t kEach = format::kCheckpointRecords;
  const Uuid set = backup.superblock.header.set;
  const std::size_t body_blocks = (backup.records.size() + kEach - 1) / kEach;
  std::vector<std::byte> bodies;
  u32 body_crc = 0;
  for (std::size_t i = 0; i < body_blocks; ++i) {
    format::CheckpointBody body{};
    body.index = i;
    body.records = static_cast<u32>(std::min(kEach, backup.records.size() - i * kEach));
    std::memcpy(body.record, backup.records.data() + i * kEach,
                std::size_t{body.records} * sizeof(format::Record));
    format::seal(body, place_of(format::Kind::backup_body, set, kFirstBody + i), i + 1, 0);
    body_crc = format::add_body_crc(body_crc, body);
    append(bodies, body);
  }
  format::BackupHeader header{};
  header.made_unix_s = backup.made_unix_s;
  header.covered_sequence = backup.covered_sequence;
  header.covered_crc = backup.covered_crc;
  header.body_crc = body_crc;
  header.records = backup.records.size();
  header.body_blocks = body_blocks;
  format::seal(header, place_of(format::Kind::backup_header, set, 0), 1, 0);
  std::vector<std::byte> bytes;
  bytes.reserve((kFirstBody + body_blocks) * kMetaBytes);
  append(bytes, header);
  append(bytes, backup.superblock);
  bytes.insert(bytes.end(), bodies.begin(), bodies.end());
  return bytes;
}

Expected<Backup> decode(std::span<const std::byte> bytes, const std::string& path) {
  if (bytes.size() < kFirstBody * kMetaBytes) return bad(path, "it is no backup, or not all of it");
  const auto header = block_at<format::BackupHeader>(bytes, 0);
  Backup backup;
  backup.superblock = block_at<format::Superblock>(bytes, 1);
  // The header is judged first, under the set that it names itself.
  const format::Verdict verdict =
      format::check(header, place_of(format::Kind::backup_header, header.header.set, 0));
  if (verdict != format::Verdict::ok) {
    return bad(path, fmt::format("its first block is {}", format::text(verdict)));
  }
  if (const auto judged = format::validate_backup_header(header); !judged) {
    return bad(path, judged.why);
  }
  if (auto fine = decode_superblock(backup.superblock, path); !fine) {
    return std::unexpected(fine.error());
  }
  if (header.header.set != backup.superblock.header.set) {
    return bad(path, "its blocks are of different volumes");
  }
  const u64 blocks = bytes.size() / kMetaBytes;
  if (bytes.size() % kMetaBytes != 0 || header.body_blocks != blocks - kFirstBody) {
    return bad(path, fmt::format("it has {} bytes, but should have {}", bytes.size(),
                                 (kFirstBody + header.body_blocks) * kMetaBytes));
  }
  backup.made_unix_s = header.made_unix_s;
  backup.covered_sequence = header.covered_sequence;
  backup.covered_crc = header.covered_crc;
  if (auto fine = decode_records(bytes, header, backup, path); !fine) {
    return std::unexpected(fine.error());
  }
  return backup;
}

}  // namespace dmr::cli

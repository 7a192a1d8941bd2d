// SPDX-License-Identifier: GPL-2.0-or-later
// Judging the content of intact metadata: a good CRC says who wrote it, not that it makes sense.
#pragma once

#include <span>

#include "core/base/result.h"
#include "core/format/format.h"
#include "core/geometry/geometry.h"

namespace dmr::format {

// ok, or a status with the reason in words ("" when ok). The text lives for ever.
struct [[nodiscard]] Judgement {
  Status status = Status::ok;
  const char* why = "";
  [[nodiscard]] constexpr explicit operator bool() const { return status == Status::ok; }
};

inline constexpr Judgement kFine{};

// `why` is static text.
constexpr Judgement damaged(const char* why) { return {Status::damaged, why}; }

enum class Access : u8 { read_only, read_write };

// Superblocks. Expects a block that check_of_any_set() calls ok. Status::wrong_version for a newer
// major version, an unknown incompat feature, an unknown ro-compat one with read_write, or reserved
// bytes in use by a newer minor version; Status::damaged for whatever contradicts itself.
Judgement validate_superblock(const Superblock& block, Access access);
// The map may be older than the blocks: the volume is read-only.
[[nodiscard]] bool is_restored_older(const Superblock& block);
// Geometry and layouts of a superblock that validate_superblock() accepted.
[[nodiscard]] Result<Geometry> geometry_of(const Superblock& block);
[[nodiscard]] Result<SpareLayout> layout_of(const Superblock& block, Member spare);

// Records. A mapping of blocks [block, block + length) to `home` on `member`; main when member is
// kMain, with home 0 then. A mask that covers the whole block is turned into kRecordLostAll.
struct Mapping {
  Block block{};
  u32 length = 1;
  Member member = kMain;
  SpareBlock home{};
  bool lost_all = false;
  LostMask lost{};  // of a single block, when not all is lost
};
[[nodiscard]] Record encode_mapping(const Mapping& mapping, const Geometry& geometry);
[[nodiscard]] Record encode_bad_spare(Member member, SpareBlock begin, u32 length);
// Expects a mapping record that validate_record() accepts.
[[nodiscard]] Mapping decode_mapping(const Record& record);

// `spares[i]` is the layout of member i + 1. Status::damaged with the reason when the record is
// one that no correct writer writes.
Judgement validate_record(const Record& record, const Geometry& geometry,
                          std::span<const SpareLayout> spares);

// Journal and checkpoint blocks that check() calls ok: the counts, and each record.
Judgement validate_journal(const JournalBlock& block, const Geometry& geometry,
                           std::span<const SpareLayout> spares);
Judgement validate_checkpoint_header(const CheckpointHeader& header, const SpareLayout& layout);
// Body block `index` of the checkpoint that `header` describes.
Judgement validate_checkpoint_body(const CheckpointBody& body, const CheckpointHeader& header,
                                   u64 index, const Geometry& geometry,
                                   std::span<const SpareLayout> spares);

// A backup file's header, and body block `index` of that file.
Judgement validate_backup_header(const BackupHeader& header);
Judgement validate_backup_body(const CheckpointBody& body, const BackupHeader& header, u64 index,
                               const Geometry& geometry, std::span<const SpareLayout> spares);

}  // namespace dmr::format

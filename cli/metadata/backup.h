// SPDX-License-Identifier: GPL-2.0-or-later
// Backup files of a volume's metadata: one superblock and the map, each block with a checksum.
// docs/format.md has the bytes.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "cli/app/outcome.h"
#include "cli/metadata/examine.h"

namespace dmr::cli {

struct Backup {
  format::Superblock superblock{};  // as it lay on a spare
  u64 made_unix_s = 0;
  u64 covered_sequence = 0;  // the last journal block whose effect is inside
  u32 covered_crc = 0;
  std::vector<format::Record> records;
};

// Of a set that loaded.
[[nodiscard]] Backup backup_of(const Examination& found, u64 now_unix_s);

[[nodiscard]] std::vector<std::byte> encode(const Backup& backup);
// Judges every byte; errors begin with `path`.
[[nodiscard]] Expected<Backup> decode(std::span<const std::byte> bytes, const std::string& path);

// All or nothing, on stable storage, readable for the owner only. Refused when something is there
// already, unless it is a file that `force` lets go.
[[nodiscard]] Expected<void> write_file(const std::string& path, std::span<const std::byte> bytes,
                                        bool force);
[[nodiscard]] Expected<std::vector<std::byte>> read_file(const std::string& path);

}  // namespace dmr::cli

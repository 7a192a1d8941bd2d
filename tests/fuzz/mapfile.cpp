// SPDX-License-Identifier: GPL-2.0-or-later
// Fuzz target: mapfiles of ddrescue, with any size of the volume in front.
#include "cli/mapfile/mapfile.h"

#include "tests/fuzz/ranges.h"
#include "tests/fuzz/target.h"

namespace dmr::fuzz {

void run_one(std::span<const std::byte> bytes) {
  Input input(bytes);
  const bool huge = input.take<u8>() == 0;
  const u64 volume_sectors = huge ? kMaxSectors : 1 + input.take<u16>();
  const auto map = cli::parse_mapfile(text_of(input.take_bytes(bytes.size())), volume_sectors);
  if (!map) return expect_one_line(map.error());
  expect_ordered(map->bad, volume_sectors);
  u64 bad_bytes = 0;
  for (const SectorRange& range : map->bad) bad_bytes += range.sectors * kSectorBytes;
  expect(map->non_tried + map->non_trimmed + map->non_scraped <= volume_sectors * kSectorBytes &&
             bad_bytes <= volume_sectors * kSectorBytes,
         "areas are no larger than the volume");
  const auto again =
      cli::parse_mapfile(cli::format_mapfile(map->bad, volume_sectors), volume_sectors);
  expect(again && same(again->bad, map->bad), "a mapfile that is written is read to the same");
}

std::vector<Bytes> seeds() {
  constexpr std::string_view kSmall = "\1\377\7";
  const auto with = [](std::string_view head, std::string_view text) {
    Bytes seed = bytes_of(head);
    const Bytes rest = bytes_of(text);
    seed.insert(seed.end(), rest.begin(), rest.end());
    return seed;
  };
  return {
      with(kSmall,
           "# Mapfile. Created by GNU ddrescue version 1.27\n"
           "# current_pos  current_status  current_pass\n0x00003000     +               1\n"
           "#      pos        size  status\n0x00000000  0x00001000  +\n"
           "0x00001000  0x00000200  -\n0x00001200  0x00010000  *\n"),
      with(kSmall, "0 ?\n0 512 -\n512 01000 / # octal\n1024 100 ?\n1124 12 -\n1136 0x7f -\n"),
      with(std::string_view("\0", 1), "0 + 1\n0 0x7FFFFFFFFFFFFE00 -\n"),
      with(kSmall, "0 + 1\n0 512 +\n256 512 -\n2048 1 -\n"),
  };
}

}  // namespace dmr::fuzz

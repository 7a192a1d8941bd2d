// SPDX-License-Identifier: GPL-2.0-or-later
// Fuzz target: lists of bad blocks, with any unit and any size of the volume in front.
#include "cli/badblocks/badblocks.h"

#include "tests/fuzz/ranges.h"
#include "tests/fuzz/target.h"

namespace dmr::fuzz {

void run_one(std::span<const std::byte> bytes) {
  Input input(bytes);
  const cli::BadblocksUnit unit{.block_bytes = u64{input.take<u8>()} * 256};
  const u64 volume_sectors = 1 + input.take<u16>();
  const auto ranges =
      cli::parse_badblocks(text_of(input.take_bytes(bytes.size())), unit, volume_sectors);
  if (!ranges) return expect_one_line(ranges.error());
  expect(cli::badblocks_unit_fault(unit).empty(), "a list needs a unit that can be");
  expect_ordered(*ranges, volume_sectors);
  const auto again =
      cli::parse_badblocks(cli::format_badblocks(*ranges, unit), unit, volume_sectors);
  expect(again && same(*again, *ranges), "a list that is written is read to the same");
}

std::vector<Bytes> seeds() {
  return {
      bytes_of("\4\377\7"
               "3\n4\n9\n"),
      bytes_of("\2\377\1"
               "  7\r\n\n8\t\n1"),
      bytes_of("\20\1\1"
               "0\n1\n99999999999999999999\n"),
      bytes_of("\4\377\7"
               "5\n6\n5\nabc\n-1\n0x10\n"),
  };
}

}  // namespace dmr::fuzz

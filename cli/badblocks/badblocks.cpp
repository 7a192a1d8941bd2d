// SPDX-License-Identifier: GPL-2.0-or-later
// Parsing and writing of badblocks(8) lists.
#include "cli/badblocks/badblocks.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "cli/app/quoted.h"

namespace dmr::cli {
namespace {

constexpr u64 kMaxUnitBytes = u64{64} << 20;

struct Entry {
  u64 number = 0;
  u64 line = 0;
};

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r";
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

std::expected<u64, std::string> parse_number(std::string_view text, u64 line) {
  u64 number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error == std::errc::result_out_of_range && rest == end) {
    return std::unexpected(fmt::format("line {}: {} is no block of any disk", line, quoted(text)));
  }
  if (error != std::errc{} || rest != end) {
    return std::unexpected(fmt::format("line {}: {} is not a block number", line, quoted(text)));
  }
  return number;
}

std::expected<std::vector<Entry>, std::string> parse_lines(std::string_view text, u64 blocks) {
  std::vector<Entry> entries;
  u64 line = 0;
  while (!text.empty()) {
    ++line;
    const std::size_t end = text.find('\n');
    const std::string_view content = trimmed(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    if (content.empty()) continue;
    const auto number = parse_number(content, line);
    if (!number) return std::unexpected(number.error());
    if (*number >= blocks) {
      return std::unexpected(
          fmt::format("line {}: block {} lies past the end of the volume, whose "
                      "last block is {} (is --block-size the one of the list?)",
                      line, *number, blocks - 1));
    }
    entries.push_back({.number = *number, .line = line});
  }
  return entries;
}

}  // namespace

std::string badblocks_unit_fault(BadblocksUnit unit) {
  if (unit.block_bytes >= kSectorBytes && unit.block_bytes <= kMaxUnitBytes &&
      unit.block_bytes % kSectorBytes == 0) {
    return "";
  }
  return fmt::format(
      "the block size of a badblocks list is a multiple of 512 bytes up to 64 MiB, "
      "not {}",
      unit.block_bytes);
}

std::expected<std::vector<SectorRange>, std::string> parse_badblocks(std::string_view text,
                                                                     BadblocksUnit unit,
                                                                     u64 volume_sectors) {
  if (std::string fault = badblocks_unit_fault(unit); !fault.empty()) {
    return std::unexpected(std::move(fault));
  }
  const u64 block_sectors = unit.block_bytes / kSectorBytes;
  const u64 blocks = volume_sectors / block_sectors + (volume_sectors % block_sectors != 0 ? 1 : 0);
  auto entries = parse_lines(text, blocks);
  if (!entries) return std::unexpected(std::move(entries.error()));
  std::sort(entries->begin(), entries->end(), [](const Entry& a, const Entry& b) {
    return a.number != b.number ? a.number < b.number : a.line < b.line;
  });
  std::vector<SectorRange> ranges;
  for (std::size_t i = 0; i < entries->size(); ++i) {
    const Entry& entry = (*entries)[i];
    if (i > 0 && (*entries)[i - 1].number == entry.number) {
      return std::unexpected(fmt::format("line {}: block {} is on line {} already", entry.line,
                                         entry.number, (*entries)[i - 1].line));
    }
    const Sector begin(entry.number * block_sectors);
    const u64 sectors = std::min(block_sectors, volume_sectors - begin.value);
    if (!ranges.empty() && ranges.back().begin + ranges.back().sectors == begin) {
      ranges.back().sectors += sectors;
    } else {
      ranges.push_back({.begin = begin, .sectors = sectors});
    }
  }
  return ranges;
}

std::string format_badblocks(std::span<const SectorRange> ranges, BadblocksUnit unit) {
  const u64 block_sectors = unit.block_bytes / kSectorBytes;
  std::string text;
  u64 next = 0;  // the first block that is not in the list yet
  for (const SectorRange& range : ranges) {
    if (range.sectors == 0) continue;
    const u64 last = (range.begin.value + range.sectors - 1) / block_sectors;
    for (u64 block = std::max(next, range.begin.value / block_sectors); block <= last; ++block) {
      fmt::format_to(std::back_inserter(text), "{}\n", block);
    }
    next = std::max(next, last + 1);
  }
  return text;
}

}  // namespace dmr::cli

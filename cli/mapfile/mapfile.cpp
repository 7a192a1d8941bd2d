// SPDX-License-Identifier: GPL-2.0-or-later
// Parsing and writing of ddrescue's mapfiles.
#include "cli/mapfile/mapfile.h"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

#include "cli/app/quoted.h"

namespace dmr::cli {
namespace {

using Fault = std::unexpected<std::string>;

constexpr std::string_view kBlanks = " \t\r\v\f";
constexpr std::size_t kMaxFields = 4;  // one more than any line has

struct Fields {
  std::array<std::string_view, kMaxFields> field;
  std::size_t count = 0;
};

struct Area {
  u64 begin = 0;
  u64 bytes = 0;
  char status = '?';
};

Fault fault(u64 line, const std::string& text) {
  return std::unexpected(fmt::format("line {}: {}", line, text));
}

// The fields of a line before its comment: `#` begins one at the line's begin or after a blank.
Fields fields_of(std::string_view line) {
  Fields found;
  while (found.count < kMaxFields) {
    const std::size_t begin = line.find_first_not_of(kBlanks);
    if (begin == std::string_view::npos || line[begin] == '#') break;
    line.remove_prefix(begin);
    const std::size_t end = std::min(line.find_first_of(kBlanks), line.size());
    found.field[found.count++] = line.substr(0, end);
    line.remove_prefix(end);
  }
  return found;
}

// As C writes them: 0x for hexadecimal, a leading 0 for octal.
std::expected<u64, std::string> parse_integer(std::string_view text, u64 line) {
  int base = 10;
  std::string_view digits = text;
  if (text.starts_with("0x") || text.starts_with("0X")) {
    base = 16;
    digits.remove_prefix(2);
  } else if (text.size() > 1 && text.front() == '0') {
    base = 8;
  }
  u64 number = 0;
  const char* const end = digits.data() + digits.size();
  const auto [rest, error] = std::from_chars(digits.data(), end, number, base);
  if (error == std::errc::result_out_of_range && rest == end) {
    return fault(line, fmt::format("{} is no byte of any disk", quoted(text)));
  }
  if (error != std::errc{} || rest != end) {
    return fault(line, fmt::format("{} is not a number", quoted(text)));
  }
  return number;
}

// Position, status and, since version 1.22, the number of the pass. None of them matters here, but
// a file without them is no mapfile.
std::expected<void, std::string> check_status_line(const Fields& fields, u64 line) {
  constexpr std::string_view kPhases = "?*/-FG+";
  const auto& field = fields.field;
  if (fields.count < 2 || fields.count > 3 || field[1].size() != 1 ||
      !kPhases.contains(field[1][0])) {
    return fault(line, "this is not the status line of a mapfile (position, status, pass)");
  }
  const auto position = parse_integer(field[0], line);
  if (!position) return std::unexpected(position.error());
  if (fields.count == 3) {
    const auto pass = parse_integer(field[2], line);
    if (!pass) return std::unexpected(pass.error());
  }
  return {};
}

std::expected<Area, std::string> parse_area(const Fields& fields, u64 line) {
  constexpr std::string_view kStatuses = "?*/-+";
  const auto& field = fields.field;
  if (fields.count != 3) {
    return fault(line, "an area has three parts: position, size and status");
  }
  const auto begin = parse_integer(field[0], line);
  if (!begin) return std::unexpected(begin.error());
  const auto bytes = parse_integer(field[1], line);
  if (!bytes) return std::unexpected(bytes.error());
  if (field[2].size() != 1 || !kStatuses.contains(field[2][0])) {
    return fault(line,
                 fmt::format("{} is no status of an area; those are ? * / - +", quoted(field[2])));
  }
  if (*bytes == 0) return fault(line, "an area of no bytes");
  return Area{.begin = *begin, .bytes = *bytes, .status = field[2][0]};
}

class MapfileReader {
 public:
  explicit MapfileReader(u64 volume_sectors) : volume_bytes_(volume_sectors * kSectorBytes) {}

  std::expected<void, std::string> take(std::string_view text) {
    ++line_;
    const Fields fields = fields_of(text);
    if (fields.count == 0) return {};
    if (!has_status_) {
      has_status_ = true;
      return check_status_line(fields, line_);
    }
    const auto area = parse_area(fields, line_);
    if (!area) return std::unexpected(area.error());
    return place(*area);
  }
  std::expected<Mapfile, std::string> finish() && {
    if (!has_areas_) return fault(line_ + 1, "the file ends before its first area");
    return std::move(map_);
  }

 private:
  std::expected<void, std::string> place(const Area& area) {
    if (has_areas_ && area.begin < next_) {
      return fault(line_, fmt::format("the area at {:#x} overlaps the one before it, which ends "
                                      "at {:#x}",
                                      area.begin, next_));
    }
    if (has_areas_ && area.begin > next_) {
      return fault(line_, fmt::format("a gap: the area before ends at {:#x}, this one begins at "
                                      "{:#x}",
                                      next_, area.begin));
    }
    if (area.begin >= volume_bytes_ || area.bytes > volume_bytes_ - area.begin) {
      return fault(line_, fmt::format("the area at {:#x} of {:#x} bytes lies past the end of the "
                                      "volume at {:#x} (is it a mapfile of this disk?)",
                                      area.begin, area.bytes, volume_bytes_));
    }
    has_areas_ = true;
    next_ = area.begin + area.bytes;
    if (area.status == '-') add_bad(area);
    if (area.status == '?') map_.non_tried += area.bytes;
    if (area.status == '*') map_.non_trimmed += area.bytes;
    if (area.status == '/') map_.non_scraped += area.bytes;
    return {};
  }

  void add_bad(const Area& area) {
    Sector begin(area.begin / kSectorBytes);
    const Sector end((area.begin + area.bytes + kSectorBytes - 1) / kSectorBytes);
    if (!map_.bad.empty()) {
      SectorRange& last = map_.bad.back();
      begin = std::max(begin, last.begin + last.sectors);  // a sector that both have a part of
      if (begin == last.begin + last.sectors) {
        last.sectors += end - begin;
        return;
      }
    }
    map_.bad.push_back({.begin = begin, .sectors = end - begin});
  }

  const u64 volume_bytes_;
  Mapfile map_;
  u64 line_ = 0;
  u64 next_ = 0;  // where the last area ends
  bool has_status_ = false;
  bool has_areas_ = false;
};

}  // namespace

std::expected<Mapfile, std::string> parse_mapfile(std::string_view text, u64 volume_sectors) {
  DMR_ASSERT(volume_sectors <= kMaxSectors);
  MapfileReader reader(volume_sectors);
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const auto taken = reader.take(text.substr(0, end));
    if (!taken) return std::unexpected(taken.error());
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
  }
  return std::move(reader).finish();
}

std::string format_mapfile(std::span<const SectorRange> bad, u64 volume_sectors) {
  std::string text =
      "# Mapfile. Created by dm-remap\n"
      "# current_pos  current_status  current_pass\n";
  fmt::format_to(std::back_inserter(text), "0x{:08X}     +               1\n",
                 volume_sectors * kSectorBytes);
  text += "#      pos        size  status\n";
  const auto add = [&](Sector begin, Sector end, char status) {
    if (begin == end) return;
    fmt::format_to(std::back_inserter(text), "0x{:08X}  0x{:08X}  {}\n", begin.value * kSectorBytes,
                   (end - begin) * kSectorBytes, status);
  };
  Sector next{};
  for (std::size_t i = 0; i < bad.size(); ++i) {
    const Sector begin = bad[i].begin;
    Sector end = begin + bad[i].sectors;
    while (i + 1 < bad.size() && bad[i + 1].begin == end) end = end + bad[++i].sectors;
    DMR_ASSERT(next <= begin && end.value <= volume_sectors);
    add(next, begin, '+');
    add(begin, end, '-');
    next = end;
  }
  add(next, Sector(volume_sectors), '+');
  return text;
}

}  // namespace dmr::cli

// SPDX-License-Identifier: GPL-2.0-or-later
// Parsing of numbers from the command line.
#include "cli/app/sizes.h"

#include <charconv>
#include <optional>

#include <fmt/format.h>

#include "core/base/bits.h"

namespace dmr::cli {
namespace {

// The whole of `text` as a number.
std::optional<u64> parse_number(std::string_view text) {
  const bool hexadecimal = text.starts_with("0x") || text.starts_with("0X");
  if (hexadecimal) text.remove_prefix(2);
  u64 number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number, hexadecimal ? 16 : 10);
  if (error != std::errc{} || rest != end) return std::nullopt;
  return number;
}

std::optional<u64> parse_size(std::string_view text) {
  const std::size_t digits = text.find_first_not_of("0123456789");
  const std::string_view suffix = digits == std::string_view::npos ? "" : text.substr(digits);
  const std::optional<u64> number = parse_number(text.substr(0, digits));
  if (!number) return std::nullopt;
  u32 shift = 64;
  if (suffix.empty() || suffix == "B") shift = 0;
  if (suffix == "k" || suffix == "K" || suffix == "KiB") shift = 10;
  if (suffix == "m" || suffix == "M" || suffix == "MiB") shift = 20;
  if (suffix == "g" || suffix == "G" || suffix == "GiB") shift = 30;
  if (shift == 64 || *number > (~u64{0} >> shift)) return std::nullopt;
  return *number << shift;
}

}  // namespace

Transform size_in_bytes() {
  return [](std::string& text) -> std::string {
    const std::optional<u64> bytes = parse_size(text);
    if (!bytes) return fmt::format("`{}` is not a size like 4096, 4K or 1MiB", text);
    text = fmt::format("{}", *bytes);
    return "";
  };
}

Check power_of_two(u64 least, u64 most) {
  return [least, most](const std::string& text) -> std::string {
    const std::optional<u64> value = parse_number(text);
    if (value && is_power_of_two(*value) && *value >= least && *value <= most) return "";
    return fmt::format("{} is not a power of two from {} to {}", text, least, most);
  };
}

Check within(u64 least, u64 most) {
  return [least, most](const std::string& text) -> std::string {
    const std::optional<u64> value = parse_number(text);
    if (value && *value >= least && *value <= most) return "";
    return fmt::format("`{}` is not a number from {} to {}", text, least, most);
  };
}

Expected<SectorRange> parse_range(std::string_view text) {
  const std::size_t plus = text.find('+');
  const std::optional<u64> begin = parse_number(text.substr(0, plus));
  const std::optional<u64> count =
      plus == std::string_view::npos ? std::optional<u64>(1) : parse_number(text.substr(plus + 1));
  if (!begin || !count || *count == 0) {
    return misused(
        fmt::format("`{}` is not SECTOR or SECTOR+COUNT, like 2048 or 2048+8", text.substr(0, 60)));
  }
  if (*begin >= kMaxSectors || *count > kMaxSectors - *begin) {
    return misused(fmt::format("`{}` lies past the end of any disk", text.substr(0, 60)));
  }
  return SectorRange{.begin = Sector(*begin), .sectors = *count};
}

}  // namespace dmr::cli

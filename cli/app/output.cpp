// SPDX-License-Identifier: GPL-2.0-or-later
// Formatting of sizes, colours, tables and JSON.
#include "cli/app/output.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <unistd.h>

#include <fmt/format.h>

#include "core/base/assert.h"

namespace dmr::cli {
namespace {

const char* code_of(Colour colour) {
  switch (colour) {
    case Colour::none:
      return "";
    case Colour::bold:
      return "\x1b[1m";
    case Colour::dim:
      return "\x1b[2m";
    case Colour::red:
      return "\x1b[31m";
    case Colour::green:
      return "\x1b[32m";
    case Colour::yellow:
      return "\x1b[33m";
    case Colour::blue:
      return "\x1b[34m";
    case Colour::magenta:
      return "\x1b[35m";
  }
  return "";
}

}  // namespace

void print_json(const Json& document) {
  fmt::print("{}\n", document.dump(2, ' ', false, Json::error_handler_t::replace));
}

std::string binary_size(u64 bytes) {
  constexpr std::array<const char*, 7> kUnits{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  std::size_t unit = 0;
  u64 whole = bytes;
  u64 rest = 0;  // of `whole`, below 1024
  while (whole >= 1024 && unit + 1 < kUnits.size()) {
    rest = whole % 1024;
    whole /= 1024;
    ++unit;
  }
  const u64 tenths = rest * 10 / 1024;
  if (tenths == 0 || whole >= 100) return fmt::format("{} {}", whole, kUnits[unit]);
  return fmt::format("{}.{} {}", whole, tenths, kUnits[unit]);
}

std::string grouped(u64 number) {
  std::string text = fmt::format("{}", number);
  for (std::size_t at = text.size(); at > 3;) {
    at -= 3;
    text.insert(at, 1, ',');
  }
  return text;
}

std::string counted(u64 number, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", grouped(number), number == 1 ? one : many);
}

bool colours_wanted() {
  const char* const no_colour = std::getenv("NO_COLOR");
  if (no_colour != nullptr && *no_colour != '\0') return false;
  const char* const terminal = std::getenv("TERM");
  if (terminal != nullptr && std::string_view(terminal) == "dumb") return false;
  return isatty(STDOUT_FILENO) == 1;
}

std::string painted(std::string_view text, Colour colour) {
  if (colour == Colour::none || !colours_wanted()) return std::string(text);
  return fmt::format("{}{}\x1b[0m", code_of(colour), text);
}

void Table::add(std::vector<std::string> cells) {
  DMR_ASSERT(cells.size() == columns_.size());
  rows_.push_back(std::move(cells));
}

void Table::print() const {
  std::vector<std::size_t> widths;
  for (std::size_t column = 0; column < columns_.size(); ++column) {
    std::size_t width = columns_[column].title.size();
    for (const auto& row : rows_) width = std::max(width, row[column].size());
    widths.push_back(width);
  }
  const auto line = [&](const auto& cell_of) {
    std::string text;
    for (std::size_t column = 0; column < columns_.size(); ++column) {
      const std::string& cell = cell_of(column);
      const std::string padding(widths[column] - cell.size(), ' ');
      if (column > 0) text += "  ";
      text += columns_[column].right ? padding + cell : cell + padding;
    }
    text.erase(text.find_last_not_of(' ') + 1);
    return text;
  };
  const std::string title =
      line([&](std::size_t column) -> const std::string& { return columns_[column].title; });
  fmt::print("{}\n", painted(title, Colour::bold));
  for (const auto& row : rows_) {
    fmt::print("{}\n", line([&](std::size_t column) -> const std::string& { return row[column]; }));
  }
}

}  // namespace dmr::cli

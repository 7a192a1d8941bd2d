// SPDX-License-Identifier: GPL-2.0-or-later
// What the subcommands print: sizes in binary units, colours on terminals only, aligned tables,
// and one way to write JSON.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/base/types.h"

namespace dmr::cli {

// Keeps the order in which keys were added: people read it too.
using Json = nlohmann::ordered_json;

// The document and a line break, on stdout. Bytes that are not UTF-8 are replaced.
void print_json(const Json& document);

// "512 B", "4 KiB", "1.5 TiB": at most one decimal, never rounded up to the next unit.
[[nodiscard]] std::string binary_size(u64 bytes);
[[nodiscard]] inline std::string sectors_size(u64 sectors) {
  return binary_size(sectors * kSectorBytes);
}

// "1 sector", "12,345 sectors"
[[nodiscard]] std::string grouped(u64 number);
[[nodiscard]] std::string counted(u64 number, std::string_view one, std::string_view many);

enum class Colour { none, bold, dim, red, green, yellow, blue, magenta };

// True when stdout is a terminal that wants colours: NO_COLOR is not set, TERM is not "dumb".
[[nodiscard]] bool colours_wanted();
// `text` in this colour, or as it is when colours are not wanted.
[[nodiscard]] std::string painted(std::string_view text, Colour colour);

// Rows with columns as wide as their widest cell. Numbers are right-aligned by `right`.
class Table {
 public:
  struct Column {
    std::string title;
    bool right = false;
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  void add(std::vector<std::string> cells);
  void print() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace dmr::cli

// SPDX-License-Identifier: GPL-2.0-or-later
// `dm-remap map`: which blocks live elsewhere, and which sectors are lost.
#include <sys/ioctl.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <unistd.h>
#include <vector>

#include <fmt/format.h>

#include "cli/app/output.h"
#include "cli/client/session.h"
#include "cli/commands/commands.h"

namespace dmr::cli {
namespace {

using nlohmann::json;

constexpr CommandText kMapText{
    .name = "map",
    .group = "Inspect and repair",
    .summary = "List every remapped block and lost sector",
    .explanation =
        "One line for each run of blocks that is not simply on main: where it is in the volume,\n"
        "where it lives now, how many of its sectors are valid and which are lost. With --visual\n"
        "a picture of the whole disk instead: each character stands for a part of it and shows\n"
        "the worst that is there.",
    .examples =
        "  dm-remap map tank\n"
        "  dm-remap map tank --visual\n"
        "  dm-remap map tank --json | jq '.runs[] | select(.lost_sectors > 0)'"};

constexpr u64 kDefaultColumns = 64;
constexpr u64 kRows = 16;
constexpr std::size_t kShownSectors = 8;

struct MapOptions {
  std::string name;
  bool visual = false;
  bool json = false;
};

enum class Cell : u8 { clean, remapped, lost };

// "8 12 13", "all", shortened where it is long.
std::string lost_text(const json& run) {
  const u64 lost = run.at("lost_sectors").get<u64>();
  if (lost == 0) return "-";
  if (!run.contains("lost")) return "all";
  std::string text;
  std::size_t shown = 0;
  for (const json& sector : run.at("lost")) {
    if (shown++ == kShownSectors) return text + fmt::format(" and {} more", lost - kShownSectors);
    text += fmt::format("{}{}", text.empty() ? "" : " ", sector.get<u64>());
  }
  return text;
}

std::string home_text(const json& run) {
  if (run.at("member") == 0) return "main";
  return fmt::format("spare {} sector {}", run.at("member").get<u32>(),
                     run.at("home_sector").get<u64>());
}

void print_runs(const std::vector<json>& runs) {
  if (runs.empty()) {
    fmt::print("Every block is on main and nothing is lost.\n");
    return;
  }
  Table table({{"BLOCK", true},
               {"BLOCKS", true},
               {"SECTOR", true},
               {"HOME"},
               {"VALID", true},
               {"LOST", true},
               {"LOST SECTORS"}});
  for (const json& run : runs) {
    const u64 lost = run.at("lost_sectors").get<u64>();
    table.add({fmt::format("{}", run.at("block").get<u64>()),
               fmt::format("{}", run.at("length").get<u64>()),
               fmt::format("{}", run.at("sector").get<u64>()), home_text(run),
               fmt::format("{}", run.at("sectors").get<u64>() - lost), fmt::format("{}", lost),
               lost_text(run)});
  }
  table.print();
}

u64 terminal_columns() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 20) return kDefaultColumns;
  return std::min<u64>(size.ws_col - u64{2}, 120);
}

// Cells that [begin, begin + sectors) touches take `state` when it is worse than theirs.
void mark_cells(std::vector<Cell>& cells, u64 cell_sectors, u64 begin, u64 sectors, Cell state) {
  if (sectors == 0) return;
  const u64 last = std::min<u64>((begin + sectors - 1) / cell_sectors, cells.size() - 1);
  for (u64 i = begin / cell_sectors; i <= last; ++i) cells[i] = std::max(cells[i], state);
}

std::vector<Cell> cells_of(const std::vector<json>& runs, u64 volume_sectors, u64 cell_sectors) {
  std::vector<Cell> cells((volume_sectors + cell_sectors - 1) / cell_sectors, Cell::clean);
  for (const json& run : runs) {
    const u64 begin = run.at("sector").get<u64>();
    const u64 sectors = run.at("sectors").get<u64>();
    if (run.at("member") != 0) mark_cells(cells, cell_sectors, begin, sectors, Cell::remapped);
    if (run.contains("lost")) {
      for (const json& one : run.at("lost")) {
        mark_cells(cells, cell_sectors, one.get<u64>(), 1, Cell::lost);
      }
    } else if (run.at("lost_sectors").get<u64>() > 0) {
      mark_cells(cells, cell_sectors, begin, sectors, Cell::lost);
    }
  }
  return cells;
}

std::string cell_text(Cell cell, std::size_t count) {
  switch (cell) {
    case Cell::clean:
      return painted(std::string(count, '.'), Colour::green);
    case Cell::remapped:
      return painted(std::string(count, 'o'), Colour::yellow);
    case Cell::lost:
      return painted(std::string(count, 'X'), Colour::red);
  }
  return "";
}

void print_picture(const json& status, const std::vector<json>& runs) {
  const u64 volume_sectors = status.at("volume_sectors").get<u64>();
  const u64 block_sectors = status.at("block_sectors").get<u64>();
  const u64 columns = terminal_columns();
  const u64 wanted = (volume_sectors + columns * kRows - 1) / (columns * kRows);
  const u64 cell_sectors = (wanted + block_sectors - 1) / block_sectors * block_sectors;
  const std::vector<Cell> cells = cells_of(runs, volume_sectors, cell_sectors);
  fmt::print("{} ({}), {} a character\n",
             painted(status.at("name").get<std::string>(), Colour::bold),
             sectors_size(volume_sectors), sectors_size(cell_sectors));
  for (std::size_t at = 0; at < cells.size();) {
    const std::size_t row_end =
        std::min<std::size_t>(cells.size(), at / columns * columns + columns);
    const auto same_end = std::find_if(cells.begin() + static_cast<std::ptrdiff_t>(at),
                                       cells.begin() + static_cast<std::ptrdiff_t>(row_end),
                                       [&](Cell cell) { return cell != cells[at]; });
    const auto next = static_cast<std::size_t>(same_end - cells.begin());
    fmt::print("{}{}", cell_text(cells[at], next - at), next == row_end ? "\n" : "");
    at = next;
  }
  fmt::print("{} on main   {} on a spare   {} with lost sectors\n", cell_text(Cell::clean, 1),
             cell_text(Cell::remapped, 1), cell_text(Cell::lost, 1));
}

Expected<Exit> map(const MapOptions& options) {
  auto session = Session::open(options.name);
  if (!session) return std::unexpected(session.error());
  const auto status = session->status();
  if (!status) return std::unexpected(status.error());
  std::vector<json> runs;
  const auto read = session->for_each_run([&](const json& run) { runs.push_back(run); });
  if (!read) return std::unexpected(read.error());
  if (options.json) {
    Json list = Json::array();
    for (const json& run : runs) list.push_back(Json(run));
    print_json({{"name", options.name},
                {"volume_sectors", status->at("volume_sectors").get<u64>()},
                {"block_sectors", status->at("block_sectors").get<u64>()},
                {"runs", list}});
  } else if (options.visual) {
    print_picture(*status, runs);
  } else {
    print_runs(runs);
  }
  return Exit::ok;
}

}  // namespace

void add_map(CommandLine& line) {
  Command& command = line.add(kMapText);
  const auto options = std::make_shared<MapOptions>();
  add_name(command, options->name);
  command.add_flag("--visual", options->visual, "A picture of the whole disk");
  add_json(command, options->json);
  line.on_run(command, [options] { return map(*options); });
}

}  // namespace dmr::cli

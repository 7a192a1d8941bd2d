// SPDX-License-Identifier: GPL-2.0-or-later
// `dm-remap mark`: moves blocks away from main before they fail.
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "cli/app/output.h"
#include "cli/commands/commands.h"
#include "cli/commands/move.h"

namespace dmr::cli {
namespace {

constexpr CommandText kMarkText{
    .name = "mark",
    .group = "Use",
    .summary = "Move sectors of a running volume to the spare",
    .explanation =
        "Moves the blocks that hold these sectors to a spare now, with their data. What cannot be\n"
        "read any more is recorded as lost: it reads as an error until it is written. Sectors are\n"
        "512 bytes, counted from the volume's (and main's) start; COUNT is 1 when it is left out.",
    .examples =
        "  dm-remap mark tank 2048\n"
        "  dm-remap mark tank 2048+64 0x100000+8"};

struct MarkOptions {
  std::string name;
  std::vector<std::string> ranges;
  bool json = false;
};

Expected<Exit> mark(const MarkOptions& options) {
  const auto ranges = parse_ranges(options.ranges);
  if (!ranges) return std::unexpected(ranges.error());
  auto session = Session::open(options.name);
  if (!session) return std::unexpected(session.error());
  const auto moved = session->move("mark", *ranges);
  if (!moved) return std::unexpected(moved.error());
  if (auto all = check_moved("mark", *moved); !all) return std::unexpected(all.error());
  if (options.json) {
    print_moved_json(options.name, *moved);
    return Exit::ok;
  }
  fmt::print("{} moved to the spare, {} left as they were.\n",
             counted(moved->blocks_changed, "block", "blocks"), grouped(moved->blocks_unchanged));
  if (moved->sectors_lost > 0) {
    fmt::print("{} could not be read and {} lost: write them again, from a backup.\n",
               counted(moved->sectors_lost, "sector", "sectors"),
               moved->sectors_lost == 1 ? "is" : "are");
  }
  return Exit::ok;
}

}  // namespace

void add_mark(CommandLine& line) {
  Command& command = line.add(kMarkText);
  const auto options = std::make_shared<MarkOptions>();
  add_name(command, options->name);
  command.add_option("SECTOR[+COUNT]", options->ranges, "What to move")->required()->type_name("");
  add_json(command, options->json);
  line.on_run(command, [options] { return mark(*options); });
}

}  // namespace dmr::cli

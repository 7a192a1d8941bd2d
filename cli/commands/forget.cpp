// SPDX-License-Identifier: GPL-2.0-or-later
// `dm-remap forget`: brings blocks home to main.
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "cli/app/output.h"
#include "cli/commands/commands.h"
#include "cli/commands/move.h"

namespace dmr::cli {
namespace {

constexpr CommandText kForgetText{
    .name = "forget",
    .group = "Use",
    .summary = "Bring sectors of a running volume home to main",
    .explanation =
        "Writes the blocks that hold these sectors back to main, reads them again to be sure, and\n"
        "frees their place on the spare. A block that main does not take stays where it is, and\n"
        "lost sectors stay lost. Use it when a block was marked by mistake.",
    .examples =
        "  dm-remap forget tank 2048\n"
        "  dm-remap forget tank 2048+64"};

struct ForgetOptions {
  std::string name;
  std::vector<std::string> ranges;
  bool json = false;
};

Expected<Exit> forget(const ForgetOptions& options) {
  const auto ranges = parse_ranges(options.ranges);
  if (!ranges) return std::unexpected(ranges.error());
  auto session = Session::open(options.name);
  if (!session) return std::unexpected(session.error());
  const auto moved = session->move("forget", *ranges);
  if (!moved) return std::unexpected(moved.error());
  if (auto all = check_moved("forget", *moved); !all) return std::unexpected(all.error());
  if (options.json) {
    print_moved_json(options.name, *moved);
    return Exit::ok;
  }
  fmt::print("{} back on main, {} left as they were.\n",
             counted(moved->blocks_changed, "block", "blocks"), grouped(moved->blocks_unchanged));
  return Exit::ok;
}

}  // namespace

void add_forget(CommandLine& line) {
  Command& command = line.add(kForgetText);
  const auto options = std::make_shared<ForgetOptions>();
  add_name(command, options->name);
  command.add_option("SECTOR[+COUNT]", options->ranges, "What to bring home")
      ->required()
      ->type_name("");
  add_json(command, options->json);
  line.on_run(command, [options] { return forget(*options); });
}

}  // namespace dmr::cli

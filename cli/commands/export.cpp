// SPDX-License-Identifier: GPL-2.0-or-later
// `dm-remap export`: what main has lost, in a form that other tools read.
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "cli/app/output.h"
#include "cli/app/sizes.h"
#include "cli/badblocks/badblocks.h"
#include "cli/client/session.h"
#include "cli/commands/commands.h"

namespace dmr::cli {
namespace {

constexpr CommandText kText{
    .name = "export",
    .group = "Use",
    .summary = "Print the bad blocks of main as badblocks(8) does",
    .explanation =
        "Prints one block number a line, for all that lives on a spare or is lost: what must not\n"
        "be used when main is used without dm-remap. e2fsck -l and mkfs.ext4 -l read such lists,\n"
        "with the block size of the filesystem.",
    .examples =
        "  dm-remap export tank --badblocks > bad.txt\n"
        "  dm-remap export tank --badblocks --block-size 4096 | e2fsck -l - /dev/sdb"};

struct Options {
  std::string name;
  BadblocksUnit unit;
  bool badblocks = false;
  bool json = false;
};

void add_ranges(std::vector<SectorRange>& ranges, const nlohmann::json& run) {
  const bool in_part = run.at("member") == 0 && run.contains("lost");
  if (!in_part) {
    ranges.push_back(
        {.begin = Sector(run.at("sector").get<u64>()), .sectors = run.at("sectors").get<u64>()});
    return;
  }
  for (const auto& sector : run.at("lost")) {
    ranges.push_back({.begin = Sector(sector.get<u64>()), .sectors = 1});
  }
}

Expected<Exit> export_list(const Options& options) {
  if (const std::string fault = badblocks_unit_fault(options.unit); !fault.empty()) {
    return misused(fault);
  }
  auto session = Session::open(options.name);
  if (!session) return std::unexpected(session.error());
  std::vector<SectorRange> ranges;
  const auto read =
      session->for_each_run([&](const nlohmann::json& run) { add_ranges(ranges, run); });
  if (!read) return std::unexpected(read.error());
  const std::string text = format_badblocks(ranges, options.unit);
  if (!options.json) {
    fmt::print("{}", text);
    return Exit::ok;
  }
  Json blocks = Json::array();
  for (std::size_t at = 0; at < text.size(); at = text.find('\n', at) + 1) {
    blocks.push_back(std::stoull(text.substr(at)));
  }
  print_json(
      {{"name", options.name}, {"block_bytes", options.unit.block_bytes}, {"blocks", blocks}});
  return Exit::ok;
}

}  // namespace

void add_export(CommandLine& line) {
  Command& command = line.add(kText);
  const auto options = std::make_shared<Options>();
  add_name(command, options->name);
  command.add_flag("--badblocks", options->badblocks, "The form: one block number a line")
      ->required();
  command.add_option("--block-size", options->unit.block_bytes, "What one number counts (1024)")
      ->type_name("BYTES")
      ->transform(size_in_bytes());
  add_json(command, options->json);
  line.on_run(command, [options] { return export_list(*options); });
}

}  // namespace dmr::cli

// SPDX-License-Identifier: GPL-2.0-or-later
// `dm-remap export`: what main has lost, in forms that other tools read.
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "cli/app/output.h"
#include "cli/app/sizes.h"
#include "cli/badblocks/badblocks.h"
#include "cli/client/session.h"
#include "cli/commands/commands.h"
#include "cli/mapfile/mapfile.h"

namespace dmr::cli {
namespace {

constexpr CommandText kExportText{
    .name = "export",
    .group = "Use",
    .summary = "Print bad blocks for badblocks(8) or ddrescue(1)",
    .explanation =
        "--badblocks prints one block number a line, for all that lives on a spare or is lost:\n"
        "what must not be used when main is used without dm-remap. e2fsck -l and mkfs.ext4 -l "
        "read\n"
        "such lists, with the block size of the filesystem.\n"
        "--mapfile prints a mapfile of GNU ddrescue for a copy of the volume: what is lost is a "
        "bad\n"
        "area of it, everything else is finished.",
    .examples =
        "  dm-remap export tank --badblocks > bad.txt\n"
        "  dm-remap export tank --badblocks --block-size 4096 > bad.txt\n"
        "  e2fsck -l bad.txt /dev/sdb\n"
        "  dm-remap export tank --mapfile > tank.map"};

struct ExportOptions {
  std::string name;
  u64 block_bytes = 0;  // 0: not given
  bool badblocks = false;
  bool mapfile = false;
  bool json = false;
};

void add_lost(std::vector<SectorRange>& ranges, const nlohmann::json& run) {
  if (run.contains("lost")) {
    for (const auto& sector : run.at("lost")) {
      ranges.push_back({.begin = Sector(sector.get<u64>()), .sectors = 1});
    }
  } else if (run.at("lost_sectors").get<u64>() > 0) {  // all of it
    ranges.push_back(
        {.begin = Sector(run.at("sector").get<u64>()), .sectors = run.at("sectors").get<u64>()});
  }
}

// What main must not be used for: all that lives elsewhere, and what is lost.
void add_bad(std::vector<SectorRange>& ranges, const nlohmann::json& run) {
  const bool in_part = run.at("member") == 0 && run.contains("lost");
  if (in_part) return add_lost(ranges, run);
  ranges.push_back(
      {.begin = Sector(run.at("sector").get<u64>()), .sectors = run.at("sectors").get<u64>()});
}

void print_badblocks(const ExportOptions& options, const std::vector<SectorRange>& ranges) {
  const BadblocksUnit unit = unit_of(options.block_bytes);
  const std::string text = format_badblocks(ranges, unit);
  if (!options.json) return fmt::print("{}", text);
  Json blocks = Json::array();
  for (std::size_t at = 0; at < text.size(); at = text.find('\n', at) + 1) {
    blocks.push_back(std::stoull(text.substr(at)));
  }
  print_json({{"name", options.name}, {"block_bytes", unit.block_bytes}, {"blocks", blocks}});
}

void print_mapfile(const ExportOptions& options, const std::vector<SectorRange>& ranges,
                   u64 volume_sectors) {
  if (!options.json) return fmt::print("{}", format_mapfile(ranges, volume_sectors));
  Json lost = Json::array();
  for (const SectorRange& range : ranges) {
    lost.push_back({{"sector", range.begin.value}, {"sectors", range.sectors}});
  }
  print_json({{"name", options.name}, {"volume_sectors", volume_sectors}, {"lost", lost}});
}

Expected<Exit> export_list(const ExportOptions& options) {
  if (options.badblocks == options.mapfile) return misused("give one of --badblocks and --mapfile");
  if (options.block_bytes != 0 && options.mapfile) {
    return misused("--block-size goes with --badblocks: a mapfile counts bytes");
  }
  if (const std::string fault = badblocks_unit_fault(unit_of(options.block_bytes));
      !fault.empty()) {
    return misused(fault);
  }
  auto session = Session::open(options.name);
  if (!session) return std::unexpected(session.error());
  const auto status = session->status();
  if (!status) return std::unexpected(status.error());
  std::vector<SectorRange> ranges;
  const auto read = session->for_each_run([&](const nlohmann::json& run) {
    options.mapfile ? add_lost(ranges, run) : add_bad(ranges, run);
  });
  if (!read) return std::unexpected(read.error());
  if (options.mapfile) {
    print_mapfile(options, ranges, status->at("volume_sectors").get<u64>());
  } else {
    print_badblocks(options, ranges);
  }
  return Exit::ok;
}

}  // namespace

void add_export(CommandLine& line) {
  Command& command = line.add(kExportText);
  const auto options = std::make_shared<ExportOptions>();
  add_name(command, options->name);
  command.add_flag("--badblocks", options->badblocks, "The form: one block number a line");
  command.add_flag("--mapfile", options->mapfile, "The form: a mapfile of ddrescue");
  command
      .add_option("--block-size", options->block_bytes, "What one number of a list counts (1024)")
      ->type_name("BYTES")
      ->transform(size_in_bytes())
      ->check(within(kSectorBytes, ~u64{0}));
  add_json(command, options->json);
  line.on_run(command, [options] { return export_list(*options); });
}

}  // namespace dmr::cli

// SPDX-License-Identifier: GPL-2.0-or-later
// `dm-remap check`: examines the metadata of a stopped volume and changes nothing.
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "cli/app/output.h"
#include "cli/commands/commands.h"
#include "cli/metadata/describe.h"
#include "cli/metadata/examine.h"
#include "cli/metadata/report.h"
#include "cli/metadata/stopped_set.h"

namespace dmr::cli {
namespace {

constexpr CommandText kCheckText{
    .name = "check",
    .group = "Inspect and repair",
    .summary = "Examine the metadata of a stopped volume",
    .explanation =
        "Reads every block of metadata on the devices, in whatever order they are given, and says\n"
        "what is damaged, where, and what follows from it. Writes nothing: `start` repairs what\n"
        "has a good copy left. Some of the members are enough; main adds the check of its size.\n"
        "The exit status is 4 when anything is wrong.",
    .examples =
        "  dm-remap check /dev/sdc1\n"
        "  dm-remap check /dev/sdb /dev/sdc1 /dev/sdd1 --json"};

struct CheckOptions {
  std::vector<std::string> devices;
  bool json = false;
};

void print_text(const DiskSet& set, const Examination& found, const std::vector<Told>& told) {
  print_members(set);
  if (found.status == Status::ok) {
    const MapModel::Summary sum = found.map.summary(found.geometry);
    fmt::print("  map      {}, {} remapped, {} lost\n", counted(sum.runs, "run", "runs"),
               counted(sum.remapped_blocks, "block", "blocks"),
               counted(sum.lost_sectors, "sector", "sectors"));
  }
  print_findings(told);
  fmt::print("{}\n", is_clean(told) ? painted("The metadata is sound.", Colour::green)
                                    : painted("The metadata is damaged.", Colour::red));
}

Expected<Exit> check(const CheckOptions& options) {
  const auto stopped = open_set(options.devices, Purpose::look);
  if (!stopped) return std::unexpected(stopped.error());
  const DiskSet& set = stopped->set;
  const Examination found = examine(set);
  const std::vector<Told> told = tell(found, set.paths());
  if (options.json) {
    const MapModel::Summary sum = found.map.summary(found.geometry);
    Json report = json_of_members(set);
    report["healthy"] = is_clean(told);
    report["startable"] = found.status == Status::ok;
    report["runs"] = sum.runs;
    report["remapped_blocks"] = sum.remapped_blocks;
    report["lost_sectors"] = sum.lost_sectors;
    report["findings"] = json_of(told);
    print_json(report);
  } else {
    print_text(set, found, told);
  }
  return is_clean(told) ? Exit::ok : Exit::fault_found;
}

}  // namespace

void add_check(CommandLine& line) {
  Command& command = line.add(kCheckText);
  const auto options = std::make_shared<CheckOptions>();
  command.add_option("DEV", options->devices, "Members of one volume, in any order")
      ->required()
      ->type_name("");
  add_json(command, options->json);
  line.on_run(command, [options] { return check(*options); });
}

}  // namespace dmr::cli

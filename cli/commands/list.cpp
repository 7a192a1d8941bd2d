// SPDX-License-Identifier: GPL-2.0-or-later
// `dm-remap list`: the volumes that are known here, running or not.
#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/app/output.h"
#include "cli/client/session.h"
#include "cli/commands/commands.h"
#include "cli/device/member.h"
#include "cli/device/sysfs.h"
#include "cli/metadata/survey.h"
#include "cli/state/hints.h"

namespace dmr::cli {
namespace {

constexpr CommandText kListText{
    .name = "list",
    .group = "Inspect and repair",
    .summary = "List the volumes that are known here",
    .explanation =
        "Lists running volumes, and those that were made or started here before. With --scan all\n"
        "block devices are searched for spares of other volumes too (that needs root).",
    .examples =
        "  dm-remap list\n"
        "  dm-remap list --scan --json"};

struct ListOptions {
  bool scan = false;
  bool names = false;
  bool json = false;
};

struct Row {
  std::string name;
  bool running = false;
  std::string path;  // of the export
  std::string main;
  std::vector<std::string> spares;
};

void add_running(std::map<std::string, Row>& rows) {
  for (const std::string& name : running_volumes(system_mapper())) {
    Row& row = rows[name];
    row.name = name;
    row.running = true;
    auto session = Session::open(name);
    if (!session) continue;  // it belongs to another user, or is on its way up or down
    const auto status = session->status();
    if (!status) continue;
    row.spares.clear();
    for (const auto& member : status->at("members")) {
      if (!member.at("spec").is_string()) continue;
      const std::string spec = member.at("spec").get<std::string>();
      if (member.at("member") == 0) {
        row.main = spec;
      } else {
        row.spares.push_back(spec);
      }
    }
    for (const auto& exported : status->at("exports")) row.path = exported.value("path", "");
  }
}

void add_scanned(std::map<std::string, Row>& rows) {
  for (const std::string& path : all_block_devices()) {
    const auto device = runtime::Device::open(path, {.read_only = true,
                                                     .exclusive = false,
                                                     .allow_buffered = true,
                                                     .odd_size = runtime::OddSize::cut_down});
    if (!device) continue;
    const Survey found = survey(**device);
    if (found.newest() == nullptr) continue;
    Row& row = rows[name_of(*found.newest())];
    row.name = name_of(*found.newest());
    if (std::find(row.spares.begin(), row.spares.end(), path) == row.spares.end()) {
      row.spares.push_back(path);
    }
  }
}

void print_rows(const std::map<std::string, Row>& rows) {
  if (rows.empty()) {
    fmt::print("No volume is known here. `dm-remap create --help` says how to make one.\n");
    return;
  }
  Table table({{"NAME"}, {"STATE"}, {"SERVED AT"}, {"MAIN"}, {"SPARES"}});
  for (const auto& [name, row] : rows) {
    table.add({name, row.running ? "running" : "stopped", row.path.empty() ? "-" : row.path,
               row.main.empty() ? "?" : row.main, fmt::format("{}", fmt::join(row.spares, " "))});
  }
  table.print();
}

Expected<Exit> list(const ListOptions& options) {
  std::map<std::string, Row> rows;
  for (const Hint& hint : all_hints()) {
    rows[hint.name] = {
        .name = hint.name, .running = false, .path = "", .main = hint.main, .spares = hint.spares};
  }
  add_running(rows);
  if (options.scan) add_scanned(rows);
  if (options.names) {
    for (const auto& [name, row] : rows) fmt::print("{}\n", name);
  } else if (options.json) {
    Json volumes = Json::array();
    for (const auto& [name, row] : rows) {
      volumes.push_back({{"name", name},
                         {"running", row.running},
                         {"path", row.path.empty() ? Json(nullptr) : Json(row.path)},
                         {"main", row.main.empty() ? Json(nullptr) : Json(row.main)},
                         {"spares", row.spares}});
    }
    print_json({{"volumes", volumes}});
  } else {
    print_rows(rows);
  }
  return Exit::ok;
}

}  // namespace

void add_list(CommandLine& line) {
  Command& command = line.add(kListText);
  const auto options = std::make_shared<ListOptions>();
  command.add_flag("--scan", options->scan, "Search all block devices too");
  command.add_flag("--names", options->names, "Print the names only, one a line");
  add_json(command, options->json);
  line.on_run(command, [options] { return list(*options); });
}

}  // namespace dmr::cli

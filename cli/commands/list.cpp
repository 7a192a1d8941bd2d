// SPDX-License-Identifier: GPL-2.0-or-later
// `dm-remap list`: the volumes that are known here, running or not.
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <tuple>
#include <unistd.h>
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
        "block devices are searched for spares of other volumes too (that needs root). What could "
        "not be\n"
        "looked at is named, and the exit status is 1 then.",
    .examples =
        "  dm-remap list\n"
        "  dm-remap list --scan --json"};

// With each volume that runs: a server that hangs must not make the list hang.
constexpr std::chrono::seconds kListPatience{2};

struct ListOptions {
  bool scan = false;
  bool names = false;
  bool json = false;
};

struct Row {
  std::string name;
  std::string set;  // UUID as text; "" of a running volume that does not answer
  bool running = false;
  bool answers = true;
  std::string path;  // of the export
  std::string main;
  std::vector<std::string> spares;
};

// Volumes of one name are told apart by their sets; only one of them can run.
using Rows = std::vector<Row>;

Row& row_of(Rows& rows, const std::string& name, const std::string& set) {
  const auto found = std::find_if(rows.begin(), rows.end(), [&](const Row& row) {
    return row.name == name && (row.set == set || row.set.empty() || set.empty());
  });
  if (found != rows.end()) return *found;
  rows.push_back({.name = name, .set = set, .path = "", .main = "", .spares = {}});
  return rows.back();
}

void fill_in(Row& row, const Json& status) {
  row.spares.clear();
  for (const auto& member : status.at("members")) {
    if (!member.at("spec").is_string()) continue;
    const std::string spec = member.at("spec").get<std::string>();
    if (member.at("member") == 0) {
      row.main = spec;
    } else {
      row.spares.push_back(spec);
    }
  }
  for (const auto& exported : status.at("exports")) row.path = exported.value("path", "");
}

// What could not be looked at, a line each: the list may lack it.
using Gaps = std::vector<std::string>;

void add_running(Rows& rows, Gaps& gaps) {
  for (const std::string& name : running_volumes(system_mapper())) {
    auto session = Session::open(name);
    const auto status = session ? session->status(kListPatience) : std::unexpected(session.error());
    Row& row = row_of(rows, name, status ? status->at("set").get<std::string>() : "");
    row.running = true;
    // Else it belongs to another user, or is on its way up or down.
    if (status) fill_in(row, *status);
    row.answers = status || !session;
    if (!row.answers) gaps.push_back(status.error().message);
  }
}

void add_names_of_running(Rows& rows) {
  for (const std::string& name : running_volumes(system_mapper())) row_of(rows, name, "");
}

void add_scanned(Rows& rows, Gaps& gaps) {
  std::vector<std::string> closed;
  for (const std::string& path : all_block_devices()) {
    const auto device = runtime::Device::open(path, kLook);
    if (!device && access(path.c_str(), R_OK) != 0 && errno == EACCES) closed.push_back(path);
    if (!device) continue;
    const Survey found = survey(**device);
    const format::Superblock* block = found.newest();
    if (block == nullptr) continue;
    Row& row = row_of(rows, name_of(*block), uuid_text(block->header.set));
    if (std::find(row.spares.begin(), row.spares.end(), path) == row.spares.end()) {
      row.spares.push_back(path);
    }
  }
  if (closed.empty()) return;
  gaps.push_back(fmt::format("{} could not be looked at ({}): only root may read them, use sudo",
                             counted(closed.size(), "block device", "block devices"),
                             fmt::join(closed, " ")));
}

const char* state_of(const Row& row) {
  if (!row.running) return "stopped";
  return row.answers ? "running" : "no answer";
}

// Nothing is known only where all could be looked at.
void print_rows(const Rows& rows, bool is_whole) {
  if (rows.empty() && !is_whole) return;
  if (rows.empty()) {
    fmt::print("No volume is known here. `dm-remap create --help` says how to make one.\n");
    return;
  }
  Table table({{"NAME"}, {"STATE"}, {"SERVED AT"}, {"MAIN"}, {"SPARES"}});
  for (const Row& row : rows) {
    table.add({row.name, state_of(row), row.path.empty() ? "-" : row.path,
               row.main.empty() ? "?" : row.main, fmt::format("{}", fmt::join(row.spares, " "))});
  }
  table.print();
}

Expected<Exit> list(const ListOptions& options) {
  Rows rows;
  Hints hints = all_hints();
  Gaps gaps = std::move(hints.unreadable);
  for (const Hint& hint : hints.known) {
    rows.push_back(
        {.name = hint.name, .set = hint.set, .path = "", .main = hint.main, .spares = hint.spares});
  }
  options.names ? add_names_of_running(rows) : add_running(rows, gaps);
  if (options.scan) add_scanned(rows, gaps);
  std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
    return std::tie(a.name, a.set) < std::tie(b.name, b.set);
  });
  if (options.names) {
    for (const Row& row : rows) fmt::print("{}\n", row.name);
  } else if (options.json) {
    Json volumes = Json::array();
    for (const Row& row : rows) {
      volumes.push_back({{"name", row.name},
                         {"set", row.set.empty() ? Json(nullptr) : Json(row.set)},
                         {"running", row.running},
                         {"path", row.path.empty() ? Json(nullptr) : Json(row.path)},
                         {"main", row.main.empty() ? Json(nullptr) : Json(row.main)},
                         {"spares", row.spares}});
    }
    print_json({{"volumes", volumes}});
  } else {
    print_rows(rows, gaps.empty());
  }
  std::fflush(stdout);
  for (const std::string& gap : gaps) fmt::print(stderr, "dm-remap: {}\n", gap);
  return gaps.empty() ? Exit::ok : Exit::failed;
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

// SPDX-License-Identifier: GPL-2.0-or-later
// `dm-remap status`: how a running volume is, on one screen.
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "cli/app/output.h"
#include "cli/client/session.h"
#include "cli/commands/commands.h"
#include "cli/status/health.h"
#include "cli/status/scrub_text.h"

namespace dmr::cli {
namespace {

using nlohmann::json;

constexpr CommandText kStatusText{
    .name = "status",
    .group = "Inspect and repair",
    .summary = "Show how a running volume is",
    .explanation =
        "One screen: is it healthy, how much of the spare is used, what is remapped, lost or "
        "weak,\n"
        "which errors came from which device, and what you should do now. Without a name, all\n"
        "running volumes. Counters count since the volume was started.",
    .examples =
        "  dm-remap status tank\n"
        "  dm-remap status tank --json | jq .health"};

struct StatusOptions {
  std::string name;
  bool verbose = false;
  bool json = false;
};

u64 number(const json& object, const char* key) { return object.at(key).get<u64>(); }

Colour colour_of(Health health) {
  switch (health) {
    case Health::healthy:
      return Colour::green;
    case Health::attention:
      return Colour::yellow;
    case Health::failing:
      return Colour::red;
  }
  return Colour::none;
}

void line(const char* title, const std::string& text) { fmt::print("  {:<11}{}\n", title, text); }

void print_head(const json& status, const Diagnosis& diagnosis) {
  fmt::print("{}: {}, {} of 100{}\n", painted(status.at("name").get<std::string>(), Colour::bold),
             painted(text_of(diagnosis.health), colour_of(diagnosis.health)), diagnosis.score,
             status.at("writable").get<bool>() ? "" : ", read-only");
  for (const std::string& reason : diagnosis.reasons) line("Because", reason);
  line("Do now", diagnosis.advice);
  for (const json& exported : status.at("exports")) {
    line("Served at",
         fmt::format("{} ({})", exported.value("path", "?"), exported.value("kind", "?")));
  }
  line("Size", fmt::format("{} in blocks of {}", sectors_size(number(status, "volume_sectors")),
                           sectors_size(number(status, "block_sectors"))));
}

void print_map(const json& status) {
  const u64 block_sectors = number(status, "block_sectors");
  u64 used = 0;
  u64 left = 0;
  u64 bad = 0;
  u64 elsewhere = 0;
  for (const json& member : status.at("members")) {
    if (!takes_blocks(member)) {
      elsewhere += member.value("used_blocks", u64{0});
      continue;
    }
    used += member.value("used_blocks", u64{0});
    left += member.value("free_blocks", u64{0});
    bad += member.value("bad_blocks", u64{0});
  }
  line("Spare", fmt::format("{} used, {} free ({}){}{}", counted(used, "block", "blocks"),
                            grouped(left), sectors_size(left * block_sectors),
                            bad == 0 ? "" : fmt::format(", {} bad", grouped(bad)),
                            elsewhere == 0 ? ""
                                           : fmt::format("; {} on missing or retired spares",
                                                         counted(elsewhere, "block", "blocks"))));
  const u64 remapped = number(status, "remapped_blocks");
  line("Remapped", fmt::format("{} ({}); {} in the map", counted(remapped, "block", "blocks"),
                               sectors_size(remapped * block_sectors),
                               counted(number(status, "runs"), "run", "runs")));
  const u64 lost = number(status, "lost_sectors");
  line("Lost", fmt::format("{} ({})", counted(lost, "sector", "sectors"), sectors_size(lost)));
  line("Weak", counted(number(status, "weak_blocks"), "block", "blocks"));
  line("Scrub", scrub_summary(status));
}

std::string errors_text(const json& errors) {
  return fmt::format("{}/{}/{}", number(errors, "medium"), number(errors, "unspecified"),
                     number(errors, "device"));
}

void print_members(const json& status) {
  Table table({{"DEVICE"},
               {"SIZE", true},
               {"STATE"},
               {"READ ERRORS", true},
               {"WRITE ERRORS", true},
               {"PATH"}});
  for (const json& member : status.at("members")) {
    const bool is_main = member.at("role") == "main";
    std::string state = member.at("state").get<std::string>();
    if (!member.at("present").get<bool>()) state = "missing";
    if (member.at("breaker_open").get<bool>()) state += ", failing";
    if (member.at("buffered").get<bool>()) state += ", buffered";
    table.add({is_main ? "main" : fmt::format("spare {}", number(member, "member")),
               sectors_size(number(member, "sectors")), state,
               errors_text(member.at("errors").at("read")),
               errors_text(member.at("errors").at("write")),
               member.at("path").is_string() ? member.at("path").get<std::string>() : "-"});
  }
  fmt::print("\n");
  table.print();
  fmt::print("Errors: medium/unspecified/device, as the engine classed them.\n");
}

void print_counters(const json& status) {
  const json& io = status.at("io");
  fmt::print("\n");
  line("Reads", fmt::format("{} ({}), {} recovered, {} failed", grouped(number(io, "reads")),
                            binary_size(number(io, "read_bytes")),
                            grouped(number(status, "recovered_reads")),
                            grouped(number(io, "failed_reads"))));
  line("Writes", fmt::format("{} ({}), {} redirected, {} failed", grouped(number(io, "writes")),
                             binary_size(number(io, "write_bytes")),
                             counted(number(status, "redirected_writes"), "block", "blocks"),
                             grouped(number(io, "failed_writes"))));
  line("Others",
       fmt::format("{}, {}, {} write-zeroes", counted(number(io, "flushes"), "flush", "flushes"),
                   counted(number(io, "discards"), "discard", "discards"),
                   grouped(number(io, "write_zeroes"))));
}

void print_inside(const json& status) {
  const json& io = status.at("io");
  line("Moved", fmt::format("{} relocated, {} home again, {} requests had to wait",
                            counted(number(status, "relocated_blocks"), "block", "blocks"),
                            grouped(number(status, "returned_blocks")),
                            grouped(number(status, "held_requests"))));
  line("Log",
       fmt::format("{} ({}, {}), {}", counted(number(status, "commits"), "commit", "commits"),
                   counted(number(status, "commit_records"), "record", "records"),
                   counted(number(status, "commit_flushes"), "flush", "flushes"),
                   counted(number(status, "checkpoints"), "checkpoint", "checkpoints")));
  line("Path", fmt::format("{} pieces went straight to a device, {} through the engine",
                           grouped(number(io, "fast_pieces")), grouped(number(io, "slow_pieces"))));
  line("Index", binary_size(number(status, "index_bytes")));
  const json& process = status.at("pid");
  line("Run by", process.is_null() ? "the kernel" : fmt::format("process {}", process.get<int>()));
  line("Set", status.at("set").get<std::string>());
  fmt::print("\n");
  Table table({{"POOL"}, {"SIZE", true}, {"IN USE", true}, {"MOST", true}, {"EXHAUSTED", true}});
  for (const auto& [name, pool] : status.at("pools").items()) {
    table.add({name, grouped(number(pool, "size")), grouped(number(pool, "in_use")),
               grouped(number(pool, "high_water")), grouped(number(pool, "exhausted"))});
  }
  table.print();
}

Json with_diagnosis(const json& status, const Diagnosis& diagnosis) {
  Json report{{"name", status.at("name").get<std::string>()},
              {"health", text_of(diagnosis.health)},
              {"health_score", diagnosis.score},
              {"reasons", diagnosis.reasons},
              {"advice", diagnosis.advice}};
  for (const auto& [key, value] : status.items()) report[key] = Json(value);
  return report;
}

Expected<Exit> status(const StatusOptions& options) {
  const std::vector<std::string> names =
      options.name.empty() ? running_volumes(system_mapper()) : std::vector{options.name};
  Json reports = Json::array();
  for (const std::string& name : names) {
    auto session = Session::open(name);
    if (!session) return std::unexpected(session.error());
    const auto answer = session->status();
    if (!answer) return std::unexpected(answer.error());
    const Diagnosis diagnosis = diagnose(*answer);
    if (options.json) {
      reports.push_back(with_diagnosis(*answer, diagnosis));
      continue;
    }
    if (name != names.front()) fmt::print("\n");
    print_head(*answer, diagnosis);
    print_map(*answer);
    print_members(*answer);
    print_counters(*answer);
    if (options.verbose) print_inside(*answer);
  }
  if (options.json) {
    print_json(options.name.empty() ? Json{{"volumes", reports}} : reports.front());
  } else if (names.empty()) {
    fmt::print("No volume is running. `dm-remap list` shows the known ones.\n");
  }
  return Exit::ok;
}

}  // namespace

void add_status(CommandLine& line) {
  Command& command = line.add(kStatusText);
  const auto options = std::make_shared<StatusOptions>();
  add_name(command, options->name)->required(false);
  command.add_flag("-v,--verbose", options->verbose, "Also the engine's inside: log, pools, index");
  add_json(command, options->json);
  line.on_run(command, [options] { return status(*options); });
}

}  // namespace dmr::cli

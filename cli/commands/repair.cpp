// SPDX-License-Identifier: GPL-2.0-or-later
// `dm-remap repair`: rewrites damaged copies of a stopped volume's metadata from good ones.
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "cli/app/output.h"
#include "cli/app/status_text.h"
#include "cli/commands/commands.h"
#include "cli/metadata/examine.h"
#include "cli/metadata/report.h"
#include "cli/metadata/stopped_set.h"

namespace dmr::cli {
namespace {

constexpr CommandText kRepairText{
    .name = "repair",
    .group = "Inspect and repair",
    .summary = "Rewrite damaged metadata from good copies",
    .explanation =
        "Examines the metadata as `check` does, rewrites every damaged copy from a good one - of\n"
        "the same spare or of another - and examines it again. A spare that has lost all copies\n"
        "of its superblock gets new ones when its checkpoints prove that it is up to date. Give\n"
        "all spares of the volume; main is not needed and never written to. Where no good copy\n"
        "is left, nothing is written: the message says what can still be done.",
    .examples =
        "  dm-remap repair /dev/sdc1 /dev/sdd1\n"
        "  dm-remap repair --dry-run /dev/sdc1 --json"};

struct RepairArguments {
  std::vector<std::string> devices;
  bool degraded = false;
  bool dry_run = false;
  bool json = false;
};

const char* word_of(RepairOutcome outcome) {
  switch (outcome) {
    case RepairOutcome::sound:
      return "sound";
    case RepairOutcome::repairable:
      return "repairable";
    case RepairOutcome::repaired:
      return "repaired";
    case RepairOutcome::degraded:
      return "refused";
    case RepairOutcome::beyond:
      return "beyond_repair";
    case RepairOutcome::failed:
      return "failed";
  }
  return "";
}

std::string devices_of(const DiskSet& set) {
  std::string text;
  for (const std::string& path : set.paths()) {
    if (!path.empty()) text += " " + path;
  }
  return text;
}

Error why_not(const DiskSet& set, const Repair& done) {
  const std::string name = name_of(set.superblock);
  switch (done.outcome) {
    case RepairOutcome::degraded:
      return {fmt::format("spare {} of volume `{}` is not given, and would be counted as missing "
                          "from now on; give it too, or --degraded goes on without it",
                          done.missing, name),
              runtime::kExitRefused};
    case RepairOutcome::beyond:
      if (done.status == Status::wrong_member || done.status == Status::wrong_version ||
          done.status == Status::member_missing || done.status == Status::divergent) {
        return {
            fmt::format("volume `{}` cannot be repaired: {}; nothing was written, "
                        "`dm-remap check` shows more",
                        name, text_of(done.status))};
      }
      return {
          fmt::format("volume `{}` cannot be repaired: {}; nothing was written. `dm-remap "
                      "restore{} --backup-file FILE` puts a backup in place, `dm-remap dump "
                      "--records{}` saves what can be read of the map",
                      name, text_of(done.status), devices_of(set), devices_of(set))};
    default:
      return {
          fmt::format("volume `{}` is not repaired: {}; replace the spare that refuses, the "
                      "damage that is left is listed above",
                      name, done.error != 0 ? std::strerror(done.error) : text_of(done.status))};
  }
}

bool is_well(RepairOutcome outcome) {
  return outcome == RepairOutcome::sound || outcome == RepairOutcome::repairable ||
         outcome == RepairOutcome::repaired;
}

void print_text(const DiskSet& set, const Repair& done, const std::vector<Told>& before,
                const std::vector<Told>& after) {
  print_members(set);
  const bool is_done = done.outcome == RepairOutcome::repaired;
  for (const Told& one : before) {
    const bool is_damage = one.finding && one.finding->kind != FindingKind::restored_older;
    if (is_done && is_damage) {
      fmt::print("{}: {}\n", painted("repaired", Colour::green), one.text.what);
    } else {
      print_findings({one});
    }
  }
  if (done.outcome == RepairOutcome::failed) {
    fmt::print("What is left after trying:\n");
    print_findings(after);
  }
  if (is_done) fmt::print("{}\n", painted("The metadata is sound again.", Colour::green));
  if (done.outcome == RepairOutcome::sound) {
    fmt::print("{}\n", painted("The metadata is sound; nothing was written.", Colour::green));
  }
  if (done.outcome == RepairOutcome::repairable) {
    fmt::print("All of this can be repaired; nothing was written.\n");
  }
}

Expected<Exit> run_repair(const RepairArguments& options) {
  const auto stopped = open_set(options.devices, options.dry_run ? Purpose::look : Purpose::mend);
  if (!stopped) return std::unexpected(stopped.error());
  const DiskSet& set = stopped->set;
  const Repair done = repair(set, {.degraded = options.degraded, .dry_run = options.dry_run});
  const std::vector<Told> before = tell(done.before, set.paths());
  const std::vector<Told> after = tell(done.after, set.paths());
  if (options.json) {
    Json report = json_of_members(set);
    report["outcome"] = word_of(done.outcome);
    report["findings"] = json_of(before);
    report["left"] = json_of(after);
    print_json(report);
  } else {
    print_text(set, done, before, after);
  }
  if (is_well(done.outcome)) return Exit::ok;
  return std::unexpected(why_not(set, done));
}

}  // namespace

void add_repair(CommandLine& line) {
  Command& command = line.add(kRepairText);
  const auto options = std::make_shared<RepairArguments>();
  command.add_option("DEV", options->devices, "All spares of one volume, in any order")
      ->required()
      ->type_name("");
  command.add_flag("--degraded", options->degraded, "Go on without spares that are not given");
  command.add_flag("--dry-run", options->dry_run, "Say what would be done, and write nothing");
  add_json(command, options->json);
  line.on_run(command, [options] { return run_repair(*options); });
}

}  // namespace dmr::cli

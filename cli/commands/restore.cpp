// SPDX-License-Identifier: GPL-2.0-or-later
// `dm-remap restore`: puts the metadata of a backup on the spares.
#include "cli/metadata/restore.h"

#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "cli/app/output.h"
#include "cli/commands/commands.h"
#include "cli/device/content.h"
#include "cli/metadata/report.h"
#include "cli/metadata/stopped_set.h"

namespace dmr::cli {
namespace {

constexpr CommandText kRestoreText{
    .name = "restore",
    .group = "Inspect and repair",
    .summary = "Put the metadata of a backup on the spares",
    .explanation =
        "For a volume that `dm-remap repair` cannot save. Replaces all metadata on its spares by "
        "that\n"
        "of a backup; data is not touched. The spares must be those of the backup, and must show "
        "that\n"
        "the volume was not used since: an older map returns stale data for blocks that have "
        "moved.\n"
        "--older restores it all the same, and the volume is read-only from then on: copy its "
        "data\n"
        "away. --trust takes your word that it was not used. --replaced takes a new device of the\n"
        "same size in place of a spare that is gone; the blocks that lived on that one are lost.",
    .examples =
        "  dm-remap restore /dev/sdc1 /dev/sdd1 --backup-file tank.dmr\n"
        "  dm-remap restore /dev/sdc1 --backup-file tank.dmr --older"};

struct RestoreArguments {
  std::vector<std::string> devices;
  std::string file;
  RestoreOptions how;
  bool dry_run = false;
  bool json = false;
};

// A device that is taken in place of another must hold nothing of somebody else's.
Expected<void> check_contents(const OpenDisks& opened, const RestorePlan& plan) {
  for (std::size_t i = 0; i < opened.disks.size(); ++i) {
    for (Member m = 1; m < kMaxMembers; ++m) {
      if (!plan.replaced[m] || plan.set.disk[m] != opened.disks[i].get()) continue;
      const Expected<std::string> content = content_of(*opened.devices[i]);
      if (!content) return std::unexpected(content.error());
      if (content->empty() || survey(*opened.disks[i]).ours()) continue;
      return refused(
          fmt::format("{}: holds {}, which would be destroyed; if it is to go, "
                      "`wipefs -a` it first",
                      opened.devices[i]->path(), *content));
    }
  }
  return {};
}

void print_text(const RestoreArguments& options, const RestorePlan& plan) {
  print_members(plan.set);
  for (Member m = 1; m < kMaxMembers; ++m) {
    if (plan.replaced[m]) {
      fmt::print("  spare {} is a new device\n", m);
    }
  }
  fmt::print("{} {}{}.\n", options.dry_run ? "Would restore" : "Restored",
             counted(plan.records.size(), "record", "records"),
             plan.lost_blocks == 0 ? ""
                                   : fmt::format("; {} lived on replaced spares and {} lost",
                                                 counted(plan.lost_blocks, "block", "blocks"),
                                                 plan.lost_blocks == 1 ? "is" : "are"));
  if (plan.request.is_older) {
    fmt::print(
        "The map may be older than the data: the volume is read-only. Copy its data away, "
        "compare\nit with a backup of the data, and `dm-remap create` a volume anew.\n");
  }
}

Expected<Exit> run_restore(const RestoreArguments& options) {
  const auto bytes = read_file(options.file);
  if (!bytes) return std::unexpected(bytes.error());
  const auto saved = decode(*bytes, options.file);
  if (!saved) return std::unexpected(saved.error());
  const std::vector<bool> is_written(options.devices.size(), !options.dry_run);
  const auto opened = open_disks(options.devices, is_written);
  if (!opened) return std::unexpected(opened.error());
  const auto plan = plan_restore(*saved, opened->all(), options.how);
  if (!plan) return std::unexpected(plan.error());
  if (auto fine = check_contents(*opened, *plan); !fine) return std::unexpected(fine.error());
  if (!options.dry_run) {
    if (auto done = restore(*plan); !done) return std::unexpected(done.error());
  }
  if (!options.json) {
    print_text(options, *plan);
    return Exit::ok;
  }
  Json report = json_of_members(plan->set);
  report["records"] = plan->records.size();
  report["lost_blocks"] = plan->lost_blocks;
  report["read_only"] = plan->request.is_older;
  report["made_unix_s"] = saved->made_unix_s;
  report["written"] = !options.dry_run;
  print_json(report);
  return Exit::ok;
}

}  // namespace

void add_restore(CommandLine& line) {
  Command& command = line.add(kRestoreText);
  const auto options = std::make_shared<RestoreArguments>();
  command.add_option("DEV", options->devices, "All spares of the volume, in any order")
      ->required()
      ->type_name("");
  command.add_option("--backup-file", options->file, "What `dm-remap backup` has written")
      ->required()
      ->type_name("FILE");
  command.add_flag("--older", options->how.older,
                   "Restore a map that may be older than the data; read-only from then on");
  command.add_flag("--trust", options->how.trust,
                   "The volume was not used since the backup, though nothing shows it");
  command.add_flag("--replaced", options->how.replaced,
                   "Take new devices for spares that are gone; what lived there is lost");
  command.add_flag("--ignore-identity", options->how.ignore_identity,
                   "Take a disk with another serial number or WWN (a clone)");
  command.add_flag("--dry-run", options->dry_run, "Say what would be done, and write nothing");
  add_json(command, options->json);
  line.on_run(command, [options] { return run_restore(*options); });
}

}  // namespace dmr::cli

// SPDX-License-Identifier: GPL-2.0-or-later
// `dm-remap backup`: saves the metadata of a stopped volume in a file.
#include "cli/metadata/backup.h"

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "cli/app/names.h"
#include "cli/app/output.h"
#include "cli/app/status_text.h"
#include "cli/client/link.h"
#include "cli/commands/commands.h"
#include "cli/metadata/report.h"
#include "cli/metadata/stopped_set.h"
#include "cli/state/locate.h"

namespace dmr::cli {
namespace {

constexpr CommandText kBackupText{
    .name = "backup",
    .group = "Inspect and repair",
    .summary = "Save the metadata of a stopped volume in a file",
    .explanation =
        "Writes the volume's description and its map (not its data) to a file, from which\n"
        "`dm-remap restore` puts them back on the spares. Keep it on another disk. A backup is "
        "good\n"
        "until the map next changes, that is until a block moves or is lost; an older one can "
        "only\n"
        "be restored read-only. A volume that runs changes its map, and is refused: stop it first.",
    .examples =
        "  dm-remap backup tank --backup-file /var/backups/tank.dmr\n"
        "  dm-remap backup /dev/sdc1 /dev/sdd1 --backup-file tank.dmr --force"};

struct BackupOptions {
  std::vector<std::string> volume;
  std::string file;
  bool force = false;
  bool json = false;
};

// The spares of the volume that was named, or the devices that were given.
Expected<std::vector<std::string>> devices_of(const BackupOptions& options) {
  const std::string& first = options.volume.front();
  std::error_code ignored;
  const bool is_name = options.volume.size() == 1 && first.find('/') == std::string::npos &&
                       first.find(':') == std::string::npos &&
                       !std::filesystem::exists(first, ignored);
  if (!is_name) return options.volume;
  if (const std::string fault = name_fault(first); !fault.empty()) return misused(fault);
  if (!runner_of(first, system_mapper()).empty()) {
    return refused(fmt::format(
        "volume `{}` is running and changes its map; stop it first (`dm-remap stop {}`)", first,
        first));
  }
  const auto located =
      locate({.name = first, .main = {}, .spares = {}, .degraded = true, .spares_only = true});
  if (!located) return std::unexpected(located.error());
  return located->spares;
}

Expected<Exit> backup(const BackupOptions& options) {
  const auto devices = devices_of(options);
  if (!devices) return std::unexpected(devices.error());
  const auto stopped = open_set(*devices, Purpose::look);
  if (!stopped) return std::unexpected(stopped.error());
  const DiskSet& set = stopped->set;
  const Examination found = examine(set);
  if (found.status != Status::ok) {
    return failed(
        fmt::format("the metadata of volume `{}` cannot be saved: {}; `dm-remap check` "
                    "shows what is wrong",
                    name_of(set.superblock), text_of(found.status)));
  }
  for (Member m = 1; m < found.superblock.member_count; ++m) {
    const bool is_live =
        found.superblock.member[m].state == static_cast<u8>(format::MemberState::live);
    if (is_live && set.disk[m] == nullptr) {
      return failed(
          fmt::format("spare {} of volume `{}` is not given, and may hold a newer map; "
                      "give all spares",
                      m, name_of(set.superblock)));
    }
  }
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const Backup saved = backup_of(
      found, static_cast<u64>(std::chrono::duration_cast<std::chrono::seconds>(now).count()));
  const std::vector<std::byte> bytes = encode(saved);
  if (auto written = write_file(options.file, bytes, options.force); !written) {
    return std::unexpected(written.error());
  }
  if (options.json) {
    Json report = json_of_members(set);
    report["file"] = options.file;
    report["file_bytes"] = bytes.size();
    report["records"] = saved.records.size();
    report["findings"] = json_of(tell(found, set.paths()));
    print_json(report);
    return Exit::ok;
  }
  print_members(set);
  print_findings(tell(found, set.paths()));
  fmt::print("Saved {} in {} ({}); it is good until the map next changes.\n",
             counted(saved.records.size(), "record", "records"), options.file,
             binary_size(bytes.size()));
  return Exit::ok;
}

}  // namespace

void add_backup(CommandLine& line) {
  Command& command = line.add(kBackupText);
  const auto options = std::make_shared<BackupOptions>();
  command.add_option("DEV", options->volume, "The name of the volume, or all its spares")
      ->required()
      ->type_name("");
  command.add_option("--backup-file", options->file, "Where to; it must not be there yet")
      ->required()
      ->type_name("FILE");
  command.add_flag("--force", options->force, "Overwrite the file if it is there");
  add_json(command, options->json);
  line.on_run(command, [options] { return backup(*options); });
}

}  // namespace dmr::cli

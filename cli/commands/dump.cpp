// SPDX-License-Identifier: GPL-2.0-or-later
// `dm-remap dump`: all metadata of one spare, as it lies there.
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "cli/app/output.h"
#include "cli/commands/commands.h"
#include "cli/device/member.h"
#include "cli/metadata/describe.h"
#include "cli/metadata/salvage.h"
#include "cli/metadata/survey.h"
#include "cli/metadata/walk.h"

namespace dmr::cli {
namespace {

constexpr CommandText kDumpText{
    .name = "dump",
    .group = "Inspect and repair",
    .summary = "Print all metadata of a spare",
    .explanation =
        "Prints the superblock copies, the journal and the checkpoints of one spare, each block\n"
        "with the verdict on it. Reads only, and judges no more than single blocks: `check` says\n"
        "whether the whole makes sense. On a running volume the picture may be blurred.\n"
        "With --records: the map as far as it can be read from all the spares that are given, in\n"
        "whatever state they are. For a volume that neither `repair` nor a backup can save: it "
        "says\n"
        "which blocks of main live where on a spare, and what is missing in that list.",
    .examples =
        "  dm-remap dump /dev/sdc1\n"
        "  dm-remap dump --records /dev/sdc1 /dev/sdd1 > map.txt\n"
        "  dm-remap dump --json /dev/sdc1 | jq '.checkpoints[].records'"};

struct DumpOptions {
  std::vector<std::string> devices;
  bool records = false;
  bool json = false;
};

std::string lost_text(const Json& lost) {
  if (lost.is_string()) return lost == "none" ? "" : ", all lost";
  std::string sectors;
  for (const auto& sector : lost) {
    sectors += fmt::format("{}{}", sectors.empty() ? "" : " ", sector.get<u32>());
  }
  return fmt::format(", lost sectors {}", sectors);
}

void print_records(const Json& records, const char* indent = "      ") {
  for (const Json& record : records) {
    const u64 blocks = record["blocks"];
    fmt::print("{}", indent);
    if (record["type"] == "bad_spare") {
      fmt::print("bad spare block {}+{} of member {}\n", record["spare_block"].get<u64>(), blocks,
                 record["member"].get<u32>());
      continue;
    }
    const std::string home = record["spare_block"].is_null()
                                 ? "main"
                                 : fmt::format("member {} block {}", record["member"].get<u32>(),
                                               record["spare_block"].get<u64>());
    fmt::print("block {}+{} -> {}{}\n", record["block"].get<u64>(), blocks, home,
               lost_text(record["lost"]));
  }
}

void print_superblock(const Json& copy) {
  const bool fine = copy["state"] == "ok";
  fmt::print("  copy {} at sector {}: {}\n", copy["copy"].get<u32>(), copy["sector"].get<u64>(),
             painted(copy["state"].get<std::string>(), fine ? Colour::green : Colour::red));
}

void print_content(const Json& copy) {
  fmt::print("  volume {}, set {}\n", painted(copy["name"].get<std::string>(), Colour::bold),
             copy["set"].get<std::string>());
  fmt::print("  format {}, {} in blocks of {}, policy {}\n", copy["version"].get<std::string>(),
             sectors_size(copy["volume_sectors"]), binary_size(copy["block_bytes"]),
             copy["policy"].get<std::string>());
  fmt::print("  superblock version {}, opening {}, membership generation {}\n",
             copy["sequence"].get<u64>(), copy["open_generation"].get<u64>(),
             copy["membership_generation"].get<u64>());
  for (const Json& member : copy["members"]) {
    const std::string identity = member["identity"];
    fmt::print("  member {}{}: {}, {}, {}{}\n", member["member"].get<u32>(),
               member["member"] == copy["own_member"] ? " (this one)"
               : member["member"] == 0                ? " (main)"
                                                      : "",
               member["state"].get<std::string>(), sectors_size(member["sectors"]),
               member["uuid"].get<std::string>(), identity.empty() ? "" : ", " + identity);
  }
}

void print_journal(const Json& journal) {
  fmt::print("{}\n", painted("Journal", Colour::bold));
  u64 unused = 0;
  for (const Json& slot : journal) {
    const bool fine = slot["verdict"] == format::text(format::Verdict::ok);
    if (fine && slot["sequence"] == 0) {
      ++unused;
      continue;
    }
    const std::string where =
        fmt::format("  area {} slot {} at sector {}: ", slot["area"].get<u32>(),
                    slot["index"].get<u64>(), slot["sector"].get<u64>());
    if (!fine) {
      fmt::print("{}{}\n", where, painted(slot["verdict"].get<std::string>(), Colour::red));
      continue;
    }
    fmt::print("{}sequence {} after {}, {}\n", where, slot["sequence"].get<u64>(),
               slot["previous_sequence"].get<u64>(),
               counted(slot["records"].size(), "record", "records"));
    print_records(slot["records"]);
  }
  fmt::print("  {} formatted and not used yet\n", counted(unused, "slot", "slots"));
}

void print_checkpoints(const Json& checkpoints) {
  fmt::print("{}\n", painted("Checkpoints", Colour::bold));
  for (const Json& block : checkpoints) {
    const bool fine = block["verdict"] == format::text(format::Verdict::ok);
    const std::string where =
        fmt::format("  area {} block {} at sector {}: ", block["area"].get<u32>(),
                    block["index"].get<u64>(), block["sector"].get<u64>());
    if (!fine) {
      fmt::print("{}{}\n", where, painted(block["verdict"].get<std::string>(), Colour::red));
    } else if (block.contains("state")) {
      fmt::print("{}{}, sequence {}, covers journal up to {}, {}\n", where,
                 block["state"].get<std::string>(), block["sequence"].get<u64>(),
                 block["covered_sequence"].get<u64>(),
                 counted(block["record_count"], "record", "records"));
    } else {
      fmt::print("{}{}\n", where, counted(block["records"].size(), "record", "records"));
      print_records(block["records"]);
    }
  }
}

void print_salvage(const Salvage& found, const Json& records) {
  fmt::print("# the map as far as it can be read: {}\n",
             counted(found.records.size(), "record", "records"));
  if (!found.is_layout_known) {
    fmt::print("# no superblock is left: looked at the customary places\n");
  }
  fmt::print("# {} could not be read or are damaged\n",
             counted(found.bad_blocks, "block of metadata", "blocks of metadata"));
  if (found.missing_checkpoint_blocks > 0) {
    fmt::print("# {} of the newest checkpoint missing\n",
               counted(found.missing_checkpoint_blocks, "block is", "blocks are"));
  }
  for (const auto& [first, last] : found.gaps) {
    fmt::print("# journal blocks {} to {} are missing: blocks changed there may live elsewhere\n",
               first, last);
  }
  print_records(records, "");
}

// No device that a volume starts with has such a size, but what was saved of one may.
void note_odd_size(const runtime::Device& device) {
  if (device.odd_bytes() == 0) return;
  fmt::print(stderr,
             "dm-remap: note: {}: the last {} bytes are less than a logical block ({} bytes), and "
             "were left out\n",
             device.path(), device.odd_bytes(), device.logical_block_bytes());
}

Expected<Exit> dump_records(const DumpOptions& options) {
  std::vector<DevicePtr> devices;
  std::vector<DeviceDisk> disks;
  disks.reserve(options.devices.size());
  std::vector<const OfflineDisk*> all;
  for (const std::string& spec : options.devices) {
    auto device = open_member("device", spec, kLook);
    if (!device) return std::unexpected(device.error());
    all.push_back(&disks.emplace_back(**device));
    devices.push_back(std::move(*device));
  }
  const auto found = salvage(all);
  if (!found) return std::unexpected(found.error());
  for (const DevicePtr& device : devices) note_odd_size(*device);
  Json records = Json::array();
  for (const format::Record& record : found->records) records.push_back(json_of(record));
  if (!options.json) {
    print_salvage(*found, records);
    return Exit::ok;
  }
  Json gaps = Json::array();
  for (const auto& [first, last] : found->gaps) gaps.push_back({{"first", first}, {"last", last}});
  print_json({{"layout_known", found->is_layout_known},
              {"newest_sequence", found->newest_sequence},
              {"gaps", gaps},
              {"missing_checkpoint_blocks", found->missing_checkpoint_blocks},
              {"bad_blocks", found->bad_blocks},
              {"records", records}});
  return Exit::ok;
}

Expected<Exit> dump(const DumpOptions& options) {
  if (options.records) return dump_records(options);
  if (options.devices.size() != 1) return misused("one device, or --records with several");
  const auto device = open_member("device", options.devices.front(), kLook);
  if (!device) return std::unexpected(device.error());
  const Survey found = survey(**device);
  if (!found.ours()) {
    return failed(fmt::format("{}: holds no metadata of dm-remap; give a spare (main has none)",
                              (*device)->path()));
  }
  note_odd_size(**device);
  Json report{{"device", (*device)->path()},
              {"sectors", (*device)->sectors()},
              {"superblocks", Json::array()},
              {"journal", Json::array()},
              {"checkpoints", Json::array()}};
  for (u32 i = 0; i < kSuperblockCopies; ++i) {
    report["superblocks"].push_back(json_of(found.copy[i], i));
  }
  if (const format::Superblock* superblock = found.newest()) {
    const DeviceDisk disk(**device);
    walk_journal(disk, *superblock,
                 [&](const MetaView& seen) { report["journal"].push_back(json_of(seen)); });
    walk_checkpoints(disk, *superblock,
                     [&](const MetaView& seen) { report["checkpoints"].push_back(json_of(seen)); });
  }
  if (options.json) {
    print_json(report);
    return Exit::ok;
  }
  fmt::print("{} ({})\n{}\n", (*device)->path(), sectors_size((*device)->sectors()),
             painted("Superblock", Colour::bold));
  const Json* newest = nullptr;
  for (const Json& copy : report["superblocks"]) {
    print_superblock(copy);
    const bool shown =
        copy["state"] == "ok" && (newest == nullptr || copy["sequence"] > (*newest)["sequence"]);
    if (shown) newest = &copy;
  }
  if (newest == nullptr) {
    fmt::print("  no good copy: where journal and checkpoints lie is not known\n");
    return Exit::ok;
  }
  print_content(*newest);
  print_journal(report["journal"]);
  print_checkpoints(report["checkpoints"]);
  return Exit::ok;
}

}  // namespace

void add_dump(CommandLine& line) {
  Command& command = line.add(kDumpText);
  const auto options = std::make_shared<DumpOptions>();
  command.add_option("DEV", options->devices, "A spare; with --records all of the volume")
      ->required()
      ->type_name("");
  command.add_flag("--records", options->records,
                   "The map as far as any intact block tells it, for saving data by hand");
  add_json(command, options->json);
  line.on_run(command, [options] { return dump(*options); });
}

}  // namespace dmr::cli

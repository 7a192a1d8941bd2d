// SPDX-License-Identifier: GPL-2.0-or-later
// `dm-remap create`: examines the devices, then writes fresh metadata on the spares. Main is opened
// for reading only.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "cli/app/output.h"
#include "cli/app/sizes.h"
#include "cli/app/status_text.h"
#include "cli/client/link.h"
#include "cli/commands/commands.h"
#include "cli/device/content.h"
#include "cli/device/member.h"
#include "cli/metadata/offline_host.h"
#include "cli/metadata/survey.h"
#include "cli/state/hints.h"
#include "cli/state/known.h"
#include "core/base/bits.h"
#include "core/log/store.h"

namespace dmr::cli {
namespace {

constexpr CommandText kCreateText{
    .name = "create",
    .group = "Prepare",
    .summary = "Make a volume of a main device and its spares",
    .explanation =
        "Writes dm-remap's metadata on the spares. The main device is not written to: a "
        "filesystem\n"
        "that is on it stays and appears on the volume as it is. The spares lose their content.\n"
        "About 1 % of the disk is plenty of spare for a disk that begins to fail; a partition at\n"
        "the end of another disk will do. DEV is a block device or a regular file.",
    .examples =
        "  dm-remap create tank --main /dev/sdb --spare /dev/sdc1\n"
        "  dm-remap create test --main disk.img --spare a.img --spare b.img\n"
        "  dm-remap create tank --main /dev/sdb --spare /dev/sdc1 --policy rewrite"};

struct CreateOptions {
  std::string name;
  std::string main;
  std::vector<std::string> spares;
  u64 block_bytes = 0;  // 0: chosen by the devices
  std::string policy = "redirect";
  bool force = false;
  bool allow_buffered = false;
  bool json = false;
};

struct Members {
  DevicePtr main;
  std::vector<DevicePtr> spares;

  [[nodiscard]] std::vector<runtime::Device*> all() const {
    std::vector<runtime::Device*> devices{main.get()};
    for (const DevicePtr& spare : spares) devices.push_back(spare.get());
    return devices;
  }
};

Expected<Members> open_members(const CreateOptions& options) {
  std::vector<NamedMember> named{{"main", options.main}};
  for (const std::string& spec : options.spares) named.push_back({"spare", spec});
  if (auto apart = check_apart(named); !apart) return std::unexpected(apart.error());
  Members members;
  auto main = open_member("main", options.main,
                          {.read_only = true, .allow_buffered = options.allow_buffered});
  if (!main) return std::unexpected(main.error());
  members.main = std::move(*main);
  for (const std::string& spec : options.spares) {
    auto spare = open_member("spare", spec, {.allow_buffered = options.allow_buffered});
    if (!spare) return std::unexpected(spare.error());
    members.spares.push_back(std::move(*spare));
  }
  return members;
}

Expected<void> check_contents(const Members& members) {
  if (auto main = check_no_metadata("main", *members.main); !main) return main;
  for (const DevicePtr& spare : members.spares) {
    if (auto ours = check_no_metadata("spare", *spare); !ours) return ours;
    if (auto foreign = check_no_content("spare", *spare); !foreign) return foreign;
  }
  return {};
}

// A volume of this name that is still where it was: two of them could not be told apart.
Expected<void> check_name(const CreateOptions& options, const Members& members) {
  if (const std::string runner = runner_of(options.name, system_mapper()); !runner.empty()) {
    return failed(fmt::format("a volume `{}` is running ({}); stop it or choose another name",
                              options.name, runner));
  }
  const std::optional<Hint> hint = load_hint(options.name);
  if (!hint || options.force) return {};
  const auto is_taken_now = [&](const std::string& spec) {
    return std::any_of(members.spares.begin(), members.spares.end(), [&](const DevicePtr& spare) {
      return absolute_spec(spare->spec()) == spec;
    });
  };
  const std::string place = spare_left_of(*hint, is_taken_now);
  if (place.empty()) return {};
  return refused(
      fmt::format("there is a volume `{}` already, with its spare on {}; choose another "
                  "name, or --force to forget that one",
                  options.name, place));
}

// The name's own note is judged by check_name().
Expected<void> check_members_of_others(const CreateOptions& options, const Members& members) {
  for (const Hint& hint : all_hints().known) {
    if (hint.name == options.name) continue;
    if (auto own = check_no_member_of(hint, "main", *members.main); !own) return own;
    for (const DevicePtr& spare : members.spares) {
      if (auto own = check_no_member_of(hint, "spare", *spare); !own) return own;
    }
  }
  return {};
}

Expected<u32> choose_block(const CreateOptions& options, const Members& members) {
  const u64 main_logical = members.main->logical_block_bytes();
  for (const DevicePtr& spare : members.spares) {
    if (spare->logical_block_bytes() > main_logical) {
      return failed(fmt::format(
          "spare {}: its logical blocks of {} are larger than those of main "
          "({}); give a spare with smaller ones",
          spare->path(), binary_size(spare->logical_block_bytes()), binary_size(main_logical)));
    }
    if (spare->logical_block_bytes() > kMetaBytes) {
      return failed(
          fmt::format("spare {}: its logical blocks of {} are larger than a block of "
                      "metadata (4 KiB); give a spare with smaller ones",
                      spare->path(), binary_size(spare->logical_block_bytes())));
    }
  }
  constexpr u64 kDefaultBytes = 4096;
  constexpr u64 kMaxBytes = u64{kMaxBlockSectors} * kSectorBytes;
  const u64 physical = members.main->physical_block_bytes();
  const u64 fitting = is_power_of_two(physical) && physical <= kMaxBytes ? physical : kDefaultBytes;
  const u64 chosen = options.block_bytes != 0 ? options.block_bytes
                                              : std::max({kDefaultBytes, fitting, main_logical});
  if (chosen < main_logical || chosen > kMaxBytes) {
    return failed(fmt::format(
        "a block of {} cannot hold the logical blocks of main {} ({}); give "
        "--block-size {} or more",
        binary_size(chosen), members.main->path(), binary_size(main_logical), main_logical));
  }
  return static_cast<u32>(chosen / kSectorBytes);
}

bool spares_fit(const std::vector<u64>& sizes, u32 block_sectors) {
  const auto checkpoint = SpareLayout::checkpoint_blocks_for_set(sizes, block_sectors);
  if (!checkpoint) return false;
  return std::all_of(sizes.begin(), sizes.end(), [&](u64 size) {
    return SpareLayout::make(size, block_sectors, SpareLayout::default_journal_slots(size),
                             *checkpoint)
        .has_value();
  });
}

// The least size for a single spare, to the next 64 KiB.
u64 smallest_spare(u32 block_sectors) {
  constexpr u64 kStep = 128;
  u64 size = kMinSpareSectors;
  while (!spares_fit({size}, block_sectors) && size < (u64{1} << 24)) size += kStep;
  return size;
}

Expected<void> check_sizes(const Members& members, u32 block_sectors) {
  std::vector<u64> sizes;
  const runtime::Device* smallest = members.spares.front().get();
  for (const DevicePtr& spare : members.spares) {
    sizes.push_back(spare->sectors());
    if (spare->sectors() < smallest->sectors()) smallest = spare.get();
  }
  if (spares_fit(sizes, block_sectors)) return {};
  if (spares_fit({smallest->sectors()}, block_sectors)) {
    return failed(
        fmt::format("spare {}: {} are too small beside the other spares, whose map it "
                    "must hold too; give a larger one or leave it out",
                    smallest->path(), sectors_size(smallest->sectors())));
  }
  return failed(
      fmt::format("spare {}: {} are too small to hold the metadata and any data; at "
                  "least {} are needed with blocks of {}",
                  smallest->path(), sectors_size(smallest->sectors()),
                  sectors_size(smallest_spare(block_sectors)), sectors_size(block_sectors)));
}

Expected<format::Superblock> write_metadata(const CreateOptions& options, const Members& members,
                                            u32 block_sectors) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  FormatRequest request;
  request.members = static_cast<u32>(members.spares.size()) + 1;
  request.block_sectors = block_sectors;
  request.policy = options.policy == "rewrite" ? format::Policy::rewrite : format::Policy::redirect;
  request.created_unix_s =
      static_cast<u64>(std::chrono::duration_cast<std::chrono::seconds>(now).count());
  request.name = options.name.c_str();
  const std::vector<runtime::Device*> devices = members.all();
  for (std::size_t i = 0; i < devices.size(); ++i)
    request.device[i] = member_device(DeviceDisk(*devices[i]));

  std::vector<DeviceDisk> disks;
  disks.reserve(devices.size());
  std::vector<const OfflineDisk*> members_on;
  for (const runtime::Device* device : devices) {
    members_on.push_back(&disks.emplace_back(*device));
  }
  auto host = std::make_unique<OfflineHost>(members_on);
  auto store = std::make_unique<MetadataStore>(*host, host->executor());
  Status status = store->open_memory();
  if (status == Status::ok) {
    status = host->run([&](FrameStack& frames) { return store->format(frames, request); });
  }
  const format::Superblock superblock = store->superblock();
  store->close_memory();
  if (status != Status::ok) {
    const int error = host->last_error();
    return failed(fmt::format("the metadata could not be written on the spares: {}",
                              error != 0 ? std::strerror(error) : text_of(status)));
  }
  return superblock;
}

void print_result(const CreateOptions& options, const Members& members, u32 block_sectors) {
  std::vector<u64> sizes;
  for (const DevicePtr& spare : members.spares) sizes.push_back(spare->sectors());
  const u64 checkpoint = *SpareLayout::checkpoint_blocks_for_set(sizes, block_sectors);
  const auto layout = [&](u64 size) {
    return *SpareLayout::make(size, block_sectors, SpareLayout::default_journal_slots(size),
                              checkpoint);
  };
  if (options.json) {
    Json spares = Json::array();
    for (const DevicePtr& spare : members.spares) {
      spares.push_back({{"path", spare->path()},
                        {"bytes", spare->sectors() * kSectorBytes},
                        {"data_blocks", layout(spare->sectors()).data_blocks}});
    }
    print_json(
        {{"name", options.name},
         {"block_bytes", block_sectors * kSectorBytes},
         {"policy", options.policy},
         {"main",
          {{"path", members.main->path()}, {"bytes", members.main->sectors() * kSectorBytes}}},
         {"spares", spares}});
    return;
  }
  fmt::print("Created volume {} in blocks of {}.\n", painted(options.name, Colour::bold),
             sectors_size(block_sectors));
  fmt::print("  main   {} ({}), not written to: its data is the volume's\n", members.main->path(),
             sectors_size(members.main->sectors()));
  for (const DevicePtr& spare : members.spares) {
    fmt::print("  spare  {} ({}), room for {}\n", spare->path(), sectors_size(spare->sectors()),
               counted(layout(spare->sectors()).data_blocks, "block", "blocks"));
  }
  fmt::print("Next: dm-remap start {}\n", options.name);
}

void remember(const CreateOptions& options, const Members& members,
              const format::Superblock& block) {
  Hint hint{.name = options.name,
            .set = uuid_text(block.header.set),
            .main = absolute_spec(members.main->spec()),
            .spares = {}};
  for (const DevicePtr& spare : members.spares) hint.spares.push_back(absolute_spec(spare->spec()));
  if (auto saved = save_hint(hint); !saved) {
    fmt::print(stderr, "dm-remap: note: {}; `start` will need --main and --spare\n",
               saved.error().message);
  }
}

Expected<Exit> create(const CreateOptions& options) {
  if (options.spares.size() > kMaxSpares) {
    return misused(
        fmt::format("a volume has at most {} spares, not {}", kMaxSpares, options.spares.size()));
  }
  const Expected<Members> members = open_members(options);
  if (!members) return std::unexpected(members.error());
  if (auto writable =
          check_writable("main", *members->main, "a volume needs a device that can be written");
      !writable) {
    return std::unexpected(writable.error());
  }
  if (auto name = check_name(options, *members); !name) return std::unexpected(name.error());
  if (!options.force) {
    if (auto contents = check_contents(*members); !contents) {
      return std::unexpected(contents.error());
    }
    if (auto others = check_members_of_others(options, *members); !others) {
      return std::unexpected(others.error());
    }
  }
  const Expected<u32> block_sectors = choose_block(options, *members);
  if (!block_sectors) return std::unexpected(block_sectors.error());
  if (auto sizes = check_sizes(*members, *block_sectors); !sizes) {
    return std::unexpected(sizes.error());
  }
  for (const DevicePtr& spare : members->spares) {
    if (auto wiped = wipe_signatures(*spare); !wiped) return std::unexpected(wiped.error());
  }
  const auto superblock = write_metadata(options, *members, *block_sectors);
  if (!superblock) return std::unexpected(superblock.error());
  remember(options, *members, *superblock);
  print_result(options, *members, *block_sectors);
  return Exit::ok;
}

}  // namespace

void add_create(CommandLine& line) {
  Command& command = line.add(kCreateText);
  const auto options = std::make_shared<CreateOptions>();
  add_name(command, options->name);
  command.add_option("--main", options->main, "The disk with bad sectors; its data stays")
      ->required()
      ->type_name("DEV");
  command.add_option("--spare", options->spares, "Where refused blocks go; may be repeated")
      ->required()
      ->type_name("DEV")
      ->repeatable();
  command
      .add_option("--block-size", options->block_bytes,
                  "The unit of remapping, 512 to 64K; else by the disk, at least 4K")
      ->type_name("BYTES")
      ->transform(size_in_bytes())
      ->check(power_of_two(kSectorBytes, kMaxBlockSectors * kSectorBytes));
  add_choice(command, "--policy", options->policy, {"redirect", "rewrite"},
             "Writes to lost blocks go to a spare at once, or to main first");
  command.add_flag("--force", options->force,
                   "Take what holds something or is another volume's, and destroy it");
  command.add_flag("--allow-buffered", options->allow_buffered,
                   "Take files that cannot do direct I/O; flushes are weaker there");
  add_json(command, options->json);
  line.on_run(command, [options] { return create(*options); });
}

}  // namespace dmr::cli

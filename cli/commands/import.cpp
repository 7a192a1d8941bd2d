// SPDX-License-Identifier: GPL-2.0-or-later
// `dm-remap import`: marks what another tool has found to be bad.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <string>
#include <unistd.h>

#include <fmt/format.h>

#include "cli/app/output.h"
#include "cli/app/sizes.h"
#include "cli/badblocks/badblocks.h"
#include "cli/commands/commands.h"
#include "cli/commands/move.h"
#include "cli/mapfile/mapfile.h"
#include "runtime/device/file_descriptor.h"

namespace dmr::cli {
namespace {

constexpr u64 kMaxListBytes = std::max(kMaxBadblocksBytes, kMaxMapfileBytes);

constexpr CommandText kImportText{
    .name = "import",
    .group = "Use",
    .summary = "Mark what badblocks(8) or ddrescue(1) has found",
    .explanation =
        "Moves all blocks of a list of badblocks(8), one block number a line, to the spare, or\n"
        "those that a mapfile of GNU ddrescue calls bad. What ddrescue has not read yet, trimmed\n"
        "or scraped is left alone. The whole file is read first: when a line is wrong, nothing is\n"
        "changed. FILE may be - for the standard input. Give --block-size when badblocks was run\n"
        "with -b.",
    .examples =
        "  badblocks -o bad.txt /dev/sdb\n"
        "  dm-remap import tank --badblocks bad.txt\n"
        "  dm-remap import tank --badblocks bad4k.txt --block-size 4096\n"
        "  dm-remap import tank --mapfile rescue.map"};

struct ImportOptions {
  std::string name;
  std::string badblocks;
  std::string mapfile;
  u64 block_bytes = 0;  // 0: not given
  bool json = false;

  [[nodiscard]] const std::string& file() const { return mapfile.empty() ? badblocks : mapfile; }
};

Expected<std::string> read_list(const std::string& path) {
  runtime::FileDescriptor opened;
  if (path != "-") opened = runtime::FileDescriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (path != "-" && !opened.valid()) {
    return failed(fmt::format("{} cannot be read: {}", path, std::strerror(errno)));
  }
  const int fd = path == "-" ? STDIN_FILENO : opened.get();
  std::string text;
  std::array<char, 65536> buffer{};
  while (true) {
    const ssize_t got = read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed(fmt::format("{} cannot be read: {}", path, std::strerror(errno)));
    if (got == 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(got));
    if (text.size() > kMaxListBytes) {
      return failed(fmt::format("{} is longer than {}: that is no list of bad blocks", path,
                                binary_size(kMaxListBytes)));
    }
  }
}

// What the file says, whatever its form. A list of bad blocks leaves nothing open.
std::expected<Mapfile, std::string> parse(const ImportOptions& options, const std::string& text,
                                          u64 volume_sectors) {
  if (!options.mapfile.empty()) return parse_mapfile(text, volume_sectors);
  auto ranges = parse_badblocks(text, unit_of(options.block_bytes), volume_sectors);
  if (!ranges) return std::unexpected(std::move(ranges.error()));
  return Mapfile{.bad = std::move(*ranges)};
}

void print_moved(const Mapfile& map, const Moved& moved) {
  fmt::print("{} read: {} moved to the spare, {} left as they were, {} lost.\n",
             counted(map.bad.size(), "range", "ranges"),
             counted(moved.blocks_changed, "block", "blocks"), grouped(moved.blocks_unchanged),
             counted(moved.sectors_lost, "sector", "sectors"));
  const u64 open = map.non_tried + map.non_trimmed + map.non_scraped;
  if (open == 0) return;
  fmt::print(
      "Left alone: {} that ddrescue has not read to the end ({} non-tried, {} non-trimmed, "
      "{} non-scraped).\nLet it finish and import the mapfile again.\n",
      binary_size(open), binary_size(map.non_tried), binary_size(map.non_trimmed),
      binary_size(map.non_scraped));
}

void print_json_of(const ImportOptions& options, const Mapfile& map, const Moved& moved) {
  if (options.mapfile.empty()) return print_moved_json(options.name, moved);
  Json shown = moved_json(options.name, moved);
  shown["non_tried_bytes"] = map.non_tried;
  shown["non_trimmed_bytes"] = map.non_trimmed;
  shown["non_scraped_bytes"] = map.non_scraped;
  print_json(shown);
}

Expected<Exit> import(const ImportOptions& options) {
  if (options.badblocks.empty() == options.mapfile.empty()) {
    return misused("give one of --badblocks FILE and --mapfile FILE");
  }
  if (options.block_bytes != 0 && !options.mapfile.empty()) {
    return misused("--block-size goes with --badblocks: a mapfile counts bytes");
  }
  if (const std::string fault = badblocks_unit_fault(unit_of(options.block_bytes));
      !fault.empty()) {
    return misused(fault);
  }
  auto session = Session::open(options.name);
  if (!session) return std::unexpected(session.error());
  const auto text = read_list(options.file());
  if (!text) return std::unexpected(text.error());
  const auto status = session->status();
  if (!status) return std::unexpected(status.error());
  const auto map = parse(options, *text, status->at("volume_sectors").get<u64>());
  if (!map) {
    return failed(fmt::format("{}: {}; nothing was changed", options.file(), map.error()));
  }
  const auto moved = session->move("mark", map->bad);
  if (!moved) return std::unexpected(moved.error());
  if (auto all = check_moved("mark", *moved); !all) return std::unexpected(all.error());
  if (options.json) {
    print_json_of(options, *map, *moved);
  } else {
    print_moved(*map, *moved);
  }
  return Exit::ok;
}

}  // namespace

void add_import(CommandLine& line) {
  Command& command = line.add(kImportText);
  const auto options = std::make_shared<ImportOptions>();
  add_name(command, options->name);
  command.add_option("--badblocks", options->badblocks, "A list; - for the standard input")
      ->type_name("FILE");
  command.add_option("--mapfile", options->mapfile, "A mapfile of ddrescue; - likewise")
      ->type_name("FILE");
  command
      .add_option("--block-size", options->block_bytes, "What one number of a list counts (1024)")
      ->type_name("BYTES")
      ->transform(size_in_bytes())
      ->check(within(kSectorBytes, ~u64{0}));
  add_json(command, options->json);
  line.on_run(command, [options] { return import(*options); });
}

}  // namespace dmr::cli

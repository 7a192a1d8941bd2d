// SPDX-License-Identifier: GPL-2.0-or-later
// `dm-remap import`: marks what another tool has found to be bad.
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
#include "runtime/device/file_descriptor.h"

namespace dmr::cli {
namespace {

constexpr CommandText kText{
    .name = "import",
    .group = "Use",
    .summary = "Mark the blocks of a badblocks(8) list",
    .explanation =
        "Reads a list as badblocks(8) writes it, one block number a line, and moves all of them "
        "to\n"
        "the spare. The whole list is read first: when a line is wrong, nothing is changed.\n"
        "FILE may be - for the standard input. Give --block-size when badblocks was run with -b.",
    .examples =
        "  badblocks -o bad.txt /dev/sdb\n"
        "  dm-remap import tank --badblocks bad.txt\n"
        "  dm-remap import tank --badblocks bad4k.txt --block-size 4096"};

struct Options {
  std::string name;
  std::string file;
  BadblocksUnit unit;
  bool json = false;
};

Expected<std::string> read_file(const std::string& path) {
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
    if (text.size() > kMaxBadblocksBytes) {
      return failed(fmt::format("{} is longer than {}: that is no list of bad blocks", path,
                                binary_size(kMaxBadblocksBytes)));
    }
  }
}

Expected<Exit> import(const Options& options) {
  if (const std::string fault = badblocks_unit_fault(options.unit); !fault.empty()) {
    return misused(fault);
  }
  auto session = Session::open(options.name);
  if (!session) return std::unexpected(session.error());
  const auto text = read_file(options.file);
  if (!text) return std::unexpected(text.error());
  const auto status = session->status();
  if (!status) return std::unexpected(status.error());
  const u64 volume_sectors = status->at("volume_sectors").get<u64>();
  const auto ranges = parse_badblocks(*text, options.unit, volume_sectors);
  if (!ranges) {
    return failed(fmt::format("{}: {}; nothing was changed", options.file, ranges.error()));
  }
  const auto moved = session->move("mark", *ranges);
  if (!moved) return std::unexpected(moved.error());
  if (options.json) {
    print_moved_json(options.name, *moved);
    return Exit::ok;
  }
  fmt::print("{} read: {} moved to the spare, {} left as they were, {} lost.\n",
             counted(ranges->size(), "range", "ranges"),
             counted(moved->blocks_changed, "block", "blocks"), grouped(moved->blocks_unchanged),
             counted(moved->sectors_lost, "sector", "sectors"));
  return Exit::ok;
}

}  // namespace

void add_import(CommandLine& line) {
  Command& command = line.add(kText);
  const auto options = std::make_shared<Options>();
  add_name(command, options->name);
  command.add_option("--badblocks", options->file, "The list; - for the standard input")
      ->required()
      ->type_name("FILE");
  command.add_option("--block-size", options->unit.block_bytes, "What one number counts (1024)")
      ->type_name("BYTES")
      ->transform(size_in_bytes());
  add_json(command, options->json);
  line.on_run(command, [options] { return import(*options); });
}

}  // namespace dmr::cli

// SPDX-License-Identifier: GPL-2.0-or-later
// `dm-remap start`: finds the members of a volume and serves it, in the background by default.
#include "cli/kernel/start.h"

#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include <fmt/format.h>

#include "cli/app/names.h"
#include "cli/app/output.h"
#include "cli/app/sizes.h"
#include "cli/client/link.h"
#include "cli/commands/commands.h"
#include "cli/server/background.h"
#include "cli/server/serve.h"
#include "cli/state/hints.h"
#include "cli/state/locate.h"
#include "runtime/control/paths.h"
#include "runtime/volume/superblock_scan.h"

namespace dmr::cli {
namespace {

constexpr CommandText kStartText{
    .name = "start",
    .group = "Use",
    .summary = "Serve a volume; prints where it is found",
    .explanation =
        "Opens the volume, repairs damaged copies of its metadata, and serves it until `dm-remap\n"
        "stop`. The path that it prints is what you mount or connect to: a block device of the\n"
        "kernel's own with `dm` (as root, with the module dm_remap), a loop device (as root) or a\n"
        "file with `fuse`, a Unix socket with `nbd`; `auto` takes the first that works. The "
        "members\n"
        "are looked for where they were last seen, then on all disks.",
    .examples =
        "  dm-remap start tank\n"
        "  mount \"$(dm-remap start tank)\" /mnt\n"
        "  dm-remap start tank --export dm\n"
        "  nbdinfo \"nbd+unix:///?socket=$(dm-remap start tank --export nbd)\"\n"
        "  dm-remap start --main disk.img --spare a.img --read-only"};

struct StartOptions {
  Wanted wanted;
  std::string exported = "auto";
  u16 tcp_port = 0;
  bool read_only = false;
  bool foreground = false;
  bool ignore_identity = false;
  bool allow_buffered = false;
  bool json = false;
};

std::string ready_text(const StartOptions& options, const std::string& name,
                       const std::string& path) {
  if (!options.json) return path + "\n";
  return Json{{"name", name}, {"path", path}}.dump() + "\n";
}

void remember(const Located& located) {
  // A note that cannot be kept costs a search at the next start, no more: `create` has said so.
  (void)save_hint({.name = name_of(located.superblock),
                   .set = runtime::uuid_text(located.superblock.header.set),
                   .main = located.main,
                   .spares = located.spares});
}

Expected<void> check_stopped(const std::string& name) {
  const std::string runner = name.empty() ? "" : runner_of(name, system_mapper());
  if (runner.empty()) return {};
  return refused(fmt::format("volume `{}` is running already ({}); `dm-remap status {}` shows it",
                             name, runner, name));
}

Expected<Exit> map_in_kernel(const StartOptions& options, const ServeOptions& serving) {
  const auto path = start_in_kernel(serving, system_mapper());
  if (!path) return std::unexpected(path.error());
  if (!options.wanted.degraded && !options.read_only) remember(serving.members);
  fmt::print("{}", ready_text(options, serving.exported.name, *path));
  return Exit::ok;
}

Expected<Exit> start(const StartOptions& options) {
  // First, so that the answer to a second start is not that the devices are in use.
  const std::string& given_name = options.wanted.name;
  if (auto stopped = check_stopped(given_name); !stopped) return std::unexpected(stopped.error());
  auto located = locate(options.wanted);
  if (!located) return std::unexpected(located.error());
  const std::string name = name_of(located->superblock);
  if (const std::string fault = name_fault(name); !fault.empty()) {
    return failed(fmt::format("the superblock holds a name that cannot be: {}", fault));
  }
  // Devices may have been named instead.
  if (auto stopped = check_stopped(name); !stopped) return std::unexpected(stopped.error());
  const ServeOptions serving{
      .members = *located,
      .exported = {.kind = options.exported,
                   .name = name,
                   .tcp_port =
                       options.tcp_port == 0 ? std::nullopt : std::optional<u16>(options.tcp_port)},
      .read_only = options.read_only,
      .degraded = options.wanted.degraded,
      .ignore_identity = options.ignore_identity,
      .allow_buffered = options.allow_buffered};
  if (options.exported == "dm" || options.exported == "auto") {
    // A server in the foreground is what its supervisor waits for: nothing else takes its place.
    const auto can = options.foreground ? failed("") : check_kernel_can(*located, system_mapper());
    if (can) return map_in_kernel(options, serving);
    if (options.exported == "dm") return std::unexpected(can.error());
  }
  Background background;
  if (!options.foreground) {
    auto parent = background.enter();
    if (!parent) return std::unexpected(parent.error());
    if (*parent) return **parent;
  }
  const std::string log = runtime::runtime_file(name, ".log");
  const auto outcome = serve(serving, [&](const std::string& path) {
    if (!options.wanted.degraded && !options.read_only) remember(*located);
    const std::string text = ready_text(options, name, path);
    if (!options.foreground) return background.ready(text, log);
    fmt::print("{}", text);
    std::fflush(stdout);
    return true;
  });
  std::error_code ignored;  // it is not there when the journal took the lines
  const bool nothing_said = std::filesystem::file_size(log, ignored) == 0;
  if (outcome && nothing_said) std::filesystem::remove(log, ignored);
  return outcome;
}

}  // namespace

void add_start(CommandLine& line) {
  Command& command = line.add(kStartText);
  const auto options = std::make_shared<StartOptions>();
  add_name(command, options->wanted.name)->required(false);
  command.add_option("--main", options->wanted.main, "Main, when the volume is not called by name")
      ->type_name("DEV");
  command.add_option("--spare", options->wanted.spares, "A spare, likewise; may be repeated")
      ->type_name("DEV")
      ->repeatable();
  add_choice(command, "--export", options->exported, {"auto", "dm", "nbd", "fuse"},
             "How to serve it");
  command.add_option("--tcp", options->tcp_port, "With nbd: on 127.0.0.1 at this port too")
      ->type_name("PORT")
      ->check(within(1, 65535));
  command.add_flag("--read-only", options->read_only, "Write nothing, not even repairs");
  command.add_flag("--degraded", options->wanted.degraded, "Start with spares missing");
  command.add_flag("--ignore-identity", options->ignore_identity,
                   "Take a disk with another serial number or WWN (a clone)");
  command.add_flag("--allow-buffered", options->allow_buffered,
                   "Take files that cannot do direct I/O; flushes are weaker there");
  command.add_flag("--foreground", options->foreground, "Stay in the foreground (for systemd)");
  add_json(command, options->json);
  line.on_run(command, [options]() -> Expected<Exit> {
    if (options->wanted.name.empty() && options->wanted.main.empty() &&
        options->wanted.spares.empty()) {
      return misused(
          "which volume? Give its name, or --main and --spare; `dm-remap list` shows "
          "the known ones");
    }
    if (options->foreground && options->exported == "dm") {
      return misused("--foreground goes with nbd or fuse: the kernel needs no server");
    }
    if (options->tcp_port != 0 && options->exported != "nbd") {
      return misused("--tcp goes with --export nbd");
    }
    return start(*options);
  });
}

}  // namespace dmr::cli

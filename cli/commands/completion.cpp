// SPDX-License-Identifier: GPL-2.0-or-later
// `dm-remap completion`: prints the completion script of a shell.
#include "cli/completion/completion.h"

#include <memory>
#include <string>

#include <fmt/format.h>

#include "cli/commands/commands.h"

namespace dmr::cli {
namespace {

constexpr CommandText kCompletionText{
    .name = "completion",
    .group = "Other",
    .summary = "Print the completion script of a shell",
    .explanation =
        "The script is written from the program's own list of commands and options; it\n"
        "completes commands, options, devices and the names of known volumes.",
    .examples =
        "  source <(dm-remap completion bash)\n"
        "  dm-remap completion zsh > ~/.zfunc/_dm-remap"};

}  // namespace

void add_completion(CommandLine& line) {
  Command& command = line.add(kCompletionText);
  const auto shell = std::make_shared<std::string>();
  add_choice(command, "SHELL", *shell, {"bash", "zsh"}, "The shell")->required();
  line.on_run(command, [shell, &line]() -> Expected<Exit> {
    fmt::print("{}", *shell == "bash" ? bash_completion(line.root()) : zsh_completion(line.root()));
    return Exit::ok;
  });
}

}  // namespace dmr::cli

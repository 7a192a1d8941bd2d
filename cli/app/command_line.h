// SPDX-License-Identifier: GPL-2.0-or-later
// The program's subcommands and options. They are declared once, as CLI11 objects, and used by the
// parser, by --help and by the generated shell completion.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include <CLI/CLI.hpp>

#include "cli/app/help.h"
#include "cli/app/outcome.h"

namespace dmr::cli {

// What --help says about a subcommand, beside its options.
struct CommandText {
  const char* name;
  const char* group;        // heading under which the list of subcommands shows it
  const char* summary;      // half a line, for the list of subcommands
  const char* explanation;  // a few lines that teach
  const char* examples;     // whole command lines, indented by two blanks
};

class CommandLine {
 public:
  using Run = std::function<Expected<Exit>()>;

  CommandLine();

  // A subcommand; its options are added to what is returned, its work given to on_run().
  CLI::App& add(const CommandText& text);
  void on_run(const CLI::App& command, Run run);

  // Parses, runs, prints the error if there is one; the process's exit status.
  [[nodiscard]] int run(int argc, char** argv);

  [[nodiscard]] const CLI::App& root() const { return root_; }

 private:
  [[nodiscard]] Expected<Exit> run_parsed();
  [[nodiscard]] std::string usage_hint() const;

  std::shared_ptr<HelpFormatter> help_;
  CLI::App root_;
  std::unordered_map<const CLI::App*, Run> runs_;
};

// The value of `--json`, declared alike everywhere.
CLI::Option* add_json(CLI::App& command, bool& json);
// An option (or positional) whose value is one of a few words.
CLI::Option* add_choice(CLI::App& command, const std::string& flag, std::string& value,
                        const std::vector<std::string>& choices, const std::string& text);
// The positional NAME of a volume; its rules are checked while parsing.
CLI::Option* add_name(CLI::App& command, std::string& name);

}  // namespace dmr::cli

// SPDX-License-Identifier: GPL-2.0-or-later
// The program's subcommands. They and their options are declared once, and used by the parser, by
// --help and by the generated shell completion.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "cli/app/command.h"
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

class HelpFormatter;

class CommandLine {
 public:
  using Run = std::function<Expected<Exit>()>;

  CommandLine();
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;
  ~CommandLine();

  // A subcommand; its options are added to what is returned, its work given to on_run().
  Command& add(const CommandText& text);
  void on_run(const Command& command, Run run);

  // Parses, runs, prints the error if there is one; the process's exit status.
  [[nodiscard]] int run(int argc, char** argv);

  [[nodiscard]] const CLI::App& root() const { return *root_; }

 private:
  [[nodiscard]] Expected<Exit> run_parsed();
  [[nodiscard]] Expected<Exit> run_to_the_end();
  [[nodiscard]] std::string usage_hint() const;

  std::shared_ptr<HelpFormatter> help_;
  std::unique_ptr<CLI::App> root_;
  std::deque<Command> commands_;  // whose addresses stay
  std::unordered_map<const CLI::App*, Run> runs_;
};

}  // namespace dmr::cli

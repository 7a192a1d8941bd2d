// SPDX-License-Identifier: GPL-2.0-or-later
// Declaring, parsing and running the subcommands.
#include "cli/app/command_line.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <system_error>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cli/app/help.h"
#include "cli/app/names.h"
#include "generated/version.h"

namespace dmr::cli {
namespace {

constexpr char kRootText[] =
    "dm-remap keeps a disk with bad sectors usable: blocks that the main device refuses are kept "
    "on\n"
    "a spare device, and what cannot be read any more says so until it is written again.";
constexpr char kRootFooter[] =
    "First steps:\n"
    "  dm-remap create tank --main /dev/sdb --spare /dev/sdc1   prepare (data on sdb stays)\n"
    "  dm-remap start tank                                      serve it; prints the path\n"
    "  dm-remap status tank                                     how it is doing\n"
    "  dm-remap stop tank\n"
    "\n"
    "Exit status: 0 well, 1 failed, 2 wrong usage, 3 refused for safety, 4 a fault was found.\n"
    "`dm-remap COMMAND --help` explains each command. Sectors are 512 bytes everywhere.";

// CLI11 writes sentences; ours begin small, hold no line break and end without a full stop.
std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  while (!text.empty() && (text.back() == ' ' || text.back() == '.')) text.pop_back();
  const bool is_sentence =
      text.size() > 1 && std::islower(static_cast<unsigned char>(text[1])) != 0;
  if (is_sentence) text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  return text;
}

// All values that CLI11 itself converts are numbers. It says `Could not convert: --runs = x`.
std::string not_a_number(std::string text) {
  constexpr std::string_view kPrefix = "Could not convert: ";
  constexpr std::string_view kBetween = " = ";
  const std::size_t between = text.find(kBetween);
  if (!text.starts_with(kPrefix) || between == std::string::npos) return one_line(std::move(text));
  return fmt::format("{}: `{}` is not a number that it takes",
                     text.substr(kPrefix.size(), between - kPrefix.size()),
                     text.substr(between + kBetween.size()));
}

void print_error(const std::string& message) {
  std::fflush(stdout);  // the error comes after what was said before it
  fmt::print(stderr, "dm-remap: {}\n", message);
}

int number(Exit exit) { return static_cast<int>(exit); }

}  // namespace

CommandLine::CommandLine()
    : help_(std::make_shared<HelpFormatter>()),
      root_(std::make_unique<CLI::App>(kRootText, "dm-remap")) {
  root_->footer(kRootFooter);
  root_->formatter(help_);
  root_->set_help_flag("-h,--help", "Explain the command");
  root_->set_version_flag("--version", fmt::format("dm-remap {}", kVersion), "Print the version");
}

Command& CommandLine::add(const CommandText& text) {
  CLI::App* command = root_->add_subcommand(text.name, text.summary);
  command->group(text.group);
  command->footer(fmt::format("Examples:\n{}", text.examples));
  help_->explain(command, text.explanation);
  return commands_.emplace_back(*command);
}

CommandLine::~CommandLine() = default;

void CommandLine::on_run(const Command& command, Run run) {
  runs_[&command.app()] = std::move(run);
}

std::string CommandLine::usage_hint() const {
  const std::vector<CLI::App*> chosen = root_->get_subcommands();
  if (chosen.empty()) return "see `dm-remap --help`";
  return fmt::format("see `dm-remap {} --help`", chosen.front()->get_name());
}

Expected<Exit> CommandLine::run_parsed() {
  const std::vector<CLI::App*> chosen = root_->get_subcommands();
  if (chosen.empty()) return misused("a command is missing; " + usage_hint());
  const auto found = runs_.find(chosen.front());
  if (found == runs_.end()) return failed("this command has no work to do");
  return found->second();
}

// A success is one only when what was printed has gone out.
Expected<Exit> CommandLine::run_to_the_end() {
  try {
    Expected<Exit> outcome = run_parsed();
    if (!outcome || std::fflush(stdout) == 0) return outcome;
  } catch (const std::system_error&) {  // fmt's, of output that is longer than stdio's buffer
    if (std::ferror(stdout) == 0) throw;
  }
  return failed("the output could not be written");
}

int CommandLine::run(int argc, char** argv) {
  const std::string first = argc > 1 ? argv[1] : "";
  std::vector<std::string> known;
  for (const CLI::App* command : root_->get_subcommands({})) known.push_back(command->get_name());
  const bool is_known = std::find(known.begin(), known.end(), first) != known.end();
  if (!first.empty() && first[0] != '-' && !is_known) {
    const std::string near = nearest(first, known.data(), known.data() + known.size());
    print_error(fmt::format("there is no command `{}`; {}", first,
                            near.empty() ? usage_hint() : fmt::format("did you mean `{}`?", near)));
    return number(Exit::usage);
  }
  try {
    root_->parse(argc, argv);
  } catch (const CLI::Success& asked) {  // --help and --version
    return root_->exit(asked);
  } catch (const CLI::ConversionError& error) {
    print_error(fmt::format("{}; {}", not_a_number(error.what()), usage_hint()));
    return number(Exit::usage);
  } catch (const CLI::ParseError& error) {
    print_error(fmt::format("{}; {}", one_line(error.what()), usage_hint()));
    return number(Exit::usage);
  }
  const Expected<Exit> outcome = run_to_the_end();
  if (!outcome) {
    print_error(one_line(outcome.error().message));
    return outcome.error().exit_code;
  }
  return number(*outcome);
}

}  // namespace dmr::cli

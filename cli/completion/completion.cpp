// SPDX-License-Identifier: GPL-2.0-or-later
// Walks the declared commands and writes scripts for bash and zsh.
#include "cli/completion/completion.h"

#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace dmr::cli {
namespace {

enum class Values { none, free, files, names, choices };

// How the value of an option is completed: by its type's name, as --help shows it.
struct Completion {
  Values values = Values::none;
  std::vector<std::string> choices;
};

Completion completion_of(const CLI::Option& option) {
  if (option.get_items_expected_max() == 0) return {};
  const std::string type = option.get_type_name();
  if (type.find('|') != std::string::npos) {
    return {.values = Values::choices, .choices = CLI::detail::split(type, '|')};
  }
  const std::string name = option.get_positional() ? option.get_name(true) : type;
  if (name == "DEV" || name == "FILE") {
    return {.values = Values::files, .choices = {}};
  }
  if (name == "NAME") {
    return {.values = Values::names, .choices = {}};
  }
  return {.values = Values::free, .choices = {}};
}

std::vector<std::string> flags_of(const CLI::Option& option) {
  std::vector<std::string> flags;
  for (const std::string& name : option.get_lnames()) flags.push_back("--" + name);
  for (const std::string& name : option.get_snames()) flags.push_back("-" + name);
  return flags;
}

std::vector<const CLI::App*> commands_of(const CLI::App& root) {
  return root.get_subcommands([](const CLI::App* command) { return !command->get_name().empty(); });
}

std::string bash_reply(const Completion& completion) {
  switch (completion.values) {
    case Values::files:
      return "compopt -o filenames 2>/dev/null; "
             "mapfile -t COMPREPLY < <(compgen -f -- \"$current\")";
    case Values::names:
      return "mapfile -t COMPREPLY < <(compgen -W \"$(dm-remap list --names 2>/dev/null)\" "
             "-- \"$current\")";
    case Values::choices:
      return fmt::format("mapfile -t COMPREPLY < <(compgen -W \"{}\" -- \"$current\")",
                         fmt::join(completion.choices, " "));
    case Values::none:
    case Values::free:
      return ":";
  }
  return ":";
}

// What is offered where no option is: by the place among the positionals, the last for all behind.
std::string bash_positionals(const std::vector<std::string>& replies, const std::string& valued) {
  if (replies.empty()) return ":";
  if (replies.size() == 1) return replies.front();
  std::string cases;
  for (std::size_t i = 0; i < replies.size(); ++i) {
    const std::string place = i + 1 < replies.size() ? fmt::format("{}", i) : "*";
    cases += fmt::format("{}) {} ;; ", place, replies[i]);
  }
  return fmt::format("_dm_remap_place \"{}\"; case $place in {}esac", valued, cases);
}

std::string escaped(std::string text) {  // for zsh's _arguments, inside single quotes
  std::string out;
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
      continue;
    }
    if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string zsh_action(const Completion& completion) {
  switch (completion.values) {
    case Values::files:
      return "_files";
    case Values::names:
      return "{_values name ${(f)\"$(dm-remap list --names 2>/dev/null)\"}}";
    case Values::choices:
      return fmt::format("({})", fmt::join(completion.choices, " "));
    case Values::none:
    case Values::free:
      return " ";
  }
  return " ";
}

std::string zsh_argument(const CLI::Option& option, int& position) {
  const Completion completion = completion_of(option);
  const std::string text = escaped(option.get_description());
  if (option.get_positional()) {
    const bool many = option.get_items_expected_max() > 1;
    const std::string where = many ? "*" : fmt::format("{}", ++position);
    return fmt::format("        '{}:{}:{}' \\\n", where, text, zsh_action(completion));
  }
  std::string lines;
  for (const std::string& flag : flags_of(option)) {
    const std::string repeated = option.get_items_expected_max() > 1 ? "*" : "";
    lines += completion.values == Values::none
                 ? fmt::format("        '{}{}[{}]' \\\n", repeated, flag, text)
                 : fmt::format("        '{}{}[{}]:value:{}' \\\n", repeated, flag, text,
                               zsh_action(completion));
  }
  return lines;
}

}  // namespace

std::string bash_completion(const CLI::App& root) {
  std::string values;     // after an option: its value
  std::string arguments;  // elsewhere: options and positionals
  std::vector<std::string> commands;
  for (const CLI::App* command : commands_of(root)) {
    commands.push_back(command->get_name());
    std::vector<std::string> flags;
    std::vector<std::string> positionals;
    std::string valued;  // options that take a value
    for (const CLI::Option* option : command->get_options()) {
      const Completion completion = completion_of(*option);
      if (option->get_positional()) {
        positionals.push_back(bash_reply(completion));
        continue;
      }
      for (const std::string& flag : flags_of(*option)) {
        flags.push_back(flag);
        if (completion.values == Values::none) continue;
        valued += flag + " ";
        values += fmt::format("    {}:{}) {}; return ;;\n", command->get_name(), flag,
                              bash_reply(completion));
      }
    }
    arguments += fmt::format(
        "    {}) options=\"{}\"; [[ $current == -* ]] || {{ {}; return; }} ;;\n",
        command->get_name(), fmt::join(flags, " "), bash_positionals(positionals, valued));
  }
  return fmt::format(
      "# bash completion of dm-remap; load it with: source <(dm-remap completion bash)\n"
      "# How many positionals stand between the command and the current word.\n"
      "_dm_remap_place() {{\n"
      "  local previous=\"\"\n"
      "  place=0\n"
      "  for ((i++; i < COMP_CWORD; i++)); do\n"
      "    [[ ${{COMP_WORDS[i]}} == -* || \" $1\" == *\" ${{previous:--}} \"* ]] || ((++place))\n"
      "    previous=\"${{COMP_WORDS[i]}}\"\n"
      "  done\n"
      "}}\n"
      "_dm_remap() {{\n"
      "  local current=\"${{COMP_WORDS[COMP_CWORD]}}\" previous=\"${{COMP_WORDS[COMP_CWORD-1]}}\"\n"
      "  local command=\"\" options=\"--help --version {}\" i place\n"
      "  COMPREPLY=()\n"
      "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
      "    [[ ${{COMP_WORDS[i]}} == -* ]] || {{ command=\"${{COMP_WORDS[i]}}\"; break; }}\n"
      "  done\n"
      "  case \"$command:$previous\" in\n{}  esac\n"
      "  case \"$command\" in\n{}  esac\n"
      "  mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$current\")\n"
      "}}\n"
      "complete -F _dm_remap dm-remap\n",
      fmt::join(commands, " "), values, arguments);
}

std::string zsh_completion(const CLI::App& root) {
  std::string list;
  std::string cases;
  for (const CLI::App* command : commands_of(root)) {
    list += fmt::format("    '{}:{}'\n", command->get_name(), escaped(command->get_description()));
    cases += fmt::format("    {})\n      _arguments \\\n", command->get_name());
    int position = 0;
    for (const CLI::Option* option : command->get_options()) {
      cases += zsh_argument(*option, position);
    }
    cases += "        && return 0 ;;\n";
  }
  return fmt::format(
      "#compdef dm-remap\n"
      "# zsh completion of dm-remap; load it with: source <(dm-remap completion zsh)\n"
      "_dm_remap() {{\n"
      "  local -a commands\n"
      "  commands=(\n{}  )\n"
      "  if (( CURRENT == 2 )); then\n"
      "    _describe command commands\n"
      "    return\n"
      "  fi\n"
      "  local command=$words[2]\n"
      "  shift words\n"
      "  (( CURRENT-- ))\n"
      "  case $command in\n{}  esac\n"
      "}}\n"
      "compdef _dm_remap dm-remap\n",
      list, cases);
}

}  // namespace dmr::cli

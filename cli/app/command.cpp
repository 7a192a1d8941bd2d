// SPDX-License-Identifier: GPL-2.0-or-later
// Options of subcommands, as CLI11 objects.
#include "cli/app/command.h"

#include <algorithm>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/app/names.h"

namespace dmr::cli {

Option* Option::required(bool is_required) {
  option_.required(is_required);
  return this;
}

Option* Option::type_name(const std::string& name) {
  option_.type_name(name);
  return this;
}

Option* Option::repeatable() {
  option_.expected(1)->take_all();
  return this;
}

Option* Option::check(const Check& check) {
  option_.check(check);
  return this;
}

Option* Option::transform(const Transform& transform) {
  option_.transform(CLI::Validator(transform, ""));
  return this;
}

Option* Command::keep(CLI::Option* option) { return &options_.emplace_back(*option); }

Option* Command::add_option(const std::string& name, std::string& value, const std::string& text) {
  return keep(app_.add_option(name, value, text));
}

Option* Command::add_option(const std::string& name, std::vector<std::string>& values,
                            const std::string& text) {
  return keep(app_.add_option(name, values, text));
}

Option* Command::add_option(const std::string& name, u16& value, const std::string& text) {
  return keep(app_.add_option(name, value, text));
}

Option* Command::add_option(const std::string& name, u32& value, const std::string& text) {
  return keep(app_.add_option(name, value, text));
}

Option* Command::add_option(const std::string& name, u64& value, const std::string& text) {
  return keep(app_.add_option(name, value, text));
}

Option* Command::add_flag(const std::string& name, bool& value, const std::string& text) {
  return keep(app_.add_flag(name, value, text));
}

Option* add_json(Command& command, bool& json) {
  return command.add_flag("--json", json, "Print JSON; docs/json.md describes the keys");
}

Option* add_choice(Command& command, const std::string& flag, std::string& value,
                   const std::vector<std::string>& choices, const std::string& text) {
  return command.add_option(flag, value, text)
      ->type_name(fmt::format("{}", fmt::join(choices, "|")))
      ->check([choices](const std::string& given) {
        if (std::find(choices.begin(), choices.end(), given) != choices.end()) return std::string();
        const std::string near = nearest(given, choices.data(), choices.data() + choices.size());
        return fmt::format("`{}` is none of {}{}", given, fmt::join(choices, ", "),
                           near.empty() ? "" : fmt::format(" (did you mean `{}`?)", near));
      });
}

Option* add_name(Command& command, std::string& name) {
  return command.add_option("NAME", name, "The volume's name")
      ->required()
      ->type_name("")
      ->check([](const std::string& value) { return name_fault(value); });
}

}  // namespace dmr::cli

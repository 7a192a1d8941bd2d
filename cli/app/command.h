// SPDX-License-Identifier: GPL-2.0-or-later
// How a subcommand declares its options. CLI11 does the work behind it; its headers alone take
// longer to compile than any command, so that only this folder and the completion include them.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "core/base/types.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace dmr::cli {

// Says what is wrong with a value, "" when nothing is.
using Check = std::function<std::string(const std::string& value)>;
// The same, and may put the value into another form.
using Transform = std::function<std::string(std::string& value)>;

// An option or positional of a subcommand. The calls may be chained.
class Option {
 public:
  explicit Option(CLI::Option& option) : option_(option) {}

  Option* required(bool is_required = true);
  // What --help and the completion call the value; "" for a positional, whose name says it.
  Option* type_name(const std::string& name);
  // May be given again and again, with one value each time.
  Option* repeatable();
  Option* check(const Check& check);
  Option* transform(const Transform& transform);

 private:
  CLI::Option& option_;
};

class Command {
 public:
  explicit Command(CLI::App& app) : app_(app) {}
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;

  // `name` is "--long", "-s,--long", or "NAME" for a positional. The value must outlive parsing.
  Option* add_option(const std::string& name, std::string& value, const std::string& text);
  Option* add_option(const std::string& name, std::vector<std::string>& values,
                     const std::string& text);
  Option* add_option(const std::string& name, u16& value, const std::string& text);
  Option* add_option(const std::string& name, u32& value, const std::string& text);
  Option* add_option(const std::string& name, u64& value, const std::string& text);
  Option* add_flag(const std::string& name, bool& value, const std::string& text);

  [[nodiscard]] const CLI::App& app() const { return app_; }

 private:
  Option* keep(CLI::Option* option);

  CLI::App& app_;
  std::deque<Option> options_;  // whose addresses stay
};

// The value of `--json`, declared alike everywhere.
Option* add_json(Command& command, bool& json);
// An option (or positional) whose value is one of a few words.
Option* add_choice(Command& command, const std::string& flag, std::string& value,
                   const std::vector<std::string>& choices, const std::string& text);
// The positional NAME of a volume; its rules are checked while parsing.
Option* add_name(Command& command, std::string& name);

}  // namespace dmr::cli

// SPDX-License-Identifier: GPL-2.0-or-later
// The form of --help: how the command is called, what it is for, its options, examples.
#pragma once

#include <string>
#include <unordered_map>

#include <CLI/CLI.hpp>

namespace dmr::cli {

class HelpFormatter final : public CLI::Formatter {
 public:
  HelpFormatter();
  void explain(const CLI::App* command, std::string explanation);

  [[nodiscard]] std::string make_description(const CLI::App* app) const override;
  [[nodiscard]] std::string make_usage(const CLI::App* app, std::string name) const override;
  [[nodiscard]] std::string make_option_opts(const CLI::Option* option) const override;

 private:
  std::unordered_map<const CLI::App*, std::string> explanations_;
};

}  // namespace dmr::cli

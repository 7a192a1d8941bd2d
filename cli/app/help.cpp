// SPDX-License-Identifier: GPL-2.0-or-later
// Putting --help together.
#include "cli/app/help.h"

#include <fmt/format.h>

namespace dmr::cli {
namespace {

constexpr std::size_t kColumnWidth = 30;
// A list of choices that is longer is told in the command's explanation.
constexpr std::size_t kMostTypeName = 40;

// "--main DEV", or "NAME" for a positional; "..." where several may be given.
std::string usage_of(const CLI::Option& option) {
  const bool many = option.get_items_expected_max() > 1;
  if (option.get_positional()) return option.get_name(true) + (many ? "..." : "");
  return fmt::format("{} {}", option.get_name(), option.get_type_name());
}

}  // namespace

HelpFormatter::HelpFormatter() { column_width(kColumnWidth); }

void HelpFormatter::explain(const CLI::App* command, std::string explanation) {
  explanations_[command] = std::move(explanation);
}

std::string HelpFormatter::make_description(const CLI::App* app) const {
  const auto found = explanations_.find(app);
  return found == explanations_.end() ? app->get_description() + "\n\n" : found->second + "\n\n";
}

std::string HelpFormatter::make_usage(const CLI::App* app, std::string name) const {
  std::string line = "Usage: " + name;
  if (app->get_parent() == nullptr) return line + " COMMAND [OPTIONS]\n";
  for (const CLI::Option* option : app->get_options()) {
    if (option->get_positional()) {
      line += option->get_required() ? " " + usage_of(*option) : " [" + usage_of(*option) + "]";
    }
  }
  for (const CLI::Option* option : app->get_options()) {
    if (!option->get_positional() && option->get_required()) line += " " + usage_of(*option);
  }
  return line + " [OPTIONS]\n";
}

std::string HelpFormatter::make_option_opts(const CLI::Option* option) const {
  std::string text;
  if (option->get_type_size() != 0 && !option->get_type_name().empty()) {
    const std::string type = option->get_type_name();
    text += " " + (type.size() > kMostTypeName ? "CHOICE" : type);
  }
  if (option->get_items_expected_max() > 1) text += "...";
  return text;
}

}  // namespace dmr::cli

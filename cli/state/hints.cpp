// SPDX-License-Identifier: GPL-2.0-or-later
// Notes about volumes as small JSON files.
#include "cli/state/hints.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/app/names.h"
#include "runtime/device/layer.h"

namespace dmr::cli {
namespace {

namespace fs = std::filesystem;

std::string environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

fs::path file_of(const std::string& name) { return fs::path(state_directory()) / (name + ".json"); }

std::optional<Hint> read_hint(const fs::path& path) {
  std::ifstream file(path);
  const auto json = nlohmann::json::parse(file, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  try {
    return Hint{.name = json.at("name"),
                .set = json.at("set"),
                .main = json.at("main"),
                .spares = json.at("spares")};
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;  // of another version, or damaged: the devices will be searched
  }
}

}  // namespace

std::string state_directory() {
  if (std::string folder = environment("DM_REMAP_STATE_DIR"); !folder.empty()) return folder;
  if (geteuid() == 0) return "/var/lib/dm-remap/volumes";
  if (std::string folder = environment("XDG_STATE_HOME"); !folder.empty()) {
    return folder + "/dm-remap/volumes";
  }
  return environment("HOME") + "/.local/state/dm-remap/volumes";
}

Expected<void> save_hint(const Hint& hint) {
  const nlohmann::ordered_json json{
      {"name", hint.name}, {"set", hint.set}, {"main", hint.main}, {"spares", hint.spares}};
  const fs::path path = file_of(hint.name);
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  const fs::path temporary = fmt::format("{}.{}", path.string(), getpid());
  {
    std::ofstream file(temporary);
    file << json.dump(2) << '\n';
    if (!file.flush()) {
      fs::remove(temporary, error);
      return failed(fmt::format("{} cannot be written", path.string()));
    }
  }
  fs::rename(temporary, path, error);
  if (error) return failed(fmt::format("{} cannot be written: {}", path.string(), error.message()));
  return {};
}

std::optional<Hint> load_hint(const std::string& name) {
  std::optional<Hint> hint = read_hint(file_of(name));
  if (hint && hint->name != name) return std::nullopt;
  return hint;
}

std::vector<Hint> all_hints() {
  std::vector<Hint> hints;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(state_directory(), error)) {
    const std::string name = entry.path().stem().string();
    if (entry.path().extension() != ".json" || !name_fault(name).empty()) continue;
    if (std::optional<Hint> hint = load_hint(name)) hints.push_back(std::move(*hint));
  }
  std::sort(hints.begin(), hints.end(),
            [](const Hint& a, const Hint& b) { return a.name < b.name; });
  return hints;
}

std::string absolute_spec(const std::string& spec) {
  const auto parsed = runtime::parse_spec(spec);
  if (!parsed) return spec;
  std::error_code error;
  std::string text;
  for (const auto& part : parsed->layers) {
    text += part.kind + ":";
    if (!part.argument.empty()) text += fs::absolute(part.argument, error).string() + ":";
  }
  return text + fs::absolute(parsed->path, error).lexically_normal().string();
}

}  // namespace dmr::cli

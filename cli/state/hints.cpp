// SPDX-License-Identifier: GPL-2.0-or-later
// Notes about volumes as small JSON files.
#include "cli/state/hints.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
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

// Streams say no more than that they failed.
std::string errno_text() { return errno == 0 ? "it is no file" : std::strerror(errno); }

fs::path file_of(const std::string& name) { return fs::path(state_directory()) / (name + ".json"); }

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

Expected<std::optional<Hint>> read_hint(const std::string& name) {
  const fs::path path = file_of(name);
  errno = 0;
  std::ifstream file(path);
  if (!file && (errno == ENOENT || errno == ENOTDIR)) return std::optional<Hint>();
  std::ostringstream text;
  text << file.rdbuf();  // which throws nothing, also when it is a folder
  if (!file || errno != 0) {
    return failed(fmt::format("{} cannot be read: {}", path.string(), errno_text()));
  }
  const auto json = nlohmann::json::parse(text.str(), nullptr, false);
  try {
    Hint hint{.name = json.at("name"),
              .set = json.at("set"),
              .main = json.at("main"),
              .spares = json.at("spares")};
    if (hint.name == name) return hint;
  } catch (const nlohmann::json::exception&) {  // of another version, or damaged
  }
  return failed(
      fmt::format("{} is no note about volume `{}`; a start with --main and --spare writes it anew",
                  path.string(), name));
}

std::optional<Hint> load_hint(const std::string& name) {
  return read_hint(name).value_or(std::nullopt);
}

Hints all_hints() {
  Hints hints;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(state_directory(), error)) {
    const std::string name = entry.path().stem().string();
    if (entry.path().extension() != ".json" || !name_fault(name).empty()) continue;
    auto hint = read_hint(name);
    if (!hint) {
      hints.unreadable.push_back(hint.error().message);
    } else if (*hint) {
      hints.known.push_back(std::move(**hint));
    }
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    hints.unreadable.push_back(
        fmt::format("{} cannot be read: {}", state_directory(), error.message()));
  }
  std::sort(hints.known.begin(), hints.known.end(),
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

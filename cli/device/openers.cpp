// SPDX-License-Identifier: GPL-2.0-or-later
// Looks through the open files of all processes.
#include "cli/device/openers.h"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <system_error>
#include <thread>
#include <unistd.h>

#include <fmt/format.h>

#include "runtime/device/first_line.h"

namespace dmr::cli {
namespace {

namespace fs = std::filesystem;

// Programs that look at every new or closed device are done by then.
constexpr std::chrono::milliseconds kPassersBy{1'000};
constexpr std::chrono::milliseconds kBetweenLooks{50};

bool has_open(const fs::path& process, dev_t device) {
  std::error_code error;
  for (const auto& file : fs::directory_iterator(process / "fd", error)) {
    struct stat info{};
    if (stat(file.path().c_str(), &info) == 0 && S_ISBLK(info.st_mode) && info.st_rdev == device) {
      return true;
    }
  }
  return false;
}

std::string opener_now(dev_t device, int server) {
  std::error_code error;
  for (const auto& process : fs::directory_iterator("/proc", error)) {
    const std::string number = process.path().filename().string();
    const bool is_process =
        std::all_of(number.begin(), number.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (!is_process || number == std::to_string(server) || number == std::to_string(getpid())) {
      continue;
    }
    if (!has_open(process.path(), device)) continue;
    return fmt::format("{} (process {})", runtime::first_line(process.path() / "comm"), number);
  }
  return "";
}

}  // namespace

std::string opener_of(const std::string& path, int server) {
  struct stat info{};
  if (stat(path.c_str(), &info) != 0 || !S_ISBLK(info.st_mode)) return "";
  const auto end = std::chrono::steady_clock::now() + kPassersBy;
  std::string opener = opener_now(info.st_rdev, server);
  while (!opener.empty() && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(kBetweenLooks);
    opener = opener_now(info.st_rdev, server);
  }
  return opener;
}

}  // namespace dmr::cli

// SPDX-License-Identifier: GPL-2.0-or-later
// What a small file says, such as one of sysfs.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>

namespace dmr::runtime {

// The first line, "" when it cannot be read.
[[nodiscard]] inline std::string first_line(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

}  // namespace dmr::runtime

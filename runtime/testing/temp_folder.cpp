// SPDX-License-Identifier: GPL-2.0-or-later
// Makes and removes the folder.
#include "runtime/testing/temp_folder.h"

#include <cstdlib>
#include <fstream>
#include <stdexcept>

namespace dmr::runtime::testing {

namespace fs = std::filesystem;

TempFolder::TempFolder(Where where) {
  const fs::path parent = where == Where::memory ? fs::path("/dev/shm") : fs::temp_directory_path();
  std::string name = (parent / "dmr-test-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp " + name);
  folder_ = name;
}

TempFolder::~TempFolder() {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

std::string TempFolder::file(const std::string& name, u64 bytes) const {
  std::ofstream(path(name)).close();
  fs::resize_file(path(name), bytes);
  return path(name);
}

std::string TempFolder::text_file(const std::string& name, const std::string& text) const {
  std::ofstream(path(name)) << text;
  return path(name);
}

}  // namespace dmr::runtime::testing

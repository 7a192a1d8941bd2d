// SPDX-License-Identifier: GPL-2.0-or-later
// A folder of a test's own, and files in it.
#pragma once

#include <filesystem>
#include <string>

#include "core/base/types.h"

namespace dmr::runtime::testing {

class TempFolder {
 public:
  // In memory (tmpfs), or where TMPDIR says.
  enum class Where : u8 { disk, memory };
  explicit TempFolder(Where where = Where::disk);
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder();

  [[nodiscard]] std::string path(const std::string& name) const {
    return (folder_ / name).string();
  }
  [[nodiscard]] std::string folder() const { return folder_.string(); }
  // A sparse file of this size; returns its path.
  [[nodiscard]] std::string file(const std::string& name, u64 bytes) const;
  [[nodiscard]] std::string text_file(const std::string& name, const std::string& text) const;

 private:
  std::filesystem::path folder_;
};

}  // namespace dmr::runtime::testing

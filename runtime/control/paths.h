// SPDX-License-Identifier: GPL-2.0-or-later
// Where the run-time files of a volume lie: $DM_REMAP_RUNTIME_DIR, else /run/dm-remap, with
// NAME.sock (control socket), NAME.lock (one server a name; its process id inside).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/device/error.h"
#include "runtime/device/file_descriptor.h"

namespace dmr::runtime {

[[nodiscard]] std::string runtime_directory();
// Makes the folder (0755, /run/dm-remap too) when it is missing; an error when it cannot be written
// to.
[[nodiscard]] Expected<std::string> prepare_runtime_directory();

// Letters, digits, '.', '_', '-', '+', not beginning with '.' or '-', at most 63 bytes.
[[nodiscard]] bool valid_name(std::string_view name);
[[nodiscard]] std::string runtime_file(std::string_view name, std::string_view suffix);
// runtime_file(), or an error when it is too long for a socket (107 bytes).
[[nodiscard]] Expected<std::string> socket_path(std::string_view name, std::string_view suffix);

// Held by the server of a volume for its whole life; the kernel drops it with the process.
class NameLock {
 public:
  // Error (exit status 3) with the server's process id when the name is being served.
  static Expected<NameLock> take(std::string_view name);
  // The process that serves `name`, 0 for none.
  [[nodiscard]] static int holder(std::string_view name);

  NameLock() = default;
  NameLock(NameLock&&) noexcept = default;
  NameLock& operator=(NameLock&&) noexcept = default;
  ~NameLock();

 private:
  std::string path_;
  FileDescriptor fd_;
};

// Names whose server runs, sorted.
[[nodiscard]] std::vector<std::string> running_names();

}  // namespace dmr::runtime

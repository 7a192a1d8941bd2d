// SPDX-License-Identifier: GPL-2.0-or-later
// Going into the background only when all is well: the process that the user started waits until
// the one that stays behind is ready, prints what it says, and ends with its exit status.
#pragma once

#include <optional>
#include <string>

#include "cli/app/outcome.h"
#include "runtime/device/file_descriptor.h"

namespace dmr::cli {

class Background {
 public:
  // Forks; call it before any thread is started. In the parent it waits and returns the outcome
  // of the whole command. In the child it returns nothing: go on, and call ready() at last.
  [[nodiscard]] Expected<std::optional<Exit>> enter();

  // In the child: the parent prints `output` on stdout and ends well. From here on nobody listens:
  // output goes to the journal, or to `log_path` where there is none. False when the parent has
  // been interrupted: then the user does not want the volume any more.
  [[nodiscard]] bool ready(const std::string& output, const std::string& log_path);

 private:
  [[nodiscard]] Expected<std::optional<Exit>> wait_for_child(int child);

  runtime::FileDescriptor pipe_;
};

}  // namespace dmr::cli

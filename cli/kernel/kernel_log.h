// SPDX-License-Identifier: GPL-2.0-or-later
// Why the kernel refused: it answers with a number only, and writes the reason into its log.
#pragma once

#include <string>
#include <string_view>

#include "runtime/device/file_descriptor.h"

namespace dmr::cli {

class KernelLog {
 public:
  // From now on.
  KernelLog();
  // The last line of the target `remap` since then, without what comes before its own words; ""
  // when there is none, or the log may not be read.
  [[nodiscard]] std::string last_words();

 private:
  runtime::FileDescriptor log_;
};

// The words of the target in one line of the log, or "".
[[nodiscard]] std::string words_of_target(std::string_view line);

}  // namespace dmr::cli

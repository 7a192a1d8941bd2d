// SPDX-License-Identifier: GPL-2.0-or-later
// Reads /dev/kmsg, which gives one record for each read().
#include "cli/kernel/kernel_log.h"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

namespace dmr::cli {
namespace {

constexpr unsigned kMaxRecords = 100'000;  // a log that grows faster than it is read has an end too

}  // namespace

KernelLog::KernelLog() : log_(open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC)) {
  if (log_.valid() && lseek(log_.get(), 0, SEEK_END) < 0) log_.reset();
}

std::string KernelLog::last_words() {
  std::string words;
  if (!log_.valid()) return words;
  std::array<char, 8192> record{};
  for (unsigned i = 0; i < kMaxRecords; ++i) {
    const ssize_t got = read(log_.get(), record.data(), record.size());
    if (got < 0 && (errno == EPIPE || errno == EINTR)) continue;  // some were overwritten
    if (got <= 0) break;
    std::string found = words_of_target({record.data(), static_cast<std::size_t>(got)});
    if (!found.empty()) words = std::move(found);
  }
  return words;
}

// Of the module: "device-mapper: remap: 253:0: refused: WORDS (-22)"; of the device mapper, for the
// constructor: "device-mapper: table: 253:0: remap: WORDS (-EINVAL)".
std::string words_of_target(std::string_view line) {
  line = line.substr(0, line.find('\n'));
  const std::size_t prefix = line.find("device-mapper: ");
  if (prefix == std::string_view::npos) return "";
  const std::size_t target = line.find("remap: ", prefix);
  if (target == std::string_view::npos) return "";
  line.remove_prefix(target + std::string_view("remap: ").size());
  const std::size_t refused = line.find("refused: ");
  if (refused != std::string_view::npos) {
    line.remove_prefix(refused + std::string_view("refused: ").size());
  }
  if (line.ends_with(')') && line.rfind(" (-") != std::string_view::npos) {
    line = line.substr(0, line.rfind(" (-"));
  }
  return std::string(line);
}

}  // namespace dmr::cli

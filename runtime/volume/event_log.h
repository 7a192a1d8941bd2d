// SPDX-License-Identifier: GPL-2.0-or-later
// The last events of a volume, for `events`, and their way into the log, which is rate limited.
#pragma once

#include <array>
#include <mutex>
#include <string>
#include <vector>

#include "core/host/host.h"

namespace dmr::runtime {

[[nodiscard]] const char* name_of(EventKind kind);   // "remapped", "breaker_open", ...
[[nodiscard]] const char* name_of(IoStatus status);  // "medium", "transport", ...

struct LoggedEvent {
  u64 number = 0;  // from 1, without gaps
  u64 unix_time_ms = 0;
  Event event;
};
[[nodiscard]] std::string text_of(const Event& event);  // one line for people

// Any thread.
class EventLog {
 public:
  static constexpr std::size_t kKept = 1024;
  static constexpr unsigned kLinesPerSecond = 10;  // of the log on stderr; the rest is counted

  explicit EventLog(std::string volume) : volume_(std::move(volume)) {}
  void add(const Event& event);
  // Events with a number above `after`, oldest first, at most `limit`.
  [[nodiscard]] std::vector<LoggedEvent> since(u64 after, std::size_t limit) const;
  [[nodiscard]] u64 newest() const;  // number; 0 when there was none

 private:
  void write_line(const LoggedEvent& entry);

  const std::string volume_;
  mutable std::mutex mutex_;
  std::array<LoggedEvent, kKept> kept_{};
  u64 count_ = 0;
  u64 second_ = 0;      // of the rate limit
  unsigned lines_ = 0;  // in that second
  u64 suppressed_ = 0;
};

}  // namespace dmr::runtime

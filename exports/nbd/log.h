// SPDX-License-Identifier: GPL-2.0-or-later
// Lines for the log about clients. A client that keeps on misbehaving must not fill the disk.
#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>

#include "core/base/types.h"

namespace dmr::nbd {

using Log = std::function<void(std::string_view)>;  // called from any thread

class RateLimitedLog {
 public:
  static constexpr u32 kLines = 20;  // of one period; others are counted
  static constexpr std::chrono::seconds kPeriod{60};

  explicit RateLimitedLog(Log log) : log_(std::move(log)) {}

  // A line that cannot be written is lost; the threads that serve clients go on.
  void operator()(std::string_view line) const noexcept {
    try {
      write(line);
    } catch (const std::exception&) {
      return;
    }
  }

 private:
  void write(std::string_view line) const {
    const auto now = std::chrono::steady_clock::now();
    const std::lock_guard lock(mutex_);
    if (now - begin_ >= kPeriod) {
      if (lines_ > kLines) log_(std::to_string(lines_ - kLines) + " more lines like these");
      begin_ = now;
      lines_ = 0;
    }
    if (++lines_ <= kLines) log_(line);
  }

  const Log log_;
  mutable std::mutex mutex_;
  mutable std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  mutable u32 lines_ = 0;
};

}  // namespace dmr::nbd

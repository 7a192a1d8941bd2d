// SPDX-License-Identifier: GPL-2.0-or-later
// What runs beside the requests for as long as its volume is open (committer, mover, scrubber): the
// memory for its frames, its start, its sleep and its end. Executor only.
#pragma once

#include <optional>

#include "core/task/task.h"

namespace dmr {

class BackgroundLoop {
 public:
  BackgroundLoop(Host& host, Executor& executor) : host_(host), executor_(executor) {}

  Status open(std::size_t frame_bytes);
  // Also after an open() that failed, and before one. The task has ended.
  void close();
  [[nodiscard]] FrameStack& frames() { return frames_; }

  // The task has its frames from frames(), and ends when it sees stopping().
  void start(Task<Status>&& task);
  // Posts `stopped` when the task has ended.
  void request_stop(Ready& stopped);
  [[nodiscard]] bool stopping() const { return stopped_ != nullptr; }

  // The task's sleep, which ends with wake(): look again at what it waits for.
  [[nodiscard]] Signal::Awaiter wait() { return work_.wait(); }
  [[nodiscard]] bool sleeps() const { return work_.has_waiters(); }
  void wake() { work_.wake_all(executor_); }

 private:
  Host& host_;
  Executor& executor_;
  std::byte* memory_ = nullptr;
  std::size_t bytes_ = 0;
  FrameStack frames_;
  std::optional<Task<Status>> root_;
  Ready ended_;
  Ready* stopped_ = nullptr;
  Signal work_;
};

}  // namespace dmr

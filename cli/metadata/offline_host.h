// SPDX-License-Identifier: GPL-2.0-or-later
// The engine's host for work on a stopped set: blocking I/O, no queues, no threads. It creates,
// checks and reads metadata with the same store that runs under a live volume.
#pragma once

#include <array>
#include <functional>
#include <vector>

#include "cli/metadata/offline_disk.h"
#include "core/base/list.h"
#include "core/host/host.h"
#include "core/task/executor.h"
#include "core/task/frame_stack.h"
#include "core/task/task.h"

namespace dmr::cli {

class OfflineHost final : public Host {
 public:
  // `members[i]` is member i; null where it is missing. They must outlive the host.
  explicit OfflineHost(std::vector<const OfflineDisk*> members);

  // Runs one task of the engine to its end. `make` gets the frame stack and returns the Task.
  template <class Make>
  Status run(Make&& make) {
    Task<Status> task = make(frames_);
    if (!task.has_frame()) return Status::again;
    finished_ = false;
    Ready at_end;
    at_end.context = this;
    at_end.run = [](Ready& ready) { static_cast<OfflineHost*>(ready.context)->finished_ = true; };
    task.start(executor_, at_end);
    drive();
    return task.result();
  }

  [[nodiscard]] Executor& executor() { return executor_; }
  // The errno of the last I/O that failed, 0 when none did.
  [[nodiscard]] int last_error() const { return last_error_; }

  void submit(DeviceIo& io) override;
  void submit_batch(std::span<DeviceIo* const> batch) override;
  u64 now_ns() override;
  void wake_at(u64 deadline_ns) override;
  void after_grace(GraceWork& work) override;
  i64 epoch_in_flight(u32 slot) override;
  void* allocate(std::size_t bytes, std::size_t alignment) override;
  void release(void* memory, std::size_t bytes) override;
  void request_pages(u32 count) override;
  void random(std::span<std::byte> out) override;
  void event(const Event& event) override;
  void poison(const void* memory, std::size_t bytes) override;
  void unpoison(const void* memory, std::size_t bytes) override;

 private:
  static constexpr std::size_t kFrameBytes = std::size_t{64} * 1024;

  void drive();
  [[nodiscard]] int transfer(const DeviceIo& io);

  std::vector<const OfflineDisk*> members_;
  Executor executor_;
  alignas(16) std::array<std::byte, kFrameBytes> frame_memory_{};
  FrameStack frames_;
  Fifo<DeviceIo> completed_;
  Fifo<GraceWork> grace_;
  int last_error_ = 0;
  bool finished_ = false;
};

}  // namespace dmr::cli

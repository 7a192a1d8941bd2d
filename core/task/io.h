// SPDX-License-Identifier: GPL-2.0-or-later
// Awaiting device I/O and grace periods: co_await device_io(...) yields the IoStatus.
#pragma once

#include <span>

#include "core/host/host.h"
#include "core/task/executor.h"

namespace dmr {

// One I/O. `io` belongs to the operation until this has been resumed.
struct IoAwait {
  Host& host;
  Executor& executor;
  DeviceIo& io;
  Ready node{};

  [[nodiscard]] bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) noexcept {
    node.set_resume(handle);
    io.context = this;
    io.status = IoStatus::ok;
    io.done = [](DeviceIo& done) {
      auto* self = static_cast<IoAwait*>(done.context);
      self->executor.post(self->node);
    };
    host.submit(io);
  }
  [[nodiscard]] IoStatus await_resume() const noexcept { return io.status; }
};

// Several I/Os at once; resumed when all have completed. Each carries its own status.
struct IoBatchAwait {
  Host& host;
  Executor& executor;
  std::span<DeviceIo* const> batch;
  u32 pending = 0;
  Ready node{};

  [[nodiscard]] bool await_ready() const noexcept { return batch.empty(); }
  void await_suspend(std::coroutine_handle<> handle) noexcept {
    node.set_resume(handle);
    pending = static_cast<u32>(batch.size());
    for (DeviceIo* io : batch) {
      io->context = this;
      io->status = IoStatus::ok;
      io->done = [](DeviceIo& done) {
        auto* self = static_cast<IoBatchAwait*>(done.context);
        if (--self->pending == 0) self->executor.post(self->node);
      };
    }
    host.submit_batch(batch);
  }
  void await_resume() const noexcept {}
};

struct GraceAwait {
  Host& host;
  Executor& executor;
  GraceWork work{};
  Ready node{};

  [[nodiscard]] bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) noexcept {
    node.set_resume(handle);
    work.context = this;
    work.done = [](GraceWork& done) {
      auto* self = static_cast<GraceAwait*>(done.context);
      self->executor.post(self->node);
    };
    host.after_grace(work);
  }
  void await_resume() const noexcept {}
};

}  // namespace dmr

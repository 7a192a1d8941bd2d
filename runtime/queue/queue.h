// SPDX-License-Identifier: GPL-2.0-or-later
// The hot path of a user-space volume: one queue, with its own io_uring, for each thread of an
// export. Requests are routed and submitted in batches; no lock, no allocation a request.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "core/base/types.h"
#include "core/host/host.h"

namespace dmr::runtime {

class UserVolume;

// One request of an export. The export owns it until `done`, which runs on the queue's thread,
// from submit() or process(). `data` must stay valid until then; sectors and addresses are whole
// logical blocks of the volume.
struct QueueRequest {
  QueueRequest* next = nullptr;
  IoOp op = IoOp::read;
  bool fua = false;
  Sector sector;
  u32 sectors = 0;             // 0 with flush; any length otherwise, the queue cuts it
  std::byte* data = nullptr;   // read, write; aligned to the volume's logical block
  int error = 0;               // result: 0, EIO, ENOSPC, EROFS, EINVAL, ESHUTDOWN
  Sector bad_sector;           // result of a failed read or write: the first sector that failed
  void (*done)(QueueRequest&) = nullptr;
  void* context = nullptr;
  std::byte internal[192];     // the queue's own state of this request
};

// Used by one thread. Each loop of that thread calls process(), which is also its quiescent point.
class Queue {
 public:
  virtual ~Queue() = default;
  // Starts the requests: routes them together and gives the ring one submission.
  virtual void submit(std::span<QueueRequest* const> batch) = 0;
  // Handles completions and messages from the executor; when `wait`, blocks until there is at least one event
  // (a completion, a message, readiness of the watched descriptor, or wake()). Returns requests completed.
  virtual unsigned process(bool wait) = 0;
  // Lets process(wait) also return when this descriptor is readable (an export's socket); -1: none.
  virtual void watch(int fd) = 0;
  [[nodiscard]] virtual bool watched_readable() = 0;  // and clears it
  // From any thread: process(wait) returns.
  virtual void wake() = 0;
  [[nodiscard]] virtual unsigned in_flight() const = 0;
};

}  // namespace dmr::runtime

// SPDX-License-Identifier: GPL-2.0-or-later
// The hot path of a user-space volume: one queue, with its own io_uring, for each thread of an
// export. Requests are routed and submitted in batches; no lock, no allocation a request.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "core/base/types.h"
#include "core/host/host.h"
#include "core/task/flush_client.h"

namespace dmr::runtime {

class UserVolume;

// One request of an export. The export owns it until `done`, which runs on the queue's thread,
// from submit() or process(), and may give the request back to submit() for another use.
// `data` must stay valid until then; sectors and addresses are whole logical blocks of the volume.
struct QueueRequest {
  QueueRequest* next = nullptr;
  IoOp op = IoOp::read;
  bool fua = false;         // write
  bool then_flush = false;  // write_zeroes, discard: durable, as all before it, when it is done
  Sector sector;
  u32 sectors = 0;                // 0 with flush (else nothing is done); the queue cuts any length
  std::byte* data = nullptr;      // read, write; aligned to the volume's logical block
  FlushClient* client = nullptr;  // who asks for a flush or change; null: the queue's one client
  FlushClient::Answer answer = FlushClient::Answer::counts;  // of a flush
  int error = 0;      // result: 0, EIO, ENOSPC, EROFS, EINVAL, ESHUTDOWN
  Sector bad_sector;  // result of a failed read or write: the first sector that failed
  void (*done)(QueueRequest&) = nullptr;
  void* context = nullptr;
  alignas(8) std::byte internal[192];  // the queue's own state of this request
};

// One client, unless its requests name theirs (FlushClient): when the queue ends, so has the
// client. Used by one thread, the first that submits or processes; destroyed by it, with nothing in
// flight. Requests of one queue run side by side: no order is kept but FLUSH after what has been
// answered.
class Queue {
 public:
  virtual ~Queue() = default;
  // Starts the requests: routes them together and gives the ring one submission for each 16. What a
  // device answers at once is completed (`done`) before this returns. Not called from `done`
  // recursively without bound: a submit() inside `done` only queues, the outer call goes on with
  // it.
  virtual void submit(std::span<QueueRequest* const> batch) = 0;
  // Handles completions and messages from the executor; when `wait`, blocks until there is at least
  // one event (a completion, a message, readiness of the watched descriptor, or wake()). Returns
  // the requests completed.
  virtual unsigned process(bool wait) = 0;
  // Lets process(wait) also return when this descriptor is readable (an export's socket), now or
  // later: level-triggered, asked again at each process(true). -1: none.
  virtual void watch(int fd) = 0;
  [[nodiscard]] virtual bool watched_readable() = 0;  // and clears it
  // From any thread: process(true), the present or the next one, returns.
  virtual void wake() = 0;
  // The client has read the answers to its flushes so far. One that never does is taken to have
  // missed the error that a refused flush was answered with.
  virtual void answers_received() = 0;
  [[nodiscard]] virtual unsigned in_flight() const = 0;  // requests submitted and not yet done
  // Memory that the requests' `data` will lie in, known to the ring beforehand so that pages are
  // not pinned at each I/O. Before the first submit(); false when the kernel refuses, which harms
  // nothing.
  virtual bool register_memory(std::span<std::byte> memory) = 0;
};

}  // namespace dmr::runtime

// SPDX-License-Identifier: GPL-2.0-or-later
// One thread that reads requests of the kernel from its own clone of /dev/fuse and gives them in
// batches to its own queue; replies go out when the queue is done with them.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <fuse3/fuse_lowlevel.h>

#include "core/base/types.h"
#include "exports/fuse/limits.h"
#include "exports/source/source.h"
#include "runtime/device/file_descriptor.h"

namespace dmr::fuse {

class Worker {
 public:
  // `device` is a clone of the session's descriptor (or itself), not blocking.
  [[nodiscard]] static runtime::Expected<std::unique_ptr<Worker>> make(fuse_session* session,
                                                                       exports::Source& source,
                                                                       int device);
  ~Worker();  // after stop() or the mount's end
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void run();  // starts the thread
  // Finishes what is under way; what comes now is answered with ESHUTDOWN.
  void stop();
  void join();

  // ---- for the operations, on this thread ----
  [[nodiscard]] static Worker& current();
  [[nodiscard]] static int current_device();
  // Hands the request that is being processed to the queue. `data` of a write lies in it; a read
  // gets its memory behind the headers.
  void start_read(fuse_req_t request, u64 offset, u32 bytes);
  // `client` is who opened the file, and stays until the answer.
  void start_write(fuse_req_t request, u64 offset, const char* data, u32 bytes, bool fua,
                   FlushClient& client);
  void start_zeroing(fuse_req_t request, u64 offset, u64 bytes, FlushClient& client);
  void start_flush(fuse_req_t request, FlushClient& client, FlushClient::Answer answer);
  [[nodiscard]] bool stopping() const { return stopping_.load(std::memory_order_acquire); }

 private:
  struct Slot {
    runtime::QueueRequest request;
    fuse_req_t fuse = nullptr;
    std::byte* memory = nullptr;  // kSlotBytes
    Slot* next = nullptr;
  };

  Worker(fuse_session* session, int device) : session_(session), device_(device) {}
  [[nodiscard]] bool allocate();
  void loop();
  [[nodiscard]] unsigned read_requests();
  [[nodiscard]] bool read_request();
  runtime::QueueRequest& start(fuse_req_t request, IoOp op, u64 offset, u64 bytes, std::byte* data);
  static void done(runtime::QueueRequest& request);
  static void reply(Slot& slot);

  fuse_session* session_;
  const int device_;
  std::mutex queue_mutex_;                 // of stop(), and of the end of the queue
  std::unique_ptr<runtime::Queue> queue_;  // used, and destroyed, on the thread
  std::byte* memory_ = nullptr;
  std::vector<Slot> slots_;
  Slot* free_ = nullptr;
  Slot* reading_ = nullptr;  // the slot of the request being processed, until it is started
  std::array<runtime::QueueRequest*, kMaxBatch> batch_{};
  unsigned batched_ = 0;
  unsigned under_way_ = 0;
  bool unmounted_ = false;
  bool maybe_readable_ = true;
  unsigned lone_rounds_ = 0;  // to come
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace dmr::fuse

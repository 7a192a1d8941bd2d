// SPDX-License-Identifier: GPL-2.0-or-later
// The loop between /dev/fuse and the queue.
#include "exports/fuse/worker.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <unistd.h>
#include <utility>

#include "core/base/assert.h"

namespace dmr::fuse {

namespace {

// After a request that came alone, this many rounds do not look for a second one before waiting:
// a program that waits for each answer is spared a vain read() each time.
constexpr unsigned kLoneRounds = 4;

thread_local Worker* current_worker = nullptr;
thread_local int current_worker_device = -1;

}  // namespace

runtime::Expected<std::unique_ptr<Worker>> Worker::make(fuse_session* session,
                                                        exports::Source& source, int device) {
  std::unique_ptr<Worker> worker(new Worker(session, device));
  auto queue = source.make_queue();
  if (!queue) return std::unexpected(queue.error());
  worker->queue_ = std::move(*queue);
  if (!worker->allocate()) return runtime::fail("no memory for the FUSE export");
  return worker;
}

bool Worker::allocate() {
  void* memory = mmap(nullptr, kSlots * kSlotBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return false;
  memory_ = static_cast<std::byte*>(memory);
  slots_ = std::vector<Slot>(kSlots);
  for (unsigned i = kSlots; i > 0; --i) {
    Slot& slot = slots_[i - 1];
    slot.memory = memory_ + (i - 1) * kSlotBytes;
    slot.next = free_;
    free_ = &slot;
  }
  return true;
}

Worker::~Worker() {
  join();
  if (memory_ != nullptr) munmap(memory_, kSlots * kSlotBytes);
}

void Worker::run() {
  thread_ = std::thread([this] { loop(); });
}

void Worker::stop() {
  stopping_.store(true, std::memory_order_release);
  const std::lock_guard lock(queue_mutex_);
  if (queue_ != nullptr) queue_->wake();
}

void Worker::join() {
  if (thread_.joinable()) thread_.join();
}

Worker& Worker::current() {
  DMR_ASSERT(current_worker != nullptr);
  return *current_worker;
}

int Worker::current_device() { return current_worker_device; }

void Worker::loop() {
  current_worker = this;
  current_worker_device = device_;
  while (!unmounted_) {
    bool progress = queue_->process(false) > 0;
    if (maybe_readable_ || stopping()) progress |= read_requests() > 0;
    if (progress) continue;
    if (stopping() && under_way_ == 0) break;
    queue_->watch(free_ != nullptr && !stopping() ? device_ : -1);
    queue_->process(true);
    if (queue_->watched_readable()) maybe_readable_ = true;
    if (lone_rounds_ > 0) --lone_rounds_;
  }
  queue_->watch(-1);
  while (under_way_ > 0) queue_->process(true);
  const std::lock_guard lock(queue_mutex_);
  queue_.reset();
}

// Returns how many requests were read.
unsigned Worker::read_requests() {
  unsigned count = 0;
  while (count < kMaxBatch && free_ != nullptr && read_request()) {
    ++count;
    if (lone_rounds_ > 0) {  // a second one is not expected
      maybe_readable_ = false;
      break;
    }
  }
  if (count == 1 && !maybe_readable_ && lone_rounds_ == 0) lone_rounds_ = kLoneRounds;
  if (batched_ > 0) {
    const unsigned batched = std::exchange(batched_, 0);
    queue_->submit(std::span(batch_).first(batched));
  }
  return count;
}

bool Worker::read_request() {
  Slot& slot = *free_;
  std::byte* const at = slot.memory + kPageBytes - kHeaderBytes;
  const ssize_t count = read(device_, at, kHeaderBytes + kMaxTransferBytes);
  if (count < 0) {
    // ENOENT: the request was interrupted before it was read.
    if (errno == EINTR || errno == ENOENT) return true;
    maybe_readable_ = false;
    unmounted_ = errno != EAGAIN;
    return false;
  }
  reading_ = &slot;
  free_ = slot.next;
  fuse_buf buffer{};
  buffer.size = static_cast<std::size_t>(count);
  buffer.mem = at;
  fuse_session_process_buf(session_, &buffer);
  if (reading_ != nullptr) {  // answered already
    reading_->next = free_;
    free_ = std::exchange(reading_, nullptr);
  }
  return true;
}

// It is submitted when this round's requests have been read.
runtime::QueueRequest& Worker::start(fuse_req_t request, IoOp op, u64 offset, u64 bytes,
                                     std::byte* data) {
  DMR_ASSERT(reading_ != nullptr && batched_ < batch_.size());
  Slot& slot = *std::exchange(reading_, nullptr);
  slot.fuse = request;
  slot.request.op = op;
  slot.request.fua = false;
  slot.request.client = nullptr;
  slot.request.sector = Sector(offset >> kSectorShift);
  slot.request.sectors = static_cast<u32>(bytes >> kSectorShift);
  slot.request.data = data;
  slot.request.done = done;
  slot.request.context = &slot;
  ++under_way_;
  batch_[batched_++] = &slot.request;
  return slot.request;
}

void Worker::start_read(fuse_req_t request, u64 offset, u32 bytes) {
  DMR_ASSERT(bytes <= kMaxTransferBytes);
  start(request, IoOp::read, offset, bytes, reading_->memory + kPageBytes);
}

void Worker::start_write(fuse_req_t request, u64 offset, const char* data, u32 bytes, bool fua,
                         FlushClient& client) {
  DMR_ASSERT(bytes <= kMaxTransferBytes);
  // Where a kernel's headers were of another size the data has to be brought into place.
  std::byte* const aligned = reading_->memory + kPageBytes;
  if (reinterpret_cast<const std::byte*>(data) != aligned) std::memmove(aligned, data, bytes);
  runtime::QueueRequest& write = start(request, IoOp::write, offset, bytes, aligned);
  write.fua = fua;
  write.client = &client;
}

void Worker::start_zeroing(fuse_req_t request, u64 offset, u64 bytes, FlushClient& client) {
  start(request, IoOp::write_zeroes, offset, bytes, nullptr).client = &client;
}

void Worker::start_flush(fuse_req_t request, FlushClient& client, FlushClient::Answer answer) {
  runtime::QueueRequest& flush = start(request, IoOp::flush, 0, 0, nullptr);
  flush.client = &client;
  flush.answer = answer;
}

void Worker::done(runtime::QueueRequest& request) {
  Slot& slot = *static_cast<Slot*>(request.context);
  Worker& self = current();
  reply(slot);
  slot.next = self.free_;
  self.free_ = &slot;
  --self.under_way_;
}

void Worker::reply(Slot& slot) {
  const runtime::QueueRequest& request = slot.request;
  const std::size_t bytes = std::size_t{request.sectors} << kSectorShift;
  // Before the reply: the client may be gone with it.
  if (request.op == IoOp::flush) request.client->answered();
  if (request.error != 0 || (request.op != IoOp::read && request.op != IoOp::write)) {
    fuse_reply_err(slot.fuse, request.error);
  } else if (request.op == IoOp::write) {
    fuse_reply_write(slot.fuse, bytes);
  } else {
    fuse_reply_buf(slot.fuse, reinterpret_cast<const char*>(request.data), bytes);
  }
}

}  // namespace dmr::fuse

// SPDX-License-Identifier: GPL-2.0-or-later
// I/O, grace periods and memory for the engine, on the executor.
#include "runtime/volume/user_host.h"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "core/base/crc32c.h"
#include "runtime/device/errno_status.h"
#include "runtime/volume/memory_payload.h"
#include "support/machine_crc32c.h"

#if defined(__SANITIZE_ADDRESS__)
#define DMR_POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define DMR_POISONS 1
#endif
#endif
#ifdef DMR_POISONS
#include <sanitizer/asan_interface.h>
#endif

namespace dmr::runtime {

Expected<std::unique_ptr<UserHost>> UserHost::create(std::span<Device* const> devices,
                                                     EventLog& events) {
  use_crc32c(crc32c_of_this_machine());
  std::unique_ptr<UserHost> host(new UserHost(events));
  auto queue = DeviceQueue::create(devices);
  if (!queue) return std::unexpected(queue.error());
  host->queue_ = std::move(*queue);
  host->flights_ = std::make_unique<std::array<Flight, kOps>>();
  for (Flight& flight : *host->flights_) {
    flight.host = host.get();
    flight.op.context = &flight;
    flight.op.done = &UserHost::landed;
    flight.next = std::exchange(host->free_flights_, &flight);
  }
  return host;
}

// ---- device I/O ----

void UserHost::submit(DeviceIo& io) {
  waiting_.push_back(io);
  start_waiting();
}

void UserHost::submit_batch(std::span<DeviceIo* const> batch) {
  for (DeviceIo* io : batch) waiting_.push_back(*io);
  start_waiting();
}

void UserHost::start_waiting() {
  while (free_flights_ != nullptr) {
    DeviceIo* io = waiting_.pop_front();
    if (io == nullptr) return;
    Flight& flight = *free_flights_;
    free_flights_ = flight.next;
    take_off(flight, *io);
  }
}

void UserHost::take_off(Flight& flight, DeviceIo& io) {
  flight.io = &io;
  flight.started_ns = monotonic_ns();
  io.host_word[0] = &flight;
  DeviceOp& op = flight.op;
  op.member = io.member;
  op.op = io.op;
  op.fua = io.fua;
  op.offset = io.sector.value * kSectorBytes;
  op.length = u64{io.sectors} * kSectorBytes;
  op.data = io.buffer;
  if (io.buffer == nullptr && io.payload != nullptr) {
    op.data = static_cast<MemoryPayload*>(io.payload)->at(io.payload_offset);
  }
  queue_->start(op);
}

void UserHost::landed(DeviceOp& op) {
  auto& flight = *static_cast<Flight*>(op.context);
  UserHost& host = *flight.host;
  DeviceIo& io = *flight.io;
  io.status = io_status_of(op.error);
  io.elapsed_ns = monotonic_ns() - flight.started_ns;
  io.host_word[0] = nullptr;
  flight.io = nullptr;
  flight.next = std::exchange(host.free_flights_, &flight);
  io.done(io);  // only posts to the engine's executor
  host.start_waiting();
}

// ---- the loop ----

bool UserHost::step() {
  const bool io = queue_->run() != 0;
  const bool pages = give_pages();
  const bool grace = step_grace();
  return io || pages || grace;
}

void UserHost::wait() {
  queue_->run_and_wait(wait_timeout());
  step_grace();
}

u64 UserHost::wait_timeout() const {
  if (!grace_next_.empty()) return grace_now_.empty() ? 0 : kGracePollNs;
  u64 timeout = grace_now_.empty() ? DeviceQueue::kNoTimeout : kGracePollNs;
  if (pages_wanted_ > 0) timeout = std::min(timeout, kMemoryPollNs);
  if (deadline_ns_ != kNoDeadline) {
    const u64 now = monotonic_ns();
    timeout = std::min(timeout, deadline_ns_ > now ? deadline_ns_ - now : 0);
  }
  return timeout;
}

void UserHost::drive(Executor& executor, const bool& finished) {
  while (!finished) {
    const bool more = executor.run();
    if (finished || more) continue;
    if (!step() && executor.idle()) wait();
  }
}

bool UserHost::take_timer() {
  if (deadline_ns_ == kNoDeadline || monotonic_ns() < deadline_ns_) return false;
  deadline_ns_ = kNoDeadline;
  return true;
}

void UserHost::wake_at(u64 deadline_ns) { deadline_ns_ = std::min(deadline_ns_, deadline_ns); }

// ---- grace periods ----

bool UserHost::add_queue(QueueShared& queue) {
  if (count_ == kMaxQueues) return false;
  queues_[count_] = &queue;
  seen_[count_] = 0;  // it cannot have looked anything up before the present round began
  ++count_;
  return true;
}

void UserHost::remove_queue(QueueShared& queue) {
  const auto end = queues_.begin() + static_cast<std::ptrdiff_t>(count_);
  const auto at = std::find(queues_.begin(), end, &queue);
  DMR_ASSERT(at != end);
  const auto index = static_cast<std::size_t>(at - queues_.begin());
  --count_;
  queues_[index] = queues_[count_];
  seen_[index] = seen_[count_];
}

void UserHost::after_grace(GraceWork& work) { grace_next_.push_back(work); }

void UserHost::begin_round() {
  while (GraceWork* work = grace_next_.pop_front()) grace_now_.push_back(*work);
  for (std::size_t i = 0; i < count_; ++i) {
    const u64 value = queues_[i]->section.look();
    seen_[i] = ReadSection::open(value) ? value : 0;
  }
}

bool UserHost::step_grace() {
  if (grace_now_.empty()) {
    if (grace_next_.empty()) [[likely]]
      return false;
    begin_round();
  }
  for (std::size_t i = 0; i < count_; ++i) {
    if (seen_[i] == 0) continue;
    if (queues_[i]->section.look() == seen_[i]) return false;
    seen_[i] = 0;
  }
  Fifo<GraceWork> ended = std::exchange(grace_now_, {});
  while (GraceWork* work = ended.pop_front()) work->done(*work);
  return true;
}

i64 UserHost::epoch_in_flight(u32 slot) {
  i64 sum = 0;
  for (std::size_t i = 0; i < count_; ++i) sum += queues_[i]->epochs.read(slot);
  return sum;
}

// ---- memory ----

void* UserHost::allocate(std::size_t bytes, std::size_t alignment) {
  const std::size_t align = std::max(alignment, alignof(std::max_align_t));
  const std::size_t rounded = (bytes + align - 1) / align * align;
  void* memory = std::aligned_alloc(align, rounded);
  if (memory != nullptr) std::memset(memory, 0, rounded);
  return memory;
}

void UserHost::release(void* memory, std::size_t bytes) {
  if (bytes == kIndexPageBytes && index_pages_.give_back(memory)) return;
  std::free(memory);
}

void UserHost::request_pages(u32 count) {
  pages_wanted_ += count;
  give_pages();
}

// True when at least one was given. What cannot be allocated is tried again after a while.
bool UserHost::give_pages() {
  bool given = false;
  while (pages_wanted_ > 0 && page_taker_ != nullptr) {
    void* page = index_pages_.take();
    if (page == nullptr) break;
    --pages_wanted_;
    given = true;
    page_taker_(page_context_, page);
  }
  return given;
}

void UserHost::poison([[maybe_unused]] const void* memory, [[maybe_unused]] std::size_t bytes) {
#ifdef DMR_POISONS
  ASAN_POISON_MEMORY_REGION(memory, bytes);
#endif
}

void UserHost::unpoison([[maybe_unused]] const void* memory, [[maybe_unused]] std::size_t bytes) {
#ifdef DMR_POISONS
  ASAN_UNPOISON_MEMORY_REGION(memory, bytes);
#endif
}

// ---- the rest ----

void UserHost::random(std::span<std::byte> out) {
  while (!out.empty()) {
    const ssize_t got = ::getrandom(out.data(), out.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    DMR_ASSERT(got > 0);
    out = out.subspan(static_cast<std::size_t>(got));
  }
}

}  // namespace dmr::runtime

// SPDX-License-Identifier: GPL-2.0-or-later
// Requests complete in process(), as they do with a real queue.
#include "exports/testing/memory_volume.h"

#include <sys/eventfd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <poll.h>

#include "core/base/assert.h"
#include "runtime/device/file_descriptor.h"

namespace dmr::exports::testing {

class MemoryQueue final : public runtime::Queue {
 public:
  explicit MemoryQueue(MemoryVolume& volume)
      : volume_(volume), client_(volume.clients_, volume.refusals_) {}
  ~MemoryQueue() override {
    DMR_ASSERT(waiting_.empty());
    const std::lock_guard lock(volume_.mutex_);
    volume_.live_.erase(this);
  }

  void submit(std::span<runtime::QueueRequest* const> batch) override {
    ++volume_.submits;
    waiting_.insert(waiting_.end(), batch.begin(), batch.end());
    const std::lock_guard lock(volume_.mutex_);
    if (!volume_.holding_) return;
    volume_.held_ += static_cast<unsigned>(batch.size());
    volume_.held_changed_.notify_all();
  }

  unsigned process(bool wait) override {
    const unsigned completed = complete();
    if (completed > 0 || !wait) return completed;
    std::array<pollfd, 2> polled = {pollfd{wake_.get(), POLLIN, 0}, pollfd{watched_, POLLIN, 0}};
    while (poll(polled.data(), polled.size(), -1) < 0 && errno == EINTR) {
    }
    if (polled[0].revents != 0) {
      eventfd_t value = 0;
      eventfd_read(wake_.get(), &value);
    }
    readable_ = readable_ || polled[1].revents != 0;
    return complete();
  }

  void watch(int fd) override { watched_ = fd; }
  bool watched_readable() override { return std::exchange(readable_, false); }
  void wake() override { eventfd_write(wake_.get(), 1); }
  void answers_received() override { client_.answered(); }
  unsigned in_flight() const override { return static_cast<unsigned>(waiting_.size()); }
  bool register_memory(std::span<std::byte>) override { return true; }

 private:
  unsigned complete() {
    {
      const std::lock_guard lock(volume_.mutex_);
      if (volume_.holding_) return 0;
    }
    unsigned count = 0;
    while (!waiting_.empty()) {
      runtime::QueueRequest* request = waiting_.front();
      waiting_.pop_front();
      FlushClient& client = request->client != nullptr ? *request->client : client_;
      volume_.execute(*request, client);
      const bool changes = request->op != IoOp::read && request->op != IoOp::flush;
      if (changes && request->error == 0) client.wrote();
      request->done(*request);
      ++count;
    }
    return count;
  }

  MemoryVolume& volume_;
  runtime::ConnectedClient client_;
  runtime::FileDescriptor wake_{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  std::deque<runtime::QueueRequest*> waiting_;
  int watched_ = -1;
  bool readable_ = false;
};

MemoryVolume::MemoryVolume(u64 sectors) : data(sectors * kSectorBytes) {}

runtime::Expected<std::unique_ptr<runtime::Queue>> MemoryVolume::make_queue() {
  if (fail_queues) return runtime::fail("no ring");
  ++queues;
  auto queue = std::make_unique<MemoryQueue>(*this);
  const std::lock_guard lock(mutex_);
  live_.insert(queue.get());
  return queue;
}

void MemoryVolume::hold() {
  const std::lock_guard lock(mutex_);
  holding_ = true;
  held_ = 0;
}

void MemoryVolume::release() {
  const std::lock_guard lock(mutex_);
  holding_ = false;
  for (runtime::Queue* queue : live_) queue->wake();
}

void MemoryVolume::wait_for_held(unsigned count) {
  std::unique_lock lock(mutex_);
  held_changed_.wait(lock, [&] { return held_ >= count; });
}

std::vector<std::byte> MemoryVolume::content(u64 offset, u64 bytes) {
  const std::lock_guard lock(mutex_);
  const auto at = data.begin() + static_cast<std::ptrdiff_t>(offset);
  return {at, at + static_cast<std::ptrdiff_t>(bytes)};
}

void MemoryVolume::put(u64 offset, std::byte value) {
  const std::lock_guard lock(mutex_);
  data[offset] = value;
}

void MemoryVolume::execute(runtime::QueueRequest& request, FlushClient& client) {
  ++requests;
  const std::lock_guard lock(mutex_);
  const u64 begin = request.sector.value * kSectorBytes;
  const u64 bytes = u64{request.sectors} * kSectorBytes;
  DMR_ASSERT(begin + bytes <= data.size());
  request.error = 0;
  if ((begin | bytes | reinterpret_cast<std::uintptr_t>(request.data)) % logical_block != 0) {
    ++misaligned;
  }
  switch (request.op) {
    case IoOp::read:
      return transfer(request, bad_reads_, EIO);
    case IoOp::write:
      ++writes;
      if (request.fua) ++fua_writes;
      return transfer(request, bad_writes_, write_error_);
    case IoOp::flush:
      return flush(request, client);
    case IoOp::discard:
      ++discards;
      if (!discard_supported) request.error = EOPNOTSUPP;
      break;
    case IoOp::write_zeroes:
      ++zeroings;
      if (!zeroes_supported) {
        request.error = EOPNOTSUPP;
      } else {
        std::memset(data.data() + begin, 0, bytes);
      }
      break;
  }
  if (request.then_flush && request.error == 0) flush(request, client);
}

void MemoryVolume::flush(runtime::QueueRequest& request, FlushClient& client) {
  ++flushes;
  if (!client.end(client.begin(), refusals_, true, request.answer)) request.error = EIO;
}

void MemoryVolume::transfer(runtime::QueueRequest& request, const std::set<u64>& bad, int error) {
  const auto first_bad = bad.lower_bound(request.sector.value);
  u64 sectors = request.sectors;
  if (first_bad != bad.end() && *first_bad < request.sector.value + sectors) {
    request.error = error;
    request.bad_sector = Sector(*first_bad);
    sectors = *first_bad - request.sector.value;
  }
  std::byte* at = data.data() + request.sector.value * kSectorBytes;
  if (request.op == IoOp::read) {
    std::memcpy(request.data, at, sectors * kSectorBytes);
  } else {
    std::memcpy(at, request.data, sectors * kSectorBytes);
  }
}

}  // namespace dmr::exports::testing

// SPDX-License-Identifier: GPL-2.0-or-later
// Blocking I/O under the engine, one step after the other.
#include "cli/metadata/offline_host.h"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "runtime/device/errno_status.h"

namespace dmr::cli {

OfflineHost::OfflineHost(std::vector<const OfflineDisk*> members) : members_(std::move(members)) {
  DMR_ASSERT(members_.size() <= kMaxMembers);
  frames_.init(*this, frame_memory_.data(), frame_memory_.size());
}

int OfflineHost::transfer(const DeviceIo& io) {
  const OfflineDisk* const device = io.member < members_.size() ? members_[io.member] : nullptr;
  if (device == nullptr) return ENODEV;
  const u64 offset = io.sector.value * kSectorBytes;
  const std::size_t bytes = std::size_t{io.sectors} * kSectorBytes;
  switch (io.op) {
    case IoOp::read:
      DMR_ASSERT(io.buffer != nullptr);
      return device->read(offset, {io.buffer, bytes});
    case IoOp::write: {
      DMR_ASSERT(io.buffer != nullptr);  // metadata is never written as mere zeros
      const int error = device->write(offset, {io.buffer, bytes});
      return error == 0 && io.fua ? device->flush() : error;
    }
    case IoOp::flush:
      return device->flush();
    case IoOp::discard:
    case IoOp::write_zeroes:
      return EOPNOTSUPP;  // metadata is never discarded
  }
  return EINVAL;
}

void OfflineHost::submit(DeviceIo& io) {
  const u64 begin_ns = now_ns();
  const int error = transfer(io);
  if (error != 0) last_error_ = error;
  io.elapsed_ns = now_ns() - begin_ns;
  io.status = runtime::io_status_of(error);
  completed_.push_back(io);
}

void OfflineHost::submit_batch(std::span<DeviceIo* const> batch) {
  for (DeviceIo* io : batch) submit(*io);
}

void OfflineHost::drive() {
  while (!finished_) {
    bool progress = false;
    if (DeviceIo* io = completed_.pop_front()) {
      io->done(*io);
      progress = true;
    }
    if (GraceWork* work = grace_.pop_front()) {
      work->done(*work);
      progress = true;
    }
    progress = !executor_.idle() || progress;
    executor_.run();
    DMR_ASSERT(progress || finished_);  // else the task waits for something that cannot come
  }
}

u64 OfflineHost::now_ns() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<u64>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

void OfflineHost::wake_at(u64 /*deadline_ns*/) {}

void OfflineHost::after_grace(GraceWork& work) {
  grace_.push_back(work);
}  // nobody looks anything up

i64 OfflineHost::epoch_in_flight(u32 /*slot*/) { return 0; }

void* OfflineHost::allocate(std::size_t bytes, std::size_t alignment) {
  const std::size_t align = std::max(alignment, alignof(std::max_align_t));
  const std::size_t size = (bytes + align - 1) / align * align;
  void* const memory = std::aligned_alloc(align, size);
  if (memory != nullptr) std::memset(memory, 0, size);
  return memory;
}

void OfflineHost::release(void* memory, std::size_t /*bytes*/) { std::free(memory); }

void OfflineHost::request_pages(u32 /*count*/) {}  // pages are the index's, which is not here

void OfflineHost::random(std::span<std::byte> out) {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = getrandom(out.data() + done, out.size() - done, 0);
    if (got < 0 && errno == EINTR) continue;
    DMR_ASSERT(got > 0);  // from Linux 3.17 on it does not fail otherwise
    done += static_cast<std::size_t>(got);
  }
}

void OfflineHost::event(const Event& /*event*/) {}  // findings and the status tell it all
void OfflineHost::poison(const void* /*memory*/, std::size_t /*bytes*/) {}
void OfflineHost::unpoison(const void* /*memory*/, std::size_t /*bytes*/) {}

}  // namespace dmr::cli

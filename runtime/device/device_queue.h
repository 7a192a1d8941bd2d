// SPDX-License-Identifier: GPL-2.0-or-later
// Device I/O of one thread: an io_uring over all members of a volume. What is started is handed to
// the kernel together, by one system call; decorated devices are served in software by the way.
#pragma once

#include <array>
#include <atomic>
#include <liburing.h>
#include <memory>
#include <span>

#include "core/base/list.h"
#include "runtime/device/device.h"

namespace dmr::runtime {

// Belongs to the queue from start() until `done`, which may start it (or others) again.
struct DeviceOp {
  DeviceOp* next = nullptr;
  void (*done)(DeviceOp&) = nullptr;
  void* context = nullptr;  // the caller's
  Member member = kMain;
  IoOp op = IoOp::read;
  bool fua = false;
  u64 offset = 0;  // bytes, as `length`: whole logical blocks
  u64 length = 0;
  std::byte* data = nullptr;  // null in a write: zeros
  int error = 0;              // result: 0 or a positive errno

  // The queue's own.
  enum class Way : u8 { ring, ring_inline, ring_range };
  Way way = Way::ring;
  u16 interrupts = 0;
  u64 moved = 0;       // bytes of a read or write that are done
  u64 due_ns = 0;      // of a decorated device's slow answer
  bool again = false;  // it has not begun yet
};

[[nodiscard]] u64 monotonic_ns();

// Used by one thread, but for wake(). Makes no allocation after create().
class DeviceQueue {
 public:
  static constexpr unsigned kDefaultDepth = 256;
  static constexpr u64 kNoTimeout = ~u64{0};

  // `devices` by member number; null where one is missing (its I/O fails with ENODEV). At most
  // `depth` operations are with the kernel at once, more wait here.
  static Expected<std::unique_ptr<DeviceQueue>> create(std::span<Device* const> devices,
                                                       unsigned depth = kDefaultDepth);
  DeviceQueue(const DeviceQueue&) = delete;
  DeviceQueue& operator=(const DeviceQueue&) = delete;
  ~DeviceQueue();  // nothing is in flight

  // Takes the operation; never calls `done`.
  void start(DeviceOp& op);

  // Hands over what was started, with one system call at most, and calls `done` for what has
  // completed. Returns the number of those.
  unsigned run();
  // The same, but waits until something has completed, the watched descriptor is readable, wake()
  // was called or `timeout_ns` has passed. The caller has called prepare_sleep() and found nothing
  // to do since.
  unsigned run_and_wait(u64 timeout_ns = kNoTimeout);

  // After this, wake() interrupts the next run_and_wait().
  void prepare_sleep() { sleeping_.store(true, std::memory_order_seq_cst); }
  void cancel_sleep() { sleeping_.store(false, std::memory_order_relaxed); }
  // Any thread, after it has made visible what the sleeper shall find.
  void wake();

  // One descriptor whose readability ends a wait; -1 for none.
  void watch(int fd);
  [[nodiscard]] bool take_readable() { return std::exchange(readable_, false); }

  bool register_memory(std::span<std::byte> memory);

  // Operations that the next run() would hand over.
  [[nodiscard]] bool has_unsubmitted() const {
    return io_uring_sq_ready(&ring_) != 0 || !to_layers_.empty();
  }
  [[nodiscard]] unsigned in_flight() const { return in_flight_; }
  [[nodiscard]] u64 system_calls() const { return system_calls_; }  // io_uring_enter

 private:
  static constexpr unsigned kOwnEntries = 8;  // of the rings: wake-up, watch, spare
  static constexpr u16 kMaxInterrupts = 1000;

  DeviceQueue() = default;
  Expected<void> open(std::span<Device* const> devices, unsigned depth);
  [[nodiscard]] int open_ring(unsigned entries);
  void enable();
  io_uring_sqe* take_sqe();
  void feed_ring();
  bool prepare(DeviceOp& op);
  void prepare_transfer(io_uring_sqe& sqe, DeviceOp& op) const;
  void prepare_range(io_uring_sqe& sqe, const DeviceOp& op) const;
  void choose_way(DeviceOp& op) const;
  void run_layers();
  void collect_due();
  unsigned reap();
  void on_cqe(const io_uring_cqe& cqe);
  void on_result(DeviceOp& op, int result);
  unsigned deliver();
  void arm();
  void enter(bool wait, u64 timeout_ns);
  [[nodiscard]] u64 nearest_due() const;

  io_uring ring_{};
  bool ring_open_ = false;
  bool enabled_ = false;
  unsigned depth_ = 0;
  unsigned in_ring_ = 0;    // operations with the kernel
  unsigned in_flight_ = 0;  // started and not delivered
  std::array<Device*, kMaxMembers> devices_{};
  std::array<bool, kMaxMembers> no_range_{};  // cannot zero ranges
  Fifo<DeviceOp> to_ring_;
  Fifo<DeviceOp> to_layers_;
  Fifo<DeviceOp> completed_;
  Fifo<DeviceOp> delayed_;
  std::span<std::byte> registered_;
  u64 system_calls_ = 0;

  FileDescriptor wake_fd_;
  bool wake_armed_ = false;
  int watched_fd_ = -1;
  u64 watch_tag_ = 3;  // of the entry that watches it, armed or last
  bool watch_armed_ = false;
  bool readable_ = false;
  alignas(64) std::atomic<bool> sleeping_{false};
};

}  // namespace dmr::runtime

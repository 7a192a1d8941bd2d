// SPDX-License-Identifier: GPL-2.0-or-later
// The ring itself: entries out, completions in, what the kernel left undone started again.
#include "runtime/device/device_queue.h"

#include <linux/falloc.h>
#include <sys/eventfd.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <poll.h>

#include "runtime/device/zeros.h"

namespace dmr::runtime {
namespace {

// user_data of the ring's own entries are odd; those of operations are pointers. Each watch has a
// new tag (5, 7, ...), so that the end of an old one is told apart.
constexpr u64 kWakeTag = 1;
constexpr u64 kCancelTag = 3;

// Fixed files: member m at m, its inline descriptor behind all of them.
constexpr unsigned kFiles = 2 * kMaxMembers;

constexpr u64 kMaxTransferBytes = u64{1} << 30;  // of one entry; more goes on as after a short one

}  // namespace

u64 monotonic_ns() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<u64>(time.tv_sec) * 1'000'000'000 + static_cast<u64>(time.tv_nsec);
}

Expected<std::unique_ptr<DeviceQueue>> DeviceQueue::create(std::span<Device* const> devices,
                                                           unsigned depth) {
  std::unique_ptr<DeviceQueue> queue(new DeviceQueue);
  if (auto opened = queue->open(devices, depth); !opened) return std::unexpected(opened.error());
  return queue;
}

Expected<void> DeviceQueue::open(std::span<Device* const> devices, unsigned depth) {
  DMR_ASSERT(devices.size() <= kMaxMembers && depth > 0);
  depth_ = depth;
  std::copy(devices.begin(), devices.end(), devices_.begin());
  if (const int error = open_ring(depth + kOwnEntries); error != 0) {
    return fail_errno("io_uring cannot be set up", error);
  }
  ring_open_ = true;
  std::array<int, kFiles> files{};
  files.fill(-1);
  for (unsigned m = 0; m < devices.size(); ++m) {
    if (devices[m] == nullptr) continue;
    files[m] = devices[m]->fd();
    files[kMaxMembers + m] = devices[m]->inline_fd();
  }
  if (const int error = io_uring_register_files(&ring_, files.data(), kFiles); error < 0) {
    return fail_errno("io_uring does not take the devices", -error);
  }
  wake_fd_ = FileDescriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_fd_.valid()) return fail_errno("eventfd", errno);
  return {};
}

// The best set-up that the kernel has: completions handled by the owner alone and only when it asks
// (6.1), without interrupting it (5.19), or plainly.
int DeviceQueue::open_ring(unsigned entries) {
  constexpr unsigned kSetups[] = {
      IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
          IORING_SETUP_R_DISABLED | IORING_SETUP_SUBMIT_ALL,
      IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL, 0};
  int error = 0;
  for (const unsigned flags : kSetups) {
    io_uring_params params{};
    params.flags = flags;
    error = -io_uring_queue_init_params(entries, &ring_, &params);
    enabled_ = (flags & IORING_SETUP_R_DISABLED) == 0;
    if (error != EINVAL) break;
  }
  return error;
}

DeviceQueue::~DeviceQueue() {
  DMR_ASSERT(in_flight_ == 0);
  if (!ring_open_) return;
  // The kernel takes a ring apart later; the files, their locks and claims must be free now.
  if (enabled_) watch(-1);
  io_uring_unregister_files(&ring_);
  io_uring_queue_exit(&ring_);
}

// A ring of one issuer belongs to the thread that enables it: the first one that uses the queue.
void DeviceQueue::enable() {
  if (enabled_) [[likely]]
    return;
  enabled_ = true;
  // io_uring_enable_rings() is declared by liburing 2.3, but not in its library.
  const int error = io_uring_register(static_cast<unsigned>(ring_.ring_fd),
                                      IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
  DMR_ASSERT(error >= 0);
}

bool DeviceQueue::register_memory(std::span<std::byte> memory) {
  DMR_ASSERT(in_flight_ == 0 && registered_.empty());
  const iovec whole{memory.data(), memory.size()};
  if (io_uring_register_buffers(&ring_, &whole, 1) != 0) return false;
  registered_ = memory;
  return true;
}

void DeviceQueue::wake() {
  if (!sleeping_.load(std::memory_order_seq_cst)) return;
  const u64 one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_fd_.get(), &one, sizeof one);
}

void DeviceQueue::start(DeviceOp& op) {
  DMR_ASSERT(op.member < kMaxMembers && op.done != nullptr);
  op.error = 0;
  op.moved = 0;
  op.interrupts = 0;
  ++in_flight_;
  Device* device = devices_[op.member];
  if (device == nullptr) {
    op.error = ENODEV;
    completed_.push_back(op);
  } else if (device->layers() != nullptr) {
    to_layers_.push_back(op);
  } else {
    choose_way(op);
    if (!to_ring_.empty() || !prepare(op)) to_ring_.push_back(op);
  }
}

void DeviceQueue::choose_way(DeviceOp& op) const {
  const bool transfer = op.op == IoOp::read || op.op == IoOp::write;
  // Small zeroes are written: a range operation always goes through a kernel thread.
  const bool zeroes =
      op.op == IoOp::write_zeroes && (op.fua || op.length <= kZeroBytes || no_range_[op.member]);
  if (op.op == IoOp::discard || (op.op == IoOp::write_zeroes && !zeroes)) {
    op.way = DeviceOp::Way::ring_range;
  } else if ((transfer || zeroes) && devices_[op.member]->inline_fd() >= 0) {
    op.way = DeviceOp::Way::ring_inline;
  } else {
    op.way = DeviceOp::Way::ring;
  }
}

io_uring_sqe* DeviceQueue::take_sqe() {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  DMR_ASSERT(sqe != nullptr);  // in_ring_ and the own entries are bounded by the ring's size
  return sqe;
}

// False when as many operations as are allowed are with the kernel.
bool DeviceQueue::prepare(DeviceOp& op) {
  if (in_ring_ == depth_) return false;
  ++in_ring_;
  io_uring_sqe& sqe = *take_sqe();
  if (op.op == IoOp::flush) {
    io_uring_prep_fsync(&sqe, op.member, IORING_FSYNC_DATASYNC);
  } else if (op.way == DeviceOp::Way::ring_range) {
    prepare_range(sqe, op);
  } else {
    prepare_transfer(sqe, op);
  }
  sqe.flags |= IOSQE_FIXED_FILE;
  io_uring_sqe_set_data(&sqe, &op);
  return true;
}

void DeviceQueue::prepare_transfer(io_uring_sqe& sqe, DeviceOp& op) const {
  const int file =
      op.way == DeviceOp::Way::ring_inline ? static_cast<int>(kMaxMembers) + op.member : op.member;
  const u64 offset = op.offset + op.moved;
  const u64 left = std::min(op.length - op.moved, kMaxTransferBytes);
  const bool zeros = op.data == nullptr || op.op == IoOp::write_zeroes;
  std::byte* data = zeros ? zero_bytes() : op.data + op.moved;
  const auto length = static_cast<unsigned>(zeros ? std::min<u64>(left, kZeroBytes) : left);
  const bool fixed = data >= registered_.data() && length <= registered_.size() &&
                     data <= registered_.data() + registered_.size() - length;
  if (op.op == IoOp::read) {
    if (fixed) {
      io_uring_prep_read_fixed(&sqe, file, data, length, offset, 0);
    } else {
      io_uring_prep_read(&sqe, file, data, length, offset);
    }
    return;
  }
  if (fixed) {
    io_uring_prep_write_fixed(&sqe, file, data, length, offset, 0);
  } else {
    io_uring_prep_write(&sqe, file, data, length, offset);
  }
  if (op.fua) sqe.rw_flags = RWF_DSYNC;
}

void DeviceQueue::prepare_range(io_uring_sqe& sqe, const DeviceOp& op) const {
  const int mode = op.op == IoOp::discard ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE;
  io_uring_prep_fallocate(&sqe, op.member, mode | FALLOC_FL_KEEP_SIZE,
                          static_cast<off_t>(op.offset), static_cast<off_t>(op.length));
}

// Gives waiting operations their turn.
void DeviceQueue::feed_ring() {
  while (DeviceOp* op = to_ring_.front()) {
    if (!prepare(*op)) return;
    [[maybe_unused]] DeviceOp* taken = to_ring_.pop_front();
  }
}

void DeviceQueue::run_layers() {
  // Only those that wait now: `done` is not called here, so no more can come in the meantime.
  while (DeviceOp* op = to_layers_.pop_front()) {
    const LayerResult result = devices_[op->member]->layers()->run({.op = op->op,
                                                                    .fua = op->fua,
                                                                    .offset = op->offset,
                                                                    .length = op->length,
                                                                    .data = op->data});
    op->error = result.error;
    op->again = result.again;
    if (result.delay_ms == 0) {
      completed_.push_back(*op);
    } else {
      op->due_ns = monotonic_ns() + result.delay_ms * 1'000'000;
      delayed_.push_back(*op);
    }
  }
}

void DeviceQueue::collect_due() {
  if (delayed_.empty()) [[likely]]
    return;
  const u64 now = monotonic_ns();
  for (u32 left = delayed_.size(); left > 0; --left) {
    DeviceOp* op = delayed_.pop_front();
    Fifo<DeviceOp>& due = op->again ? to_layers_ : completed_;
    (op->due_ns <= now ? due : delayed_).push_back(*op);
  }
}

u64 DeviceQueue::nearest_due() const {
  u64 nearest = kNoTimeout;
  for (const DeviceOp* op = delayed_.front(); op != nullptr; op = op->next) {
    nearest = std::min(nearest, op->due_ns);
  }
  return nearest;
}

void DeviceQueue::watch(int fd) {
  if (fd == watched_fd_) return;
  watched_fd_ = fd;
  readable_ = false;
  if (!watch_armed_) return;
  watch_armed_ = false;
  io_uring_sqe* sqe = take_sqe();
  io_uring_prep_cancel64(sqe, watch_tag_, 0);
  io_uring_sqe_set_data64(sqe, kCancelTag);
  enter(false, 0);
}

// Entries that end a wait: one-shot, armed again when they have fired.
void DeviceQueue::arm() {
  if (!wake_armed_) {
    wake_armed_ = true;
    io_uring_sqe* sqe = take_sqe();
    io_uring_prep_poll_add(sqe, wake_fd_.get(), POLLIN);
    io_uring_sqe_set_data64(sqe, kWakeTag);
  }
  if (!watch_armed_ && watched_fd_ >= 0) {
    watch_armed_ = true;
    io_uring_sqe* sqe = take_sqe();
    io_uring_prep_poll_add(sqe, watched_fd_, POLLIN | POLLRDHUP);
    watch_tag_ += 2;
    io_uring_sqe_set_data64(sqe, watch_tag_);
  }
}

void DeviceQueue::enter(bool wait, u64 timeout_ns) {
  enable();
  ++system_calls_;
  if (!wait) {
    (void)io_uring_submit_and_get_events(&ring_);
  } else if (timeout_ns == kNoTimeout) {
    (void)io_uring_submit_and_wait(&ring_, 1);
  } else {
    io_uring_cqe* unused = nullptr;
    __kernel_timespec timeout{};
    timeout.tv_sec = static_cast<i64>(timeout_ns / 1'000'000'000);
    timeout.tv_nsec = static_cast<i64>(timeout_ns % 1'000'000'000);
    (void)io_uring_submit_and_wait_timeout(&ring_, &unused, 1, &timeout, nullptr);
  }
}

unsigned DeviceQueue::run() {
  run_layers();
  collect_due();
  const bool to_submit = io_uring_sq_ready(&ring_) != 0;
  const bool deferred = (IO_URING_READ_ONCE(*ring_.sq.kflags) & IORING_SQ_TASKRUN) != 0;
  if (to_submit || deferred) enter(false, 0);
  reap();
  return deliver();
}

unsigned DeviceQueue::run_and_wait(u64 timeout_ns) {
  // In this order: what is run again is then waited for by its time, if it is put off once more.
  collect_due();
  run_layers();
  u64 timeout = timeout_ns;
  if (!delayed_.empty()) {
    const u64 due = nearest_due();
    const u64 now = monotonic_ns();
    timeout = std::min(timeout, due > now ? due - now : 0);
  }
  arm();
  enter(completed_.empty() && timeout != 0, timeout);
  cancel_sleep();
  reap();
  collect_due();
  return deliver();
}

unsigned DeviceQueue::reap() {
  unsigned count = 0;
  unsigned head = 0;
  io_uring_cqe* cqe = nullptr;
  io_uring_for_each_cqe(&ring_, head, cqe) {
    on_cqe(*cqe);
    ++count;
  }
  io_uring_cq_advance(&ring_, count);
  feed_ring();
  return count;
}

void DeviceQueue::on_cqe(const io_uring_cqe& cqe) {
  const u64 tag = io_uring_cqe_get_data64(&cqe);
  if (tag == kWakeTag) {
    wake_armed_ = false;
    u64 count = 0;
    [[maybe_unused]] const ssize_t taken = ::read(wake_fd_.get(), &count, sizeof count);
  } else if ((tag & 1U) != 0) {
    if (tag != watch_tag_ || !watch_armed_) return;  // a cancellation, or what it cancelled
    watch_armed_ = false;
    readable_ = true;
  } else {
    --in_ring_;
    on_result(*reinterpret_cast<DeviceOp*>(tag), cqe.res);
  }
}

void DeviceQueue::on_result(DeviceOp& op, int result) {
  bool again = false;
  if ((result == -EAGAIN || result == -EOPNOTSUPP) && op.way == DeviceOp::Way::ring_inline) {
    op.way = DeviceOp::Way::ring;  // the kernel would have to wait for something: let it
    again = true;
  } else if (result == -EINTR && ++op.interrupts < kMaxInterrupts) {
    again = true;
  } else if (result == -EOPNOTSUPP && op.op == IoOp::write_zeroes &&
             op.way == DeviceOp::Way::ring_range) {
    no_range_[op.member] = true;
    choose_way(op);
    again = true;
  } else if (result < 0) {
    op.error = -result;
  } else if (op.op != IoOp::flush && op.way != DeviceOp::Way::ring_range) {
    op.moved += static_cast<u64>(result);
    if (result == 0) op.error = EIO;  // the file has become shorter
    again = op.error == 0 && op.moved < op.length;
  }
  (again ? to_ring_ : completed_).push_back(op);
}

unsigned DeviceQueue::deliver() {
  unsigned count = 0;
  // Only what has completed by now: `done` may start operations that fail at once.
  for (u32 left = completed_.size(); left > 0; --left) {
    DeviceOp* op = completed_.pop_front();
    --in_flight_;
    ++count;
    op->done(*op);
  }
  return count;
}

}  // namespace dmr::runtime

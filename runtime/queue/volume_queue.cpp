// SPDX-License-Identifier: GPL-2.0-or-later
// The cycle of a queue: begin what was submitted, give the ring one submission, take what came
// back, tell the export.
#include "runtime/queue/volume_queue.h"

#include <cerrno>
#include <new>

namespace dmr::runtime {

Expected<std::unique_ptr<VolumeQueue>> VolumeQueue::create(QueueOwner& owner,
                                                           std::span<Device* const> devices) {
  std::unique_ptr<VolumeQueue> queue(new VolumeQueue(owner));
  auto device_queue = DeviceQueue::create(devices);
  if (!device_queue) return std::unexpected(device_queue.error());
  queue->devices_ = std::move(*device_queue);
  queue->pieces_ = std::make_unique<std::array<Piece, kMaxPieces>>();
  for (Piece& piece : *queue->pieces_) {
    piece.queue = queue.get();
    piece.op.context = &piece;
    piece.op.done = &VolumeQueue::device_done;
    piece.next_free = std::exchange(queue->free_, &piece);
  }
  queue->free_count_ = kMaxPieces;
  auto shared = std::make_unique<QueueShared>();
  if (!owner.attach(*shared)) return runtime::fail("the volume has too many queues");
  queue->shared_ = std::move(shared);
  return queue;
}

VolumeQueue::~VolumeQueue() {
  DMR_ASSERT(in_flight_ == 0 && free_count_ == (pieces_ == nullptr ? 0 : kMaxPieces));
  if (shared_ != nullptr) owner_.detach(*shared_);
}

VolumeQueue::State& VolumeQueue::state_of(QueueRequest& request) {
  return *std::launder(reinterpret_cast<State*>(request.internal));
}

void VolumeQueue::enter_section() {
  if (in_section_) return;
  in_section_ = true;
  shared_->section.enter();
}

void VolumeQueue::leave_section() {
  if (!in_section_) return;
  in_section_ = false;
  shared_->section.leave();
}

void VolumeQueue::submit(std::span<QueueRequest* const> batch) {
  for (QueueRequest* request : batch) admit(*request);
  if (busy_) return;
  busy_ = true;
  go_on(true);
  busy_ = false;
}

unsigned VolumeQueue::process(bool wait) {
  DMR_ASSERT(!busy_);
  busy_ = true;
  mailbox_.run_all();
  resume_stalled();
  leave_section();
  const bool to_do = !backlog_.empty() || !finished_.empty();
  bool waited = false;
  if (wait && !to_do) {
    devices_->prepare_sleep();
    if (mailbox_.empty() && !wake_asked_.load(std::memory_order_seq_cst)) {
      devices_->run_and_wait();
      waited = true;
    } else {
      devices_->cancel_sleep();
    }
    mailbox_.run_all();
    resume_stalled();
  }
  wake_asked_.exchange(false, std::memory_order_acq_rel);
  const unsigned completed = go_on(!waited);
  busy_ = false;
  return completed;
}

void VolumeQueue::wake() {
  wake_asked_.store(true, std::memory_order_seq_cst);
  devices_->wake();
}

// Begins, runs and delivers, until nothing more comes at once.
unsigned VolumeQueue::go_on(bool run_devices) {
  unsigned completed = 0;
  for (unsigned round = 0; round < kMaxRounds; ++round) {
    const bool begun = !backlog_.empty();
    if (begun) start_backlog();
    leave_section();
    if (run_devices || begun || devices_->has_unsubmitted()) devices_->run();
    resume_stalled();
    leave_section();
    run_devices = false;
    completed += deliver();
    if (backlog_.empty() && !devices_->has_unsubmitted()) break;
  }
  return completed;
}

void VolumeQueue::admit(QueueRequest& request) {
  DMR_ASSERT(request.done != nullptr);
  request.error = 0;
  request.bad_sector = request.sector;
  ++in_flight_;
  backlog_.push_back(request);
}

// Whether the request needs to be routed; others are finished already, or are flushes under way.
bool VolumeQueue::begin(QueueRequest& request) {
  State& state = *::new (static_cast<void*>(request.internal)) State{};
  if (request.op == IoOp::flush) {
    state.flush = client_of(request).begin();
    begin_flush(request);
    return false;
  }
  if (request.then_flush) state.flush = client_of(request).begin();
  const u32 unit = volume_.unit_sectors();
  const Geometry& geometry = volume_.geometry();
  const bool data = request.op == IoOp::read || request.op == IoOp::write;
  if (!geometry.contains(request.sector, request.sectors) || request.sector.value % unit != 0 ||
      request.sectors % unit != 0 || (data && request.data == nullptr)) {
    request.error = request.sectors == 0 ? 0 : EINVAL;
  } else if (request.op != IoOp::read && !volume_.writable()) {
    request.error = EROFS;
  } else {
    state.next = request.sector;
    state.left = request.sectors;
    return true;
  }
  finished_.push_back(request);
  return false;
}

void VolumeQueue::start_backlog() {
  now_ns_ = monotonic_ns();
  std::array<QueueRequest*, kRouteBatch> batch;
  std::size_t count = 0;
  while (QueueRequest* request = backlog_.pop_front()) {
    if (!begin(*request)) continue;
    batch[count++] = request;
    if (count == batch.size()) {
      route_first(batch);
      count = 0;
    }
  }
  if (count > 0) route_first(std::span(batch).first(count));
}

void VolumeQueue::finish_if_done(QueueRequest& request) {
  const State& state = state_of(request);
  if (state.pieces != 0 || state.left != 0) return;
  if (request.then_flush && !state.flushing && request.error == 0) return begin_flush(request);
  if (state.flushing) tell_refusals(request);
  if (request.error != 0) request.bad_sector = state.bad;
  finished_.push_back(request);
}

void VolumeQueue::begin_flush(QueueRequest& request) {
  state_of(request).flushing = true;
  if (stalled_.empty() && start_flush(request)) {
    finish_if_done(request);  // a ticket may be empty
  } else {
    stalled_.push_back(request);
  }
}

// A flush that any member refused, for whomever, may have cost this client data, too.
void VolumeQueue::tell_refusals(QueueRequest& request) {
  const bool well = client_of(request).end(state_of(request).flush, volume_.flush_refusals(),
                                           request.error == 0, request.answer);
  if (!well && request.error == 0) fail(request, Sector{}, EIO);
}

unsigned VolumeQueue::deliver() {
  unsigned count = 0;
  while (QueueRequest* request = finished_.pop_front()) {
    count_finished(*request);
    DMR_ASSERT(in_flight_ > 0);
    --in_flight_;
    ++count;
    request->done(*request);  // may be gone, or in the backlog again, after this
  }
  return count;
}

void VolumeQueue::count_failed(QueueStatistics& statistics, IoOp op) {
  statistics.errors.add(1);
  if (op == IoOp::read) statistics.failed_reads.add(1);
  if (is_write(op)) statistics.failed_writes.add(1);
}

void VolumeQueue::count_finished(QueueRequest& request) {
  QueueStatistics& statistics = shared_->statistics;
  const u64 bytes = u64{request.sectors} * kSectorBytes;
  const bool good = request.error == 0;
  if (!good) [[unlikely]]
    count_failed(statistics, request.op);
  const bool changes = is_write(request.op) || request.op == IoOp::discard;
  if (good && changes && !state_of(request).flushing) client_of(request).wrote();
  if (state_of(request).flushing) statistics.flushes.add(1);
  switch (request.op) {
    case IoOp::read:
      statistics.reads.add(1);
      if (good) statistics.read_bytes.add(bytes);
      break;
    case IoOp::write:
      statistics.writes.add(1);
      if (good) statistics.write_bytes.add(bytes);
      break;
    case IoOp::flush:
      break;
    case IoOp::discard:
      statistics.discards.add(1);
      break;
    case IoOp::write_zeroes:
      statistics.write_zeroes.add(1);
      break;
  }
}

}  // namespace dmr::runtime

// SPDX-License-Identifier: GPL-2.0-or-later
// From pieces back to requests: what the devices and the executor answered is joined.
#include <cerrno>

#include "runtime/device/errno_status.h"
#include "runtime/queue/volume_queue.h"

namespace dmr::runtime {

VolumeQueue::Piece* VolumeQueue::take_piece(QueueRequest& request, Sector sector, u32 sectors) {
  Piece* piece = free_;
  DMR_ASSERT(piece != nullptr);
  free_ = piece->next_free;
  --free_count_;
  ++state_of(request).pieces;
  piece->owner = &request;
  piece->sector = sector;
  piece->sectors = sectors;
  piece->status = IoStatus::ok;
  return piece;
}

// The request may be finished by this.
void VolumeQueue::release(Piece& piece) {
  QueueRequest& request = *piece.owner;
  piece.owner = nullptr;
  piece.next_free = std::exchange(free_, &piece);
  ++free_count_;
  State& state = state_of(request);
  DMR_ASSERT(state.pieces > 0);
  --state.pieces;
  finish_if_done(request);
}

// The error of the lowest sector is the request's.
void VolumeQueue::fail(QueueRequest& request, Sector sector, int error) {
  State& state = state_of(request);
  if (request.error != 0 && state.bad <= sector) return;
  request.error = error;
  state.bad = sector;
}

void VolumeQueue::device_done(DeviceOp& op) {
  auto& piece = *static_cast<Piece*>(op.context);
  if (op.op == IoOp::flush) {
    piece.queue->on_flush_done(piece);
  } else {
    piece.queue->on_device_done(piece);
  }
}

void VolumeQueue::on_device_done(Piece& piece) {
  const DeviceOp& op = piece.op;
  const bool write = is_write(op.op);
  if (write && op.member != kMain) {
    if (op.error == 0) {
      volume_.spare_written(op.member);
    } else {
      volume_.spare_write_failed(op.member, Sector(op.offset / kSectorBytes), piece.sectors,
                                 io_status_of(op.error));
    }
  }
  leave_epoch(piece.slot);
  if (op.error == 0 || op.op == IoOp::discard) [[likely]] {  // a discard is a hint
    release(piece);
    return;
  }
  piece.status = io_status_of(op.error);
  start_executor(piece);
}

// The piece is outside its epoch. Held, lost and failed ones come here.
void VolumeQueue::start_executor(Piece& piece) {
  shared_->statistics.slow_pieces.add(1);
  const QueueRequest& owner = *piece.owner;
  piece.payload = MemoryPayload(owner.data);
  Request& request = piece.request;
  request = Request{};
  request.op = owner.op;
  request.fua = owner.fua;
  request.error = piece.status;
  request.elapsed_ns = piece.status == IoStatus::ok ? 0 : monotonic_ns() - piece.started_ns;
  request.sector = piece.sector;
  request.sectors = piece.sectors;
  if (owner.op == IoOp::read || owner.op == IoOp::write) {
    request.payload = &piece.payload;
    request.payload_offset = (piece.sector - owner.sector) * kSectorBytes;
  }
  request.done = &VolumeQueue::executor_done;
  request.context = &piece;
  piece.message = {.next = nullptr, .run = &VolumeQueue::run_on_executor, .context = &piece};
  owner_.post(piece.message);
}

void VolumeQueue::run_on_executor(Message& message) {
  auto& piece = *static_cast<Piece*>(message.context);
  piece.queue->volume_.submit(piece.request);
}

void VolumeQueue::executor_done(Request& request) {
  auto& piece = *static_cast<Piece*>(request.context);
  piece.queue->post_back(piece, &VolumeQueue::back_on_queue);
}

// On the executor. The queue outlives its pieces, and so the wake-up.
void VolumeQueue::post_back(Piece& piece, void (*run)(Message&)) {
  piece.message = {.next = nullptr, .run = run, .context = &piece};
  mailbox_.post(piece.message);
  devices_->wake();
}

void VolumeQueue::back_on_queue(Message& message) {
  auto& piece = *static_cast<Piece*>(message.context);
  const Request& request = piece.request;
  if (request.status != Status::ok) {
    const bool inside =
        request.bad_sector >= piece.sector && request.bad_sector < piece.sector + piece.sectors;
    piece.queue->fail(*piece.owner, inside ? request.bad_sector : piece.sector,
                      request_errno_of(request.status));
  }
  piece.queue->release(piece);
}

void VolumeQueue::on_flush_done(Piece& piece) {
  const Member member = piece.op.member;
  if (piece.op.error == 0) {
    const bool alone = volume_.flush_member_ok(state_of(*piece.owner).ticket, member);
    if (volume_.flush_awaited(member)) post_check_drains();
    if (alone) {
      release(piece);
    } else {
      await_other_flushes(piece);
    }
    return;
  }
  piece.status = io_status_of(piece.op.error);
  volume_.note_flush_refused(state_of(*piece.owner).ticket, member);
  if (volume_.flush_awaited(member)) post_check_drains();
  fail(*piece.owner, Sector{}, EIO);
  // The engine knows before the caller does.
  piece.message = {.next = nullptr, .run = &VolumeQueue::report_flush, .context = &piece};
  owner_.post(piece.message);
}

// Another client's flush of this member is under way; were it refused, it might have dropped what
// this one was to make durable. The answer waits until the engine knows.
void VolumeQueue::await_other_flushes(Piece& piece) {
  Request& request = piece.request;
  request = Request{};
  request.op = IoOp::flush;
  request.member = piece.op.member;
  request.done = &VolumeQueue::executor_done;
  request.context = &piece;
  piece.message = {.next = nullptr, .run = &VolumeQueue::run_on_executor, .context = &piece};
  owner_.post(piece.message);
}

void VolumeQueue::report_flush(Message& message) {
  auto& piece = *static_cast<Piece*>(message.context);
  piece.queue->volume_.flush_failed(piece.op.member, piece.status);
  piece.queue->post_back(piece, &VolumeQueue::flush_reported);
}

void VolumeQueue::flush_reported(Message& message) {
  auto& piece = *static_cast<Piece*>(message.context);
  piece.queue->release(piece);
}

}  // namespace dmr::runtime

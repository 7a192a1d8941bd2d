// SPDX-License-Identifier: GPL-2.0-or-later
// From requests to pieces: each piece enters its epoch and is routed inside one read section.
#include <algorithm>
#include <cerrno>

#include "runtime/queue/volume_queue.h"

namespace dmr::runtime {

// The first pieces of a batch together, then the rest of those that have more.
void VolumeQueue::route_first(std::span<QueueRequest* const> batch) {
  std::array<Extent, kRouteBatch> extents;
  std::array<Route, kRouteBatch> routes;
  std::array<u32, kRouteBatch> slots{};
  u32 writes = 0;
  if (free_count_ < batch.size() || !stalled_.empty()) {
    for (QueueRequest* request : batch) stalled_.push_back(*request);
    return;
  }
  enter_section();
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const QueueRequest& request = *batch[i];
    extents[i] = {request.sector, std::min(request.sectors, kMaxRequestSectors)};
    if (is_write(request.op)) writes |= 1U << i;
    slots[i] = volume_.epoch_slot(request.sector);
    shared_->epochs.enter(slots[i]);
  }
  volume_.route_batch(std::span(extents).first(batch.size()), writes,
                      std::span(routes).first(batch.size()));
  for (std::size_t i = 0; i < batch.size(); ++i) {
    place(*batch[i], routes[i], slots[i]);
  }
  for (QueueRequest* request : batch) {
    State& state = state_of(*request);
    if (state.left == 0 && state.pieces != 0) [[likely]]
      continue;
    if (route_rest(*request)) {
      finish_if_done(*request);
    } else {
      stalled_.push_back(*request);
    }
  }
}

// False when the pieces have run out: the request waits for some.
bool VolumeQueue::route_rest(QueueRequest& request) {
  State& state = state_of(request);
  while (state.left > 0) {
    if (free_count_ == 0) return false;
    enter_section();
    const u32 slot = volume_.epoch_slot(state.next);
    shared_->epochs.enter(slot);
    const Route route =
        volume_.route(state.next, std::min(state.left, kMaxRequestSectors), is_write(request.op));
    place(request, route, slot);
  }
  return true;
}

// Sends the piece where it has to go; it is in epoch `slot`, and there is a free Piece.
void VolumeQueue::place(QueueRequest& request, const Route& route, u32 slot) {
  State& state = state_of(request);
  const Sector sector = state.next;
  DMR_ASSERT(route.sectors > 0 && route.sectors <= state.left);
  state.next = sector + route.sectors;
  state.left -= route.sectors;
  const bool discard = request.op == IoOp::discard;
  if (volume_.is_direct(route, request.op, request.fua)) {
    start_device(*take_piece(request, sector, route.sectors), route, slot);
    return;
  }
  leave_epoch(slot);
  if (is_write(request.op) || route.kind == RouteKind::held) {
    start_executor(*take_piece(request, sector, route.sectors));
  } else if (!discard) {
    fail(request, sector, EIO);  // lost, or its member is gone
  }
}

void VolumeQueue::start_device(Piece& piece, const Route& route, u32 slot) {
  shared_->statistics.fast_pieces.add(1);
  const QueueRequest& request = *piece.owner;
  piece.slot = slot;
  piece.started_ns = now_ns_;
  DeviceOp& op = piece.op;
  op.member = route.member;
  op.op = request.op;
  op.fua = request.fua && is_write(request.op);
  op.offset = route.sector.value * kSectorBytes;
  op.length = u64{piece.sectors} * kSectorBytes;
  op.data = request.data == nullptr ? nullptr
                                    : request.data + (piece.sector - request.sector) * kSectorBytes;
  devices_->start(op);
}

// FLUSH goes to each member of its ticket. The engine waits for every flush that has begun before
// it builds on one of its own, and the pieces may be with the engine: so a flush begins only when
// it can be sent at once. False when the pieces have run out.
bool VolumeQueue::start_flush(QueueRequest& request) {
  if (free_count_ < kMaxMembers) return false;
  State& state = state_of(request);
  DMR_ASSERT(state.ticket.members == 0 && state.pieces == 0);
  state.ticket = volume_.flush_begin();
  for (Member m = 0; m < kMaxMembers; ++m) {
    if ((state.ticket.members >> m & 1U) == 0) continue;
    DeviceOp& op = take_piece(request, Sector{}, 0)->op;
    op.member = m;
    op.op = IoOp::flush;
    op.fua = false;
    op.offset = 0;
    op.length = 0;
    op.data = nullptr;
    devices_->start(op);
  }
  return true;
}

// Requests that waited for pieces, in their order.
void VolumeQueue::resume_stalled() {
  if (stalled_.empty()) [[likely]]
    return;
  now_ns_ = monotonic_ns();
  while (QueueRequest* request = stalled_.front()) {
    const bool all = state_of(*request).flushing ? start_flush(*request) : route_rest(*request);
    if (!all) return;
    [[maybe_unused]] QueueRequest* first = stalled_.pop_front();
    finish_if_done(*request);
  }
}

void VolumeQueue::leave_epoch(u32 slot) {
  enter_section();
  shared_->epochs.leave(slot);
  if (!volume_.drain_pending(slot)) [[likely]]
    return;
  post_check_drains();
}

void VolumeQueue::post_check_drains() {
  if (drain_posted_.exchange(true, std::memory_order_acq_rel)) return;
  drain_message_ = {.next = nullptr, .run = &VolumeQueue::run_check_drains, .context = this};
  owner_.post(drain_message_);
}

void VolumeQueue::run_check_drains(Message& message) {
  auto& queue = *static_cast<VolumeQueue*>(message.context);
  // Before the look: a leave after this asks again.
  queue.drain_posted_.exchange(false, std::memory_order_acq_rel);
  queue.volume_.check_drains();
}

}  // namespace dmr::runtime

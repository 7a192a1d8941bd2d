// SPDX-License-Identifier: GPL-2.0-or-later
// The frame around recovery: locks, holds, the plain second try, and the answer.
#include "core/volume/recovery.h"

#include "core/volume/drainer.h"

namespace dmr {

namespace {
// One lock and one hold cover at most this many blocks of a request.
constexpr u32 kSpanBlocks = 512;
static_assert(kSpanBlocks <= kMaxHoldBlocks);
}  // namespace

Task<Status> Recovery::serve(FrameStack& frames, WorkItem& item) {
  const Sector begin = item.request->sector;
  const Sector end = begin + item.request->sectors;
  Status status = Status::ok;
  for (Sector at = begin; at < end && status == Status::ok && item.request != nullptr;) {
    const Block first = state_.geometry.block_of(at);
    const Sector limit = state_.geometry.first_sector(first + kSpanBlocks);
    const Sector stop = limit < end ? limit : end;
    const Block last = state_.geometry.block_of(stop - 1);
#ifdef DMR_DELIBERATE_BUGS
    item.early_home = home_of(state_, first);
    item.early_block = first;
#endif
    // Not granted: answered at its deadline, and whoever has the range salvages it.
    if (!co_await state_.locks.acquire(item.lock, first, last + 1)) break;
    status = co_await serve_span(frames, item, Span{at, static_cast<u32>(stop - at)});
    state_.locks.release(item.lock, state_.executor);
    at = stop;
  }
  if (item.request != nullptr) answer(item, status, item.bad_sector);
  co_return status;
}

Task<Status> Recovery::serve_span(FrameStack& frames, WorkItem& item, Span span) {
  const bool reads = item.op == IoOp::read;
  if (!reads && !state_.writable.load(std::memory_order_acquire)) co_return Status::read_only;
  if (!item.failed) {
    const Status status = co_await pass_through(frames, item, span);
    if (status != Status::again) co_return status;
    item.failed = true;
    item.tools.failed_at_ns = state_.host.now_ns();
  }
  const Block first = state_.geometry.block_of(span.begin);
  const Block last = state_.geometry.block_of(span.begin + span.sectors - 1);
  const Result<HoldId> hold =
      co_await hold_blocks(frames, state_, first, static_cast<u32>(last - first) + 1);
  if (!hold.has_value()) co_return hold.status();
  const Status status = reads ? co_await recover_read(frames, item, span)
                              : co_await recover_write(frames, item, span);
  release_hold(state_, *hold);
  co_return status;
}

// The request as the hot path would have sent it. `again`: something needs recovery.
Task<Status> Recovery::pass_through(FrameStack& frames, WorkItem& item, Span span) {
  DeviceIo& io = *item.tools.io[0];
  const Sector end = span.begin + span.sectors;
  for (Sector at = span.begin; at < end;) {
    if (item.request == nullptr) co_return Status::io_error;  // answered at its deadline
    // The lock keeps everybody else from holding a block of this range.
    const Route route = state_.index.route(at, static_cast<u32>(end - at));
    DMR_ASSERT(route.kind != RouteKind::held);
    const bool on_device =
        route.kind == RouteKind::device && state_.readable(route.member) &&
        (item.op == IoOp::read || route.member == kMain || state_.takes_data(route.member));
    if (item.op == IoOp::discard) {
      if (on_device && route.member == kMain) {
        prepare(io, IoOp::discard, {kMain, route.sector, route.sectors}, nullptr);
        (void)co_await run_io(state_, io);  // a hint: how it ends does not matter
      }
      at = at + route.sectors;
      continue;
    }
    if (!on_device && item.op == IoOp::read) {
      item.bad_sector = at;
      co_return Status::io_error;
    }
    if (!on_device) co_return Status::again;
    const Source source = payload_at(item, at);
    prepare(io, item.op == IoOp::read ? IoOp::read : IoOp::write,
            {route.member, route.sector, route.sectors}, nullptr);
    io.payload = source.payload;
    io.payload_offset = source.payload_offset;
    io.fua = item.fua && state_.store.takes_fua(route.member);
    const bool flush = item.fua && !io.fua;
    const u64 refused = state_.flush[route.member].refused();
    item.payload_busy = true;
    (void)co_await run_io(state_, io);
    item.payload_busy = false;
    if (state_.observe(io) != ErrorClass::none) co_return Status::again;
    if (flush && co_await make_durable(frames, item, route.member, refused) != Status::ok) {
      item.bad_sector = at;
      co_return Status::io_error;
    }
    at = at + route.sectors;
  }
  co_return Status::ok;
}

// Never tried again: a refused flush may have cost others their data, and its success later would
// say nothing about that.
Task<Status> Recovery::make_durable(FrameStack&, WorkItem& item, Member member, u64 refused) {
  DeviceIo& io = *item.tools.io[1];
  if (co_await run_flush(state_, io, member) != ErrorClass::none) {
    state_.tell(EventKind::flush_failed, member, Sector(0), 0, io.status);
  } else {
    co_await flush_outcomes(state_, member);
    if (state_.flush[member].refused() == refused) co_return Status::ok;
  }
  // Perhaps a user's, and the engine has yet to hear of it.
  if (member != kMain) committer_.request_retire(member);
  co_return Status::io_error;
}

void Recovery::count_answer(IoOp op, Status status) {
  if (op == IoOp::read) {
    ++(status == Status::ok ? state_.counters.recovered_reads : state_.counters.failed_reads);
  } else if (status != Status::ok) {
    ++state_.counters.failed_writes;
  }
}

void Recovery::answer(WorkItem& item, Status status, Sector bad_sector) {
  Request* request = item.request;
  DMR_ASSERT(request != nullptr && !item.payload_busy);
  if (!request->own) count_answer(item.op, status);
  item.request = nullptr;
  request->status = status;
  request->bad_sector = bad_sector;
  request->done(*request);
}

Task<Status> Recovery::commit_changes(FrameStack&, WorkItem& item) {
  Changes& changes = item.changes;
  if (changes.count == 0) co_return Status::ok;
  item.commit.records = changes.records;
  item.commit.count = changes.count;
  item.commit.flush_members = changes.flush_members;
  item.commit.refused = changes.refused;
  const Status status = co_await committer_.commit(item.commit);
  changes.count = 0;
  changes.flush_members = 0;
  co_return status;
}

Recovery::BlockPart Recovery::part_at(Sector at, Sector end) const {
  BlockPart part;
  part.block = state_.geometry.block_of(at);
  part.first = state_.geometry.sector_in_block(at);
  part.begin = at;
  const u32 in_block = state_.geometry.sectors_in(part.block) - part.first;
  part.sectors = end - at < in_block ? static_cast<u32>(end - at) : in_block;
  return part;
}

Source Recovery::payload_at(const WorkItem& item, Sector at) {
  DMR_ASSERT(item.request != nullptr);
  const Request& request = *item.request;
  if (request.payload == nullptr) return {};
  return Source{nullptr, request.payload,
                request.payload_offset + ((at - request.sector) << kSectorShift)};
}

void Recovery::tell_device_error(WorkItem& item, Sector at, Member member) const {
  if (item.request != nullptr) item.request->device_error = true;
  state_.tell(EventKind::device_error, member, at, 1, item.tools.io[0]->status);
}

}  // namespace dmr

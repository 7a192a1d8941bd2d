// SPDX-License-Identifier: GPL-2.0-or-later
// A write that failed, or meets lost sectors: each block is tried again where it lives; what main
// refuses for good goes to a spare, data first, then the mapping, then the answer.
#include "core/base/bugs.h"
#include "core/volume/recovery.h"

namespace dmr {

namespace {

// Does the buffer hold what the payload says (null: zeros)? In small steps: stacks are small.
bool same_bytes(const Source& source, const std::byte* buffer, std::size_t bytes) {
  constexpr std::size_t kWindow = 256;
  std::byte piece[kWindow];
  for (std::size_t at = 0; at < bytes; at += kWindow) {
    const std::size_t count = bytes - at < kWindow ? bytes - at : kWindow;
    if (source.payload != nullptr) {
      source.payload->copy_out(source.payload_offset + at, {piece, count});
    } else {
      __builtin_memset(piece, 0, count);
    }
    if (__builtin_memcmp(piece, buffer + at, count) != 0) return false;
  }
  return true;
}

u32 spares_in_use(const VolumeState& state) {
  u32 count = 0;
  for (Member m = 1; m < state.members; ++m) count += state.takes_data(m) ? 1 : 0;
  return count;
}

}  // namespace

Task<Status> Recovery::recover_write(FrameStack& frames, WorkItem& item, Span span) {
  const Sector end = span.begin + span.sectors;
  for (;;) {
    const u32 spares = spares_in_use(state_);
    Status status = Status::ok;
    for (Sector at = span.begin; at < end && status == Status::ok;) {
      const BlockPart part = part_at(at, end);
      status = co_await write_block(frames, item, part);
      if (status != Status::ok) {
        item.bad_sector = part.begin;
      } else if (!item.changes.has_room_for_block()) {
        status = co_await commit_changes(frames, item);
        if (status != Status::ok) item.bad_sector = span.begin;
      }
      at = at + part.sectors;
    }
    // What was stored for the blocks before a failure is newer than what main has: keep it.
    const Status committed = co_await commit_changes(frames, item);
    if (status == Status::ok && committed != Status::ok) item.bad_sector = span.begin;
    if (status == Status::ok) status = committed;
    // A spare that was retired meanwhile may have taken some of it: the others get their chance.
    const u32 left = spares_in_use(state_);
    if (status != Status::io_error || left == 0 || left == spares) co_return status;
  }
}

Task<Status> Recovery::write_block(FrameStack& frames, WorkItem& item, BlockPart part) {
  const bool early = DMR_BUG(no_second_lookup) && part.block == item.early_block;
  const Home home = early ? item.early_home : home_of(state_, part.block);
  const LostMask wanted = bits_of(part.first, part.sectors);
  const LostMask lost = lost_in(state_, home, part.block);
  const bool heals = !(lost & wanted).none();
  const auto policy = static_cast<format::Policy>(state_.store.superblock().policy);
  const bool in_place = home.member == kMain ? !heals || policy == format::Policy::rewrite
                                             : state_.takes_data(home.member);
  bool refused = false;
  if (in_place) {
    const Status status = co_await write_in_place(frames, item, part, home, heals);
    if (status == Status::ok && heals && !DMR_BUG(lost_not_cleared)) {
      const Home healed = with_lost(state_, home, part.block, without(lost, wanted));
      item.changes.add(mapping_record(part.block, 1, healed));
      // The mark may go only when the data is durable: main's was flushed by verify().
      if (home.member != kMain) item.changes.flush_members |= 1U << home.member;
      state_.tell(EventKind::recovered, home.member, part.begin, part.sectors);
    }
    if (status != Status::not_found) co_return status;
    refused = true;
  }
  co_return co_await redirect(frames, item, part, home, refused);
}

// not_found: this place refuses for good. io_error: the device does, nothing may be concluded.
Task<Status> Recovery::write_in_place(FrameStack& frames, WorkItem& item, BlockPart part, Home home,
                                      bool heals) {
  DeviceIo& io = *item.tools.io[0];
  ErrorClass error = ErrorClass::none;
  bool answers = false;
  const u64 refused = state_.flush[home.member].refused();
  if (home.member != kMain) item.changes.before_data(state_.flush);
  const u32 attempts = state_.config.write_attempts;
  for (u32 attempt = 0; attempt < attempts; ++attempt) {
    const Source source = payload_at(item, part.begin);
    prepare(io, IoOp::write, place_of(state_, home, part.block, part.first, part.sectors), nullptr);
    io.payload = source.payload;
    io.payload_offset = source.payload_offset;
    const bool durable = item.fua && !DMR_BUG(fua_dropped_on_retry);
    io.fua = durable && state_.store.takes_fua(home.member);
    const bool flush = durable && !io.fua;
    (void)co_await run_io(state_, io);
    error = state_.observe(io);
    if (error == ErrorClass::none) {
      ++state_.counters.retried_writes;
      // Only a lost mark that is cleared on main needs proof that main really took it.
      if (heals && home.member == kMain) {
        co_return co_await verify(frames, item, part, home, refused);
      }
      if (!flush) co_return Status::ok;
      co_return co_await make_durable(frames, item, home.member, refused);
    }
    if (error == ErrorClass::device) break;
    // Before the last attempt: had an outage just ended, that attempt would go well.
    if (answers || attempt + 2 < attempts || !may_mark(error)) continue;
    const Status confirmed =
        co_await confirmer_.confirm(frames, home.member, Direction::write, item.tools.failed_at_ns);
    if (confirmed != Status::ok) break;
    answers = true;
  }
  if (answers && may_mark(error)) co_return Status::not_found;
  tell_device_error(item, part.begin, home.member);
  co_return Status::io_error;
}

// Written, flushed, read back: only then may the map say that main is good again.
// `refused` by main before the write: a flush that it refused since may have lost it.
Task<Status> Recovery::verify(FrameStack&, WorkItem& item, BlockPart part, Home home, u64 refused) {
  DMR_ASSERT(home.member == kMain && item.tools.buffer != nullptr);
  DeviceIo& io = *item.tools.io[0];
  if (!DMR_BUG(healed_before_flush)) {
    if (co_await run_flush(state_, io, kMain) != ErrorClass::none) co_return Status::io_error;
    co_await flush_outcomes(state_, kMain);
    if (state_.flush[kMain].refused() != refused) co_return Status::io_error;
  }
  if (DMR_BUG(not_read_back)) co_return Status::ok;
  prepare(io, IoOp::read, place_of(state_, home, part.block, part.first, part.sectors),
          item.tools.buffer->bytes);
  (void)co_await run_io(state_, io);
  const ErrorClass error = state_.observe(io);
  if (error == ErrorClass::device) co_return Status::io_error;
  if (error != ErrorClass::none) co_return Status::not_found;
  const std::size_t bytes = std::size_t{part.sectors} << kSectorShift;
  const bool same = same_bytes(payload_at(item, part.begin), item.tools.buffer->bytes, bytes);
  co_return same ? Status::ok : Status::not_found;
}

Task<Status> Recovery::redirect(FrameStack& frames, WorkItem& item, BlockPart part, Home home,
                                bool refused) {
  const u32 sectors = state_.geometry.sectors_in(part.block);
  const LostMask wanted = bits_of(part.first, part.sectors);
  const LostMask before = lost_in(state_, home, part.block);
  LostMask lost = without(before, wanted);
  const LostMask rest = without(without(LostMask::all(sectors), wanted), before);
  Source source = payload_at(item, part.begin);
  u32 first = part.first;
  u32 count = part.sectors;
  if (!rest.none()) {
    // The rest of the block moves along. When it cannot be read for a reason that is not the
    // medium's, nothing may be concluded: the write fails and the map stays as it is.
    const Status status =
        co_await salvage(frames, state_, confirmer_, item.tools, part.block, home, rest);
    if (status != Status::ok && DMR_BUG(rest_lost_by_outage)) item.tools.unreadable = rest;
    if (status != Status::ok && !DMR_BUG(rest_lost_by_outage)) {
      tell_device_error(item, part.begin, home.member);
      co_return status;
    }
    lost = lost | item.tools.unreadable;
    std::byte* at = item.tools.buffer->bytes + std::size_t{part.first} * kSectorBytes;
    const std::size_t bytes = std::size_t{part.sectors} << kSectorShift;
    if (source.payload != nullptr) {
      source.payload->copy_out(source.payload_offset, {at, bytes});
    } else {
      __builtin_memset(at, 0, bytes);
    }
    const Status moved = co_await move_block(frames, state_, confirmer_, item.tools, item.changes,
                                             part.block, home, lost, refused);
    if (moved != Status::ok) co_return moved;
  } else {
    const Result<SpareExtent> extent = co_await place_on_spare(
        frames, state_, confirmer_, item.tools, item.changes, source, first, count);
    if (!extent.has_value()) co_return extent.status();
    Home moved;
    moved.member = extent->member;
    moved.spare = extent->begin;
    item.changes.add(mapping_record(part.block, 1, with_lost(state_, moved, part.block, lost)));
    if (refused && home.member != kMain) {
      item.changes.add(bad_spare_record(home.member, home.spare, 1));
    }
  }
  ++state_.counters.redirected_writes;
  state_.tell(EventKind::remapped, home.member, part.begin, part.sectors);
  const SectorSpan gone = next_span(without(lost, before), 0, 128);
  if (gone.count > 0) {
    state_.tell(EventKind::lost, home.member, state_.geometry.first_sector(part.block) + gone.first,
                gone.count);
  }
  co_return Status::ok;
}

}  // namespace dmr

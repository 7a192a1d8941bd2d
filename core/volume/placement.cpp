// SPDX-License-Identifier: GPL-2.0-or-later
// New homes on spares.
#include "core/volume/placement.h"

#include "core/base/bugs.h"

namespace dmr {

void Changes::add(const format::Record& record) {
  constexpr u8 kMapping = static_cast<u8>(format::RecordType::mapping);
  if (count > 0 && record.type == kMapping) {
    format::Record& last = records[count - 1];
    const bool joins = last.type == kMapping && last.block + last.length == record.block &&
                       last.member == record.member && last.flags == record.flags &&
                       last.lost_low == 0 && last.lost_high == 0 && record.lost_low == 0 &&
                       record.lost_high == 0 &&
                       (record.member == kMain || last.home + last.length == record.home) &&
                       last.length + record.length <= kMaxHoldBlocks;
    if (joins) {
      last.length += record.length;
      return;
    }
  }
  DMR_ASSERT(count < capacity);
  records[count++] = record;
}

bool Changes::has_room_for_block() const { return capacity - count >= kMaxSpareAttempts + 2; }

namespace {
// A free block of a spare that is not set aside for this block. io_error, not no_space, when no
// spare takes data any more: there may be room enough on those that are retired.
Result<SpareExtent> allocate_beside(VolumeState& state, u32 set_aside) {
  bool any_takes_data = false;
  for (Member m = 1; m < state.members; ++m) {
    if (((set_aside >> m) & 1U) != 0 || !state.takes_data(m)) continue;
    any_takes_data = true;
    if (set_aside == 0) continue;
    const Result<SpareExtent> extent = state.spares.allocate_on(m, 1);
    if (extent.has_value()) return extent;
  }
  if (set_aside == 0 && any_takes_data) return state.spares.allocate(1);
  return Status::io_error;
}
}  // namespace

Task<Result<SpareExtent>> place_on_spare(FrameStack& frames, VolumeState& state,
                                         Confirmer& confirmer, Tools& tools, Changes& changes,
                                         Source source, u32 first, u32 sectors) {
  DeviceIo& io = *tools.io[0];
  changes.before_data(state.flush);
  u32 attempts = state.config.spare_attempts;
  if (attempts > kMaxSpareAttempts) attempts = kMaxSpareAttempts;
  u32 set_aside = 0;  // spares that fail as a whole: the others get their chance
  bool full = false;
  SpareExtent good;  // has just taken a probe
  for (u32 attempt = 0; attempt < attempts; ++attempt) {
    const Result<SpareExtent> extent =
        good.blocks > 0 ? Result<SpareExtent>(good) : allocate_beside(state, set_aside);
    good = {};
    if (extent.status() == Status::io_error) break;
    if (!extent.has_value()) {
      state.note_exhaustion();
      co_return Status::no_space;
    }
    const Sector sector = state.geometry.spare_sector(extent->begin) + first;
    prepare(io, IoOp::write, {extent->member, sector, sectors}, source.buffer);
    io.payload = source.payload;
    io.payload_offset = source.payload_offset;
    (void)co_await run_io(state, io);
    const ErrorClass error = state.observe(io);
    if (error == ErrorClass::none) {
      if (DMR_BUG(shared_spare_block)) state.spares.release(extent->member, extent->begin, 1);
      changes.flush_members |= 1U << extent->member;
      co_return extent;
    }
    if (io.status == IoStatus::no_space) {
      state.spares.release(extent->member, extent->begin, 1);
      state.tell(EventKind::device_error, extent->member, sector, sectors, io.status);
      set_aside |= 1U << extent->member;
      full = true;
      continue;
    }
    // Until the next open nobody gets this block: the refused write may still arrive there.
    if (DMR_BUG(refused_block_reused) && !may_mark(error)) {
      state.spares.release(extent->member, extent->begin, 1);
    }
    Status place_is_bad = Status::io_error;
    if (may_mark(error)) {
      place_is_bad = co_await confirmer.find_good_block(frames, extent->member, good);
    }
    if (place_is_bad != Status::ok) set_aside |= 1U << extent->member;
    if (place_is_bad == Status::ok && !DMR_BUG(bad_spare_forgotten)) {
      changes.add(bad_spare_record(extent->member, extent->begin, 1));
    }
  }
  if (good.blocks > 0) state.spares.release(good.member, good.begin, 1);
  co_return full ? Status::no_space : Status::io_error;
}

Task<Status> give_up_extent(FrameStack& frames, VolumeState& state, Confirmer& confirmer,
                            SpareExtent extent, ErrorClass error, IoStatus status) {
  if (status == IoStatus::no_space) {
    state.spares.release(extent.member, extent.begin, extent.blocks);
    co_return Status::no_space;
  }
  if (may_mark(error)) {
    const Status writes_elsewhere =
        co_await confirmer.confirm(frames, extent.member, Direction::write, state.host.now_ns());
    // What may still arrive there keeps its distrust: nobody has tried the same blocks again.
    if (writes_elsewhere == Status::ok) {
      state.spares.release(extent.member, extent.begin, extent.blocks);
    }
  }
  co_return Status::io_error;
}

void lose_in_place(const VolumeState& state, Changes& changes, Block block, Home home,
                   LostMask lost) {
  DMR_ASSERT(!lost.none());
  changes.add(mapping_record(block, 1, with_lost(state, home, block, lost)));
}

Task<Status> move_block(FrameStack& frames, VolumeState& state, Confirmer& confirmer, Tools& tools,
                        Changes& changes, Block block, Home old, LostMask lost, bool refused) {
  const u32 sectors = state.geometry.sectors_in(block);
  if (DMR_BUG(lost_mask_dropped)) lost = {};
  Home home;  // nothing left to keep: lost in place, no spare block is spent on it
  if (!(lost == LostMask::all(sectors))) {
    // What is lost is masked for ever; zeros rather than leftovers lie under the mask.
    for (SectorSpan hole = next_span(lost, 0, sectors); hole.count > 0;
         hole = next_span(lost, hole.first + hole.count, sectors)) {
      __builtin_memset(tools.buffer->bytes + std::size_t{hole.first} * kSectorBytes, 0,
                       std::size_t{hole.count} * kSectorBytes);
    }
    const Result<SpareExtent> extent =
        co_await place_on_spare(frames, state, confirmer, tools, changes,
                                Source{tools.buffer->bytes, nullptr, 0}, 0, sectors);
    if (!extent.has_value()) co_return extent.status();
    home.member = extent->member;
    home.spare = extent->begin;
  }
  changes.add(mapping_record(block, 1, with_lost(state, home, block, lost)));
  if (refused && old.member != kMain) changes.add(bad_spare_record(old.member, old.spare, 1));
  co_return Status::ok;
}

}  // namespace dmr

// SPDX-License-Identifier: GPL-2.0-or-later
// A read that failed: long pieces first, then blocks, then the disk's logical blocks. What stays
// unreadable is answered with an error at once; its block is rescued behind the answer.
#include "core/base/bugs.h"
#include "core/volume/recovery.h"

namespace dmr {

Task<Status> Recovery::recover_read(FrameStack& frames, WorkItem& item, Span span) {
  const Sector end = span.begin + span.sectors;
  DMR_ASSERT(item.tools.buffer != nullptr);
  for (Sector at = span.begin; at < end && item.request != nullptr;) {
    IoPlace place;
    Span piece{at, readable_sectors(state_, at, end, place)};
    const bool one_block =
        part_at(at, end).sectors == span.sectors || piece.sectors <= part_at(at, end).sectors;
    if (piece.sectors > 0 && !one_block) {
      DeviceIo& io = *item.tools.io[0];
      prepare(io, IoOp::read, place, item.tools.buffer->bytes);
      (void)co_await run_io(state_, io);
      if (state_.observe(io) == ErrorClass::none) {
        if (item.request != nullptr) {
          const Source to = payload_at(item, at);
          to.payload->copy_in(to.payload_offset, {item.tools.buffer->bytes,
                                                  std::size_t{piece.sectors} << kSectorShift});
        }
        at = at + piece.sectors;
        continue;
      }
    }
    if (piece.sectors == 0) piece = {at, part_at(at, end).sectors};
    const Status status = co_await read_piece(frames, item, piece);
    if (status != Status::ok) co_return status;
    at = at + piece.sectors;
  }
  co_return item.request != nullptr ? Status::ok : Status::io_error;
}

// Block by block. Stops at the first block that cannot be given whole.
Task<Status> Recovery::read_piece(FrameStack& frames, WorkItem& item, Span piece) {
  const Sector end = piece.begin + piece.sectors;
  for (Sector at = piece.begin; at < end && item.request != nullptr;) {
    const BlockPart part = part_at(at, end);
    const bool whole_request = part.sectors == item.sectors;
    const Status status = co_await read_block(frames, item, part, whole_request);
    if (status != Status::ok) co_return status;
    at = at + part.sectors;
  }
  co_return Status::ok;
}

Task<Status> Recovery::read_block(FrameStack& frames, WorkItem& item, BlockPart part,
                                  bool whole_request) {
  const bool early = DMR_BUG(salvage_over_newer) && part.block == item.early_block;
  const Home home = early ? item.early_home : home_of(state_, part.block);
  const LostMask wanted = bits_of(part.first, part.sectors);
  const SectorSpan lost = next_span(lost_in(state_, home, part.block) & wanted, 0, 128);
  if (lost.count > 0) {
    item.bad_sector = state_.geometry.first_sector(part.block) + lost.first;
    co_return Status::io_error;
  }
  const Status status =
      co_await salvage(frames, state_, confirmer_, item.tools, part.block, home, wanted);
  if (status != Status::ok) {
    // The first that was not given; when the device as a whole fails, the first of all.
    const SectorSpan missed = next_span(item.tools.unreadable, 0, kMaxBlockSectors);
    item.bad_sector =
        missed.count > 0 ? state_.geometry.first_sector(part.block) + missed.first : part.begin;
    tell_device_error(item, item.bad_sector, home.member);
    co_return status;
  }
  if (!item.tools.unreadable.none()) {
    const SectorSpan bad = next_span(item.tools.unreadable, 0, 128);
    const Sector at = state_.geometry.first_sector(part.block) + bad.first;
    if (item.request != nullptr) answer(item, Status::io_error, at);
    (void)co_await rescue_block(frames, item, part.block, home);
    co_return Status::io_error;
  }
  // With one block in the request it was this block that failed; else the salvage has told.
  if (item.tools.retried || (whole_request && item.medium_suspect)) weak_.note_weak(part.block);
  if (item.request != nullptr) {
    const Source to = payload_at(item, part.begin);
    to.payload->copy_in(to.payload_offset,
                        {item.tools.buffer->bytes + std::size_t{part.first} * kSectorBytes,
                         std::size_t{part.sectors} << kSectorShift});
  }
  co_return Status::ok;
}

// The block has sectors that the disk no longer gives: move the others to a spare, mark these lost.
Task<Status> Recovery::rescue_block(FrameStack& frames, WorkItem& item, Block block, Home home) {
  if (!state_.writable.load(std::memory_order_acquire)) co_return Status::read_only;
  const LostMask before = lost_in(state_, home, block);
  const LostMask wanted = without(LostMask::all(state_.geometry.sectors_in(block)), before);
  Status status = co_await salvage(frames, state_, confirmer_, item.tools, block, home, wanted);
  if (status != Status::ok) co_return status;
  const LostMask lost = item.tools.unreadable;
  if (lost.none()) {
    weak_.note_weak(block);  // it came back after all: still a block to move away
    co_return Status::ok;
  }
  status = co_await move_block(frames, state_, confirmer_, item.tools, item.changes, block, home,
                               before | lost, true);
  // No spare takes the others: they stay readable where they are.
  if (status != Status::ok) lose_in_place(state_, item.changes, block, home, before | lost);
  status = co_await commit_changes(frames, item);
  if (status != Status::ok) co_return status;
  for (SectorSpan span = next_span(lost, 0, 128); span.count > 0;
       span = next_span(lost, span.first + span.count, 128)) {
    state_.tell(EventKind::lost, home.member, state_.geometry.first_sector(block) + span.first,
                span.count);
  }
  co_return Status::ok;
}

}  // namespace dmr

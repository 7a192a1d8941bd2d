// SPDX-License-Identifier: GPL-2.0-or-later
// What mark and forget do with one step: consecutive blocks that are locked, held and drained.
#include "core/base/bugs.h"
#include "core/volume/mover.h"

namespace dmr {

Task<Status> Mover::read_run(FrameStack&, Member member, Run run, std::byte* buffer) {
  DeviceIo& io = *tools_.io[0];
  const Sector at = member == kMain ? state_.geometry.first_sector(run.begin)
                                    : state_.geometry.spare_sector(run.home.spare);
  prepare(io, IoOp::read, {member, at, sectors_of(run.begin, run.length)}, buffer);
  (void)co_await run_io(state_, io);
  co_return state_.observe(io) == ErrorClass::none ? Status::ok : Status::io_error;
}

// Blocks on main move to a spare; what lives elsewhere or is lost already stays as it is.
Task<Status> Mover::mark_step(FrameStack& frames, Command& command, Block begin, u32 blocks) {
  while (step_done_ < blocks && !turn_over()) {
    const Run run = run_at(begin + step_done_, blocks - step_done_);
    if (!run.home.is_plain()) {
      command.blocks_unchanged += run.length;
      step_done_ += static_cast<u32>(run.length);
      continue;
    }
    const Status status = co_await mark_run(frames, command, run);
    if (status != Status::ok) co_return status;
  }
  co_return Status::ok;
}

// Blocks that all live on main: read together and written in as few pieces as the spare allows.
// When something refuses, the rest goes block by block, until the turn is over.
Task<Status> Mover::mark_run(FrameStack& frames, Command& command, Run run) {
  const Block careful_end = careful_.begin + careful_.length;
  Status status = Status::io_error;
  if (careful_.begin <= run.begin && run.begin < careful_end) {  // known from an earlier turn
    if (careful_end - run.begin < run.length) run.length = careful_end - run.begin;
  } else {
    status = co_await read_run(frames, kMain, run, buffer_->bytes);
    if (status != Status::ok) careful_ = run;
  }
  const u32 blocks = static_cast<u32>(run.length);
  u32 done = 0;
  while (status == Status::ok && done < blocks) {
    const Result<u32> moved =
        co_await copy_to_spare(frames, command, run.begin + done, blocks - done, done);
    status = moved.status();
    if (!moved.has_value()) break;
    const Block first = run.begin + done;
    state_.tell(EventKind::relocated, kMain, state_.geometry.first_sector(first),
                sectors_of(first, *moved));
    done += *moved;
    step_done_ += *moved;
    count_moved(command, *moved);
  }
  while (done < blocks) {
    status = co_await mark_block(frames, command, run.begin + done);
    if (status == Status::read_only || status == Status::no_space) co_return status;
    ++done;
    ++step_done_;
    if (turn_over()) break;
  }
  co_return Status::ok;
}

// They live on a spare as soon as the changes are committed.
void Mover::count_moved(Command& command, u32 blocks) {
  command.blocks_changed += blocks;
  uncommitted_.changed += blocks;
  state_.counters.relocated_blocks += blocks;
  uncommitted_.relocated += blocks;
}

// Writes what lies in the buffer `skip` blocks from its start; tells how many blocks found a home
// together. After an error nothing has been recorded.
Task<Result<u32>> Mover::copy_to_spare(FrameStack& frames, Command& command, Block begin,
                                       u32 blocks, u32 skip) {
  if (!changes_.has_room_for_block()) {
    const Status room = co_await commit_changes(frames, &command);
    if (room != Status::ok) co_return room;
  }
  const Result<SpareExtent> extent = state_.spares.allocate(blocks);
  if (!extent.has_value()) co_return extent.status();
  DeviceIo& io = *tools_.io[0];
  changes_.before_data(state_.flush);
  const std::size_t offset = (std::size_t{skip} << state_.geometry.block_shift) * kSectorBytes;
  prepare(io, IoOp::write,
          {extent->member, state_.geometry.spare_sector(extent->begin),
           sectors_of(begin, extent->blocks)},
          buffer_->bytes + offset);
  (void)co_await run_io(state_, io);
  const ErrorClass error = state_.observe(io);
  if (error != ErrorClass::none) {
    co_return co_await give_up_extent(frames, state_, confirmer_, *extent, error, io.status);
  }
  Home home;
  home.member = extent->member;
  home.spare = extent->begin;
  changes_.add(mapping_record(begin, extent->blocks, home));
  changes_.flush_members |= 1U << extent->member;
  co_return extent->blocks;
}

// One block with care: what cannot be read of it becomes lost.
Task<Status> Mover::mark_block(FrameStack& frames, Command& command, Block block) {
  if (!changes_.has_room_for_block()) {
    const Status room = co_await commit_changes(frames, &command);
    if (room != Status::ok) co_return room;
  }
  const Home home = home_of(state_, block);
  const LostMask wanted = LostMask::all(state_.geometry.sectors_in(block));
  Status status = co_await salvage(frames, state_, confirmer_, tools_, block, home, wanted);
  LostMask lost;
  if (status == Status::ok) {
    lost = tools_.unreadable;
    status =
        co_await move_block(frames, state_, confirmer_, tools_, changes_, block, home, lost, false);
    if (status != Status::ok && !lost.none()) lose_in_place(state_, changes_, block, home, lost);
  }
  if (status != Status::ok) {
    ++command.blocks_unchanged;
    fail(command, status, block);
  } else {
    count_moved(command, 1);
    state_.tell(EventKind::relocated, kMain, state_.geometry.first_sector(block),
                state_.geometry.sectors_in(block));
  }
  for (SectorSpan span = next_span(lost, 0, kMaxBlockSectors); span.count > 0;
       span = next_span(lost, span.first + span.count, kMaxBlockSectors)) {
    command.sectors_lost += span.count;
    uncommitted_.lost += span.count;
    state_.tell(EventKind::lost, kMain, state_.geometry.first_sector(block) + span.first,
                span.count);
  }
  co_return status;
}

// Remapped blocks go home: written to main, flushed there, read back, and only then recorded.
Task<Status> Mover::forget_step(FrameStack& frames, Command& command, Block begin, u32 blocks) {
  while (step_done_ < blocks && !turn_over()) {
    const Run run = run_at(begin + step_done_, blocks - step_done_);
    step_done_ += static_cast<u32>(run.length);
    if (run.home.member == kMain) {
      command.blocks_unchanged += run.length;
      continue;
    }
    if (!changes_.has_room_for_block()) {
      const Status room = co_await commit_changes(frames, &command);
      if (room != Status::ok) co_return room;
    }
    const LostMask lost = run.length == 1 ? lost_in(state_, run.home, run.begin) : LostMask{};
    const Status status = run.home.lost == LostKind::all
                              ? Status::ok  // nothing to copy: the loss itself goes home
                              : co_await copy_home(frames, run, lost);
    if (status != Status::ok) {
      command.blocks_unchanged += run.length;
      fail(command, status, run.begin);
      continue;
    }
    Home home;
    home.lost = run.home.lost;
    home.mask = run.home.mask;
    changes_.add(mapping_record(run.begin, static_cast<u32>(run.length), home));
    if (DMR_BUG(reuse_spare_early)) {
      state_.spares.release(run.home.member, run.home.spare, run.length);
    }
    command.blocks_changed += run.length;
    uncommitted_.changed += run.length;
    state_.counters.returned_blocks += run.length;
    uncommitted_.returned += run.length;
    state_.tell(EventKind::returned, run.home.member, state_.geometry.first_sector(run.begin),
                sectors_of(run.begin, run.length));
  }
  co_return Status::ok;
}

Task<Status> Mover::copy_home(FrameStack& frames, Run run, LostMask lost) {
  if (!state_.readable(run.home.member)) co_return Status::io_error;
  // An older copy of the block that arrives there later would undo what users have written since.
  if (state_.late_writes.may_arrive_in(run.begin, run.length)) co_return Status::io_error;
  Status status = co_await read_run(frames, run.home.member, run, buffer_->bytes);
  if (status != Status::ok) co_return status;
  const u32 sectors = sectors_of(run.begin, run.length);
  // Under the lost mask of a partly lost block lies nothing of value; zeros go there.
  for (SectorSpan hole = next_span(lost, 0, kMaxBlockSectors); hole.count > 0;
       hole = next_span(lost, hole.first + hole.count, kMaxBlockSectors)) {
    __builtin_memset(buffer_->bytes + std::size_t{hole.first} * kSectorBytes, 0,
                     std::size_t{hole.count} * kSectorBytes);
  }
  DeviceIo& io = *tools_.io[0];
  const u64 refused = state_.flush[kMain].refused();
  prepare(io, IoOp::write, {kMain, state_.geometry.first_sector(run.begin), sectors},
          buffer_->bytes);
  (void)co_await run_io(state_, io);
  if (state_.observe(io) != ErrorClass::none) {
    if (may_arrive_late(io.status)) state_.late_writes.add(run.begin, run.length);
    co_return Status::io_error;
  }
  if (!DMR_BUG(return_before_flush)) {
    if (co_await run_flush(state_, io, kMain) != ErrorClass::none) co_return Status::io_error;
    co_await flush_outcomes(state_, kMain);
    // Somebody else's flush of main that was refused meanwhile may have lost what was written.
    if (state_.flush[kMain].refused() != refused) co_return Status::io_error;
  }
  if (DMR_BUG(not_read_back)) co_return Status::ok;
  status = co_await read_run(frames, kMain, run, second_buffer_->bytes);
  if (status != Status::ok) co_return status;
  const std::size_t bytes = std::size_t{sectors} << kSectorShift;
  const bool same = __builtin_memcmp(buffer_->bytes, second_buffer_->bytes, bytes) == 0;
  co_return same ? Status::ok : Status::io_error;
}

}  // namespace dmr

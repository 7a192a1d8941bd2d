// SPDX-License-Identifier: GPL-2.0-or-later
// The mover's loop: batches of ranges, held together, committed together.
#include "core/volume/mover.h"

#include "core/base/bugs.h"
#include "core/volume/drainer.h"

namespace dmr {

Status Mover::open() {
  Host& host = state_.host;
  buffer_ = static_cast<IoBuffer*>(host.allocate(sizeof(IoBuffer), alignof(IoBuffer)));
  second_buffer_ = static_cast<IoBuffer*>(host.allocate(sizeof(IoBuffer), alignof(IoBuffer)));
  if (buffer_ == nullptr || second_buffer_ == nullptr) return Status::no_memory;
  tools_.buffer = buffer_;
  tools_.io[0] = &io_[0];
  tools_.io[1] = &io_[1];
  changes_ = Changes{records_, format::kJournalRecords, 0, 0};
  return background_.open(kFrameBytes);
}

void Mover::close() {
  background_.close();
  while (HealthRecord* record = weak_.pop_front()) state_.health_records.release(record);
  Host& host = state_.host;
  if (buffer_ != nullptr) host.release(buffer_, sizeof(IoBuffer));
  if (second_buffer_ != nullptr) host.release(second_buffer_, sizeof(IoBuffer));
  buffer_ = nullptr;
  second_buffer_ = nullptr;
}

void Mover::submit(Command& command) {
  DMR_ASSERT(!background_.stopping());
  command.status = Status::ok;
  command.blocks_changed = 0;
  command.blocks_unchanged = 0;
  command.sectors_lost = 0;
  commands_.push_back(command);
  background_.wake();
}

void Mover::note_weak(Block block) {
  if (background_.stopping() || !state_.writable.load(std::memory_order_acquire)) return;
  for (HealthRecord* at = weak_.front(); at != nullptr; at = at->next) {
    if (at->block != block) continue;
    ++at->failures;
    return;
  }
  HealthRecord* record = state_.health_records.acquire();
  if (record == nullptr) {  // it will be met again
    state_.tell(EventKind::pool_exhausted, kMain, state_.geometry.first_sector(block), 0);
    return;
  }
  record->block = block;
  record->failures = 1;
  weak_.push_back(*record);
  state_.tell(EventKind::weak, kMain, state_.geometry.first_sector(block),
              state_.geometry.sectors_in(block));
  background_.wake();
}

Task<Status> Mover::loop(FrameStack& frames) {
  for (;;) {
    while (commands_.empty() && weak_.empty() && !background_.stopping())
      co_await background_.wait();
    if (Command* command = commands_.pop_front()) {
      (void)co_await run_command(frames, *command);
      command->done(*command);
    } else if (background_.stopping()) {
      break;
    } else if (HealthRecord* record = weak_.pop_front()) {
      const Block block = record->block;
      state_.health_records.release(record);
      (void)co_await move_weak(frames, block);
    }
  }
  co_return Status::ok;
}

Task<Status> Mover::run_command(FrameStack& frames, Command& command) {
  if (!state_.writable.load(std::memory_order_acquire)) {
    command.status = Status::read_only;
    co_return Status::read_only;
  }
  range_at_ = 0;
  next_block_ = Block(0);
  cut_ = false;
  // Each batch takes at least one block, so it ends with the ranges.
  while (!cut_ && !state_.closing && fill_batch(command)) {
    const Status status = co_await run_batch(frames, command);
    if (status != Status::ok && command.status == Status::ok) command.status = status;
    if (!state_.writable.load(std::memory_order_acquire)) break;
  }
  note_rest(command);
  co_return command.status;
}

void Mover::note_rest(Command& command) const {
  if (command.ranges.empty()) return;
  const SectorRange& last = command.ranges.back();
  const Sector end = last.begin + last.sectors;
  const Sector next = state_.geometry.first_sector(next_block_);
  command.rest = next < end ? next : end;
  if (!state_.closing || command.rest == end || command.status != Status::ok) return;
  command.status = Status::closed;
  command.bad_sector = command.rest;
}

// Asked between two pieces of work: those who wait for the ranges have waited long enough.
bool Mover::turn_over() const { return state_.closing || state_.host.now_ns() >= turn_ends_ns_; }

// The next blocks of the command as steps, ascending and without overlap. False at the end.
bool Mover::fill_batch(const Command& command) {
  const u32 per_buffer = kBufferSectors >> state_.geometry.block_shift;
  step_count_ = 0;
  while (step_count_ < kSteps && range_at_ < command.ranges.size()) {
    const SectorRange& range = command.ranges[range_at_];
    DMR_ASSERT(state_.geometry.contains(range.begin, range.sectors));
    Block begin = state_.geometry.block_of(range.begin);
    const Block end = state_.geometry.block_of(range.begin + range.sectors - 1) + 1;
    if (begin < next_block_) begin = next_block_;
    if (begin >= end) {
      ++range_at_;
      continue;
    }
    const u64 blocks = end - begin;
    Step& step = steps_[step_count_++];
    step.begin = begin;
    step.range = range_at_;
    step.blocks = blocks < per_buffer ? static_cast<u32>(blocks) : per_buffer;
    next_block_ = begin + step.blocks;
  }
  return step_count_ > 0;
}

Task<Status> Mover::run_batch(FrameStack& frames, Command& command) {
  Status status = co_await hold_batch(frames);
  turn_ends_ns_ = state_.host.now_ns() + state_.config.move_turn_ns;
  for (u32 i = 0; i < step_count_ && status == Status::ok && !cut_; ++i) {
    const Step& step = steps_[i];
    step_done_ = 0;
    status = co_await run_step(frames, command, step.begin, step.blocks);
    if (status != Status::ok || step_done_ == step.blocks) continue;
    cut_ = true;
    range_at_ = step.range;
    next_block_ = step.begin + step_done_;
  }
  const Status committed = co_await commit_changes(frames, &command);
  if (status == Status::ok) status = committed;
  release_batch();
  co_return status;
}

Task<Status> Mover::run_step(FrameStack& frames, Command& command, Block begin, u32 blocks) {
  switch (command.kind) {
    case CommandKind::mark:
      co_return co_await mark_step(frames, command, begin, blocks);
    case CommandKind::forget:
      co_return co_await forget_step(frames, command, begin, blocks);
    case CommandKind::checkpoint:
      break;  // the volume sends it to the committer
  }
  co_return Status::invalid;
}

// Lock all, hold all, then one drain for all.
Task<Status> Mover::hold_batch(FrameStack& frames) {
  u32 hashes = 0;
  for (u32 i = 0; i < step_count_; ++i) {
    Step& step = steps_[i];
    step.held = false;
    state_.locks.request(step.lock, step.begin, step.begin + step.blocks);
  }
  for (u32 i = 0; i < step_count_; ++i) {
    const bool granted = co_await state_.locks.wait(steps_[i].lock);
    DMR_ASSERT(granted);
  }
  for (u32 i = 0; i < step_count_; ++i) {
    Step& step = steps_[i];
    const Result<HoldId> hold = co_await place_hold(frames, state_, step.begin, step.blocks);
    if (!hold.has_value()) co_return hold.status();
    step.hold = *hold;
    step.held = true;
    hashes |= Epochs::hashes_of(step.begin, step.blocks);
  }
  if (!DMR_BUG(skip_drain)) co_await DrainAwait{state_, hashes};
  co_return Status::ok;
}

void Mover::release_batch() {
  for (u32 i = 0; i < step_count_; ++i) {
    if (steps_[i].held) release_hold(state_, steps_[i].hold);
    state_.locks.release(steps_[i].lock, state_.executor);
  }
  step_count_ = 0;
}

// `command`: whose counts are taken back when the commit fails; null for weak blocks.
Task<Status> Mover::commit_changes(FrameStack&, Command* command) {
  if (changes_.count == 0) co_return Status::ok;
  commit_.records = changes_.records;
  commit_.count = changes_.count;
  commit_.flush_members = changes_.flush_members;
  commit_.refused = changes_.refused;
  const Status status = co_await committer_.commit(commit_);
  if (status != Status::ok && command != nullptr) {
    fail(*command, status, Block(changes_.records[0].block));
    take_back(*command);
  }
  uncommitted_ = {};
  changes_.count = 0;
  changes_.flush_members = 0;
  co_return status;
}

// Of blocks whose commit failed nothing has changed; those of earlier commits stay counted.
void Mover::take_back(Command& command) {
  DMR_ASSERT(command.blocks_changed >= uncommitted_.changed);
  DMR_ASSERT(command.sectors_lost >= uncommitted_.lost);
  command.blocks_changed -= uncommitted_.changed;
  command.blocks_unchanged += uncommitted_.changed;
  command.sectors_lost -= uncommitted_.lost;
  state_.counters.relocated_blocks -= uncommitted_.relocated;
  state_.counters.returned_blocks -= uncommitted_.returned;
}

Task<Status> Mover::move_weak(FrameStack& frames, Block block) {
  if (!state_.writable.load(std::memory_order_acquire)) co_return Status::read_only;
  step_count_ = 1;
  steps_[0].begin = block;
  steps_[0].blocks = 1;
  Status status = co_await hold_batch(frames);
  if (status == Status::ok) status = co_await move_weak_held(frames, block);
  release_batch();
  co_return status;
}

Task<Status> Mover::move_weak_held(FrameStack& frames, Block block) {
  const Home home = home_of(state_, block);
  const LostMask before = lost_in(state_, home, block);
  const LostMask wanted = without(LostMask::all(state_.geometry.sectors_in(block)), before);
  if (wanted.none()) co_return Status::ok;
  Status status = co_await salvage(frames, state_, confirmer_, tools_, block, home, wanted);
  if (status != Status::ok) co_return status;
  const LostMask lost = tools_.unreadable;
  status = co_await move_block(frames, state_, confirmer_, tools_, changes_, block, home,
                               before | lost, true);
  const bool moved = status == Status::ok;
  // No spare takes it: what can be read stays where it is, what cannot is lost there.
  if (!moved && !lost.none()) lose_in_place(state_, changes_, block, home, before | lost);
  status = co_await commit_changes(frames, nullptr);
  if (status != Status::ok) co_return status;
  const Sector at = state_.geometry.first_sector(block);
  if (moved) {
    ++state_.counters.relocated_blocks;
    state_.tell(EventKind::relocated, home.member, at, state_.geometry.sectors_in(block));
  }
  const SectorSpan span = next_span(lost, 0, 128);
  if (span.count > 0) state_.tell(EventKind::lost, home.member, at + span.first, span.count);
  co_return Status::ok;
}

void Mover::fail(Command& command, Status status, Block block) const {
  if (command.status != Status::ok) return;
  command.status = status;
  command.bad_sector = state_.geometry.first_sector(block);
}

u32 Mover::sectors_of(Block begin, u64 blocks) const {
  DMR_ASSERT(blocks > 0 && blocks <= kBufferSectors);
  const u64 last = state_.geometry.sectors_in(begin + (blocks - 1));
  return static_cast<u32>(((blocks - 1) << state_.geometry.block_shift) + last);
}

// The part of the stored run that begins at `block`, at most `limit` blocks of it.
Run Mover::run_at(Block block, u64 limit) const {
  const Run stored = state_.index.lookup(block);
  Run run;
  run.begin = block;
  const u64 left = stored.begin.value + stored.length - block.value;
  run.length = left < limit ? left : limit;
  run.home = stored.home;
  if (run.home.member != kMain) run.home.spare = run.home.spare + (block - stored.begin);
  return run;
}

}  // namespace dmr

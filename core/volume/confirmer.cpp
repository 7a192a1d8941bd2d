// SPDX-License-Identifier: GPL-2.0-or-later
// Probes for the circuit breaker, one at a time.
#include "core/volume/confirmer.h"

#include "core/base/bugs.h"
#include "core/volume/drainer.h"

namespace dmr {

Status Confirmer::open() {
  buffer_ = static_cast<IoBuffer*>(state_.host.allocate(sizeof(IoBuffer), alignof(IoBuffer)));
  return buffer_ == nullptr ? Status::no_memory : Status::ok;
}

void Confirmer::close() {
  if (buffer_ != nullptr) state_.host.release(buffer_, sizeof(IoBuffer));
  buffer_ = nullptr;
}

Task<Status> Confirmer::confirm(FrameStack& frames, Member member, Direction direction,
                                u64 since_ns) {
  Breaker& breaker = state_.breakers[member];
  if (DMR_BUG(no_confirmation) || DMR_BUG(error_class_ignored)) co_return Status::ok;
  while (busy_) co_await free_.wait();
  // Whoever came before may have found the answer meanwhile.
  if (breaker.answered_since(direction, since_ns) && !breaker.open()) co_return Status::ok;
  co_return co_await run_probes(frames, member, direction, nullptr);
}

Task<Status> Confirmer::find_good_block(FrameStack& frames, Member spare, SpareExtent& good) {
  DMR_ASSERT(spare != kMain && good.blocks == 0);
  if (DMR_BUG(no_confirmation) || DMR_BUG(error_class_ignored)) co_return Status::ok;
  while (busy_) co_await free_.wait();
  co_return co_await run_probes(frames, spare, Direction::write, &good);
}

Task<Status> Confirmer::run_probes(FrameStack& frames, Member member, Direction direction,
                                   SpareExtent* good) {
  Breaker& breaker = state_.breakers[member];
  DMR_ASSERT(!busy_);
  if (!breaker.may_probe(state_.host.now_ns(), state_.config.breaker_rest_ns)) {
    co_return Status::io_error;
  }
  busy_ = true;
  Status status = Status::io_error;
  for (u32 i = 0; i < state_.config.probes && status != Status::ok; ++i) {
    ++turn_;
    if (member == kMain) {
      status = co_await probe_main(frames, direction, i);
    } else {
      status = co_await probe_spare(frames, member, direction, i, good);
    }
  }
  if (status == Status::ok && breaker.open()) {
    breaker.reset();
    state_.tell(EventKind::breaker_closed, member, Sector(0), 0);
  } else if (status != Status::ok) {
    if (!breaker.open()) state_.tell(EventKind::breaker_open, member, Sector(0), 0);
    breaker.trip(state_.host.now_ns());
  }
  busy_ = false;
  free_.wake_all(state_.executor);
  co_return status;
}

Task<Status> Confirmer::probe_spare(FrameStack& frames, Member member, Direction direction,
                                    u32 attempt, SpareExtent* good) {
  if (direction == Direction::write) co_return co_await write_free_blocks(frames, member, good);
  const Sector copy = state_.store.layout(member).superblock[attempt % 3];
  co_return co_await one_io(frames, IoOp::read, {member, copy, kMetaSectors});
}

// Blocks all over main, until one works or the device is to blame: where every tenth block is bad,
// a few that all happen to be bad must not pass for a dead disk.
Task<Status> Confirmer::probe_main(FrameStack& frames, Direction direction, u32 attempt) {
  for (u32 i = 0; i < kBlocks; ++i) {
    Block block;
    if (!pick_block(direction, attempt * kBlocks + i, block)) co_return Status::io_error;
    error_ = ErrorClass::none;  // stays when no I/O comes about
    Status status;
    if (direction == Direction::write) {
      status = co_await rewrite_good_block(frames, block);
    } else {
      status = co_await one_io(frames, IoOp::read, place_on_main(block));
    }
    if (status == Status::ok || !may_mark(error_)) co_return status;
  }
  co_return Status::io_error;
}

// A free block of the spare holds nothing that a write could harm. Far from the last probe, because
// bad blocks come in clusters and a cluster is not the device; and some next to each other, because
// they come in patterns, too (every second one, say).
Task<Status> Confirmer::write_free_blocks(FrameStack& frames, Member member, SpareExtent* good) {
  if (!state_.takes_data(member)) co_return Status::io_error;
  SpareBlock from(spread(turn_) % state_.store.layout(member).spare_blocks);
  for (u32 i = 0; i < kBlocks; ++i) {
    const Result<SpareExtent> extent = state_.spares.allocate_from(member, from);
    if (!extent.has_value()) co_return Status::io_error;
    __builtin_memset(buffer_->bytes, 0, sizeof(buffer_->bytes));
    const Sector sector = state_.geometry.spare_sector(extent->begin);
    const Status status =
        co_await one_io(frames, IoOp::write, {member, sector, state_.geometry.block_sectors});
    if (status == Status::ok && good != nullptr) {
      *good = *extent;
    } else if (status == Status::ok || io_.status == IoStatus::no_space) {
      state_.spares.release(member, extent->begin, 1);
    }  // else it may still arrive: nobody gets this block before the next open
    if (!may_mark(error_)) co_return status;  // it went well, or the device is to blame
    from = extent->begin;
  }
  co_return Status::io_error;
}

Task<Status> Confirmer::rewrite_good_block(FrameStack& frames, Block block) {
  if (!state_.locks.try_acquire(lock_, block, block + 1)) co_return Status::io_error;
  Status status = Status::io_error;
  const Result<HoldId> hold = co_await hold_blocks(frames, state_, block, 1);
  if (hold.has_value()) {
    const IoPlace place = place_on_main(block);
    // Its home cannot have changed: only the owner of the lock changes homes.
    if (home_of(state_, block).is_plain()) status = co_await one_io(frames, IoOp::read, place);
    if (status == Status::ok) status = co_await one_io(frames, IoOp::write, place);
    release_hold(state_, *hold);
  }
  state_.locks.release(lock_, state_.executor);
  co_return status;
}

Task<Status> Confirmer::one_io(FrameStack&, IoOp op, IoPlace place) {
  prepare(io_, op, place, buffer_->bytes);
  (void)co_await run_io(state_, io_);
  error_ = state_.observe(io_);
  co_return error_ == ErrorClass::none ? Status::ok : Status::io_error;
}

IoPlace Confirmer::place_on_main(Block block) const {
  return {kMain, state_.geometry.first_sector(block), state_.geometry.sectors_in(block)};
}

// Consecutive steps give numbers that lie far apart.
u64 Confirmer::spread(u64 step) {
  constexpr u64 kGolden = 0x9E3779B97F4A7C15U;
  return (step * kGolden) >> 8U;
}

// A block that lives on main and is not lost, far from the ones that earlier probes took. One that
// somebody works on cannot be rewritten now, which says nothing about the device. Where there is no
// other (a request may lock a small disk as a whole, or all of it be remapped), any can be read.
bool Confirmer::pick_block(Direction direction, u32 attempt, Block& block) {
  constexpr u64 kTries = 64;
  const u64 blocks = state_.geometry.blocks();
  bool found = false;
  for (u64 i = 0; i < kTries; ++i) {
    const Block candidate(spread((turn_ + attempt) * kTries + i) % blocks);
    const bool plain = home_of(state_, candidate).is_plain();
    const bool best = plain && state_.locks.is_free(candidate);
    if (!found || best) block = candidate;
    if (best) return true;
    found = found || plain;
  }
  return direction == Direction::read;
}

}  // namespace dmr

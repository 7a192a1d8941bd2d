// SPDX-License-Identifier: GPL-2.0-or-later
// The scrub's loop: bursts of reads, and rests that leave the disk to its users. A disk that is
// busy answers slowly, and as long as a burst took the scrub rests, so that it takes half of it at
// most.
#include "core/volume/scrubber.h"

#include "core/base/bugs.h"
#include "core/volume/salvage.h"

namespace dmr {

// Submits the request and resumes once it is done.
struct Scrubber::SalvageAwait {
  Scrubber& scrubber;
  Ready node{};

  [[nodiscard]] bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) noexcept {
    node.set_resume(handle);
    Request& request = scrubber.request_;
    request.context = this;
    request.done = [](Request& ended) {
      auto* self = static_cast<SalvageAwait*>(ended.context);
      self->scrubber.state_.executor.post(self->node);
    };
    scrubber.submit_(scrubber.context_, request);
  }
  void await_resume() const noexcept {}
};

Status Scrubber::open() {
  buffer_ = static_cast<IoBuffer*>(state_.host.allocate(sizeof(IoBuffer), alignof(IoBuffer)));
  if (buffer_ == nullptr) return Status::no_memory;
  return background_.open(kFrameBytes);
}

void Scrubber::close() {
  background_.close();
  if (buffer_ != nullptr) state_.host.release(buffer_, sizeof(IoBuffer));
  buffer_ = nullptr;
}

Status Scrubber::act(ScrubAction action, Sector from) {
  if (background_.stopping()) return Status::closed;
  switch (action) {
    case ScrubAction::start:
      if (from >= end()) return Status::invalid;
      if (stats_.state == ScrubState::running) return Status::ok;
      if (stats_.state == ScrubState::idle) {
        const Sector position = state_.geometry.first_sector(state_.geometry.block_of(from));
        begin(ScrubStats{.position = position, .passes = stats_.passes});
      }
      stats_.state = ScrubState::running;
      go_on();
      return Status::ok;
    case ScrubAction::pause:
      if (stats_.state == ScrubState::idle) return Status::invalid;
      stats_.state = ScrubState::paused;
      return Status::ok;
    case ScrubAction::stop:
      stats_.state = ScrubState::idle;
      ++pass_;
      return Status::ok;
  }
  return Status::invalid;
}

Status Scrubber::restore(const ScrubStats& kept) {
  if (background_.stopping()) return Status::closed;
  if (kept.position > end()) return Status::invalid;
  ++pass_;
  begin(kept);
  if (kept.state == ScrubState::held) stats_.state = ScrubState::running;
  go_on();
  return Status::ok;
}

void Scrubber::hold(bool on) {
  if (held_ == on) return;
  held_ = on;
  if (!on) go_on();
}

ScrubStats Scrubber::stats() const {
  ScrubStats stats = stats_;
  if (held_ && stats.state == ScrubState::running) stats.state = ScrubState::held;
  return stats;
}

// What failed in an earlier pass says nothing about this one.
void Scrubber::begin(const ScrubStats& from) {
  stats_ = from;
  narrow_end_ = Sector(0);
  silent_ = 0;
}

void Scrubber::go_on() {
  failed_before_ = false;
  blamed_ = 0;
  due_ns_ = 0;
  background_.wake();
}

void Scrubber::end_rest() {
  if (failed_before_) return;  // that rest is the device's
  due_ns_ = 0;
  background_.wake();
}

u64 Scrubber::on_timer(u64 now) {
  if (!runs() || !background_.sleeps()) return ~u64{0};
  if (due_ns_ > now) return due_ns_;
  background_.wake();
  return ~u64{0};
}

Task<Status> Scrubber::loop(FrameStack& frames) {
  while (!background_.stopping()) {
    if (!runs()) {
      co_await background_.wait();
    } else if (stats_.position >= end()) {
      end_pass();
    } else if (state_.host.now_ns() < due_ns_) {
      state_.host.wake_at(due_ns_);
      co_await background_.wait();
    } else {
      const Status status = co_await burst(frames);
      DMR_ASSERT(status != Status::again);  // the frames fit
    }
  }
  co_return Status::ok;
}

Task<Status> Scrubber::burst(FrameStack& frames) {
  const u64 began_ns = state_.host.now_ns();
  const u64 before = stats_.read_sectors;
  for (u32 i = 0; i < kBurst && runs() && stats_.position < end(); ++i) {
    if (state_.host.now_ns() - began_ns > kBurst_ns) break;
    if (co_await read_next(frames) == Status::ok) continue;
    due_ns_ = state_.host.now_ns() + state_.config.breaker_rest_ns;
    co_return Status::io_error;
  }
  rest_after(began_ns, stats_.read_sectors > before ? stats_.read_sectors - before : 0);
  co_return Status::ok;
}

// ok: on with what lies at the position now. Otherwise that is to be tried again after a rest.
Task<Status> Scrubber::read_next(FrameStack& frames) {
  const Piece piece = next_piece();
  if (!piece.is_readable) {
    pass_over(piece.sectors);
    co_return Status::ok;
  }
  const u64 pass = pass_;
  prepare(io_, IoOp::read, piece.place, buffer_->bytes);
  (void)co_await run_io(state_, io_);
  error_ = state_.observe(io_);
  if (pass != pass_) co_return Status::ok;
  if (error_ == ErrorClass::none || DMR_BUG(scrub_passes_over)) {
    go_on_behind(piece.sectors);
    blamed_ = 0;
    co_return Status::ok;
  }
  const Block block = state_.geometry.block_of(stats_.position);
  const Sector next_block = state_.geometry.first_sector(block + 1);
  if (next_block < stats_.position + piece.sectors) {
    // Whatever follows holds one block at a time, so that users wait for no other's salvage.
    narrow_end_ = stats_.position + piece.sectors;
    co_return Status::ok;
  }
  if (!may_mark(error_)) co_return co_await blame(frames, piece, pass);
  if (!failed_before_) ++stats_.failed_reads;
  co_return co_await salvage_piece(frames, piece, pass);
}

// Sectors of one block, which have just failed.
Task<Status> Scrubber::salvage_piece(FrameStack& frames, const Piece& piece, u64 pass) {
  const Piece now = next_piece();
  // It did not fail where it lives now.
  if (!now.is_readable || now.place != piece.place) co_return Status::ok;
  request_ = Request{};
  request_.own = true;
  request_.error = io_.status;
  request_.elapsed_ns = io_.elapsed_ns;
  request_.sector = stats_.position;
  request_.sectors = static_cast<u32>(piece.sectors);
  request_.payload = &nowhere_;
  co_await SalvageAwait{*this};
  if (pass != pass_ || request_.status == Status::closed) co_return Status::ok;
  if (request_.device_error) co_return co_await blame(frames, piece, pass);
  if (request_.status != Status::ok) ++stats_.unreadable_blocks;
  go_on_behind(piece.sectors);
  blamed_ = 0;
  co_return Status::ok;
}

// The device does not give the piece, for a reason that says nothing of the medium. It is tried
// once more after a rest, unless the place before was such a one. Then the device has to answer
// elsewhere: if it does, this is a place that comes too late or not at all, and nothing is marked;
// if not, the device is gone.
Task<Status> Scrubber::blame(FrameStack& frames, const Piece& piece, u64 pass) {
  const bool has_told = may_mark(error_);  // the salvage, which met it
  if (!failed_before_ && blamed_ == 0) {
    failed_before_ = true;
    co_return Status::io_error;
  }
  const Member member = piece.place.member;
  const IoStatus why = has_told ? IoStatus::ok : io_.status;
  const Status answers =
      co_await confirmer_.confirm(frames, member, Direction::read, state_.host.now_ns());
  if (pass != pass_ || background_.stopping()) co_return Status::ok;
  if (answers == Status::ok) {
    if (!has_told) {
      ++stats_.failed_reads;
      state_.tell(EventKind::device_error, member, stats_.position, piece.sectors, why);
    }
    ++stats_.unreadable_blocks;
    go_on_behind(piece.sectors);
    if (++blamed_ < kBlamed) co_return Status::ok;
  } else if (member != kMain) {
    silent_ |= 1U << member;
    failed_before_ = false;
    co_return Status::ok;
  }
  failed_before_ = false;
  if (runs()) {
    stats_.state = ScrubState::paused;
    state_.tell(EventKind::scrub_paused, member, stats_.position, 0, why);
  }
  co_return Status::ok;
}

Scrubber::Piece Scrubber::next_piece() const {
  const Block block = state_.geometry.block_of(stats_.position);
  const Run run = state_.index.lookup(block);
  Piece piece;
  const bool is_silent = ((silent_ >> run.home.member) & 1U) != 0;
  if (run.home.lost == LostKind::some && !is_silent) return part_of_block(run, block);
  const bool narrow = stats_.position < narrow_end_;
  const Sector block_end = state_.geometry.first_sector(block + 1);
  const Sector limit = narrow && block_end < end() ? block_end : end();
  if (!is_silent) piece.sectors = readable_sectors(state_, stats_.position, limit, piece.place);
  piece.is_readable = piece.sectors > 0;
  if (piece.is_readable) return piece;
  // Known as lost, or its member is gone or does not answer: the whole run.
  const Sector run_end = state_.geometry.first_sector(run.begin + run.length);
  piece.sectors = (run_end < end() ? run_end : end()) - stats_.position;
  DMR_ASSERT(piece.sectors > 0);
  return piece;
}

Scrubber::Piece Scrubber::part_of_block(const Run& run, Block block) const {
  const u32 sectors = state_.geometry.sectors_in(block);
  const u32 first = state_.geometry.sector_in_block(stats_.position);
  Piece piece;
  piece.is_readable = !run.home.mask.test(first) && state_.readable(run.home.member);
  u32 behind = first + 1;
  while (behind < sectors && run.home.mask.test(behind) == run.home.mask.test(first)) ++behind;
  piece.sectors = behind - first;
  if (piece.is_readable) {
    piece.place = place_of(state_, run.home, block, first, behind - first);
  }
  return piece;
}

void Scrubber::pass_over(u64 sectors) {
  stats_.skipped_sectors += sectors;
  stats_.position = stats_.position + sectors;
  failed_before_ = false;
}

void Scrubber::go_on_behind(u64 sectors) {
  stats_.read_sectors += sectors;
  stats_.position = stats_.position + sectors;
  failed_before_ = false;
}

void Scrubber::end_pass() {
  stats_.state = ScrubState::idle;
  ++stats_.passes;
  state_.tell(EventKind::scrub_ended, kMain, Sector(0), stats_.read_sectors);
}

void Scrubber::rest_after(u64 began_ns, u64 sectors) {
  const u64 now = state_.host.now_ns();
  const u64 took = now - began_ns;
  const u64 at_rate = sectors * (kSecond / 2) / state_.config.scrub_kib_per_s;
  u64 rest = at_rate > 2 * took ? at_rate - took : took;
  if (rest < kShortestRest) rest = kShortestRest;
  due_ns_ = now + rest;
}

}  // namespace dmr

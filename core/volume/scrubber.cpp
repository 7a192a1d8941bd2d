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
  Host& host = state_.host;
  frame_memory_ = static_cast<std::byte*>(host.allocate(kFrameBytes, 64));
  buffer_ = static_cast<IoBuffer*>(host.allocate(sizeof(IoBuffer), alignof(IoBuffer)));
  if (frame_memory_ == nullptr || buffer_ == nullptr) return Status::no_memory;
  frames_.init(host, frame_memory_, kFrameBytes);
  return Status::ok;
}

void Scrubber::close() {
  root_.reset();
  Host& host = state_.host;
  if (frame_memory_ != nullptr) {
    host.unpoison(frame_memory_, kFrameBytes);
    host.release(frame_memory_, kFrameBytes);
  }
  if (buffer_ != nullptr) host.release(buffer_, sizeof(IoBuffer));
  frame_memory_ = nullptr;
  buffer_ = nullptr;
}

void Scrubber::start() {
  DMR_ASSERT(!root_.has_value());
  root_.emplace(loop(frames_));
  DMR_ASSERT(root_->has_frame());
  ended_.context = this;
  ended_.run = [](Ready& node) {
    auto* self = static_cast<Scrubber*>(node.context);
    DMR_ASSERT(self->stopped_ != nullptr);
    self->state_.executor.post(*self->stopped_);
  };
  root_->start(state_.executor, ended_);
}

void Scrubber::request_stop(Ready& stopped) {
  stop_ = true;
  stopped_ = &stopped;
  wake_.wake_all(state_.executor);
}

Status Scrubber::act(ScrubAction action, Sector from) {
  if (stop_) return Status::closed;
  switch (action) {
    case ScrubAction::start:
      if (from >= end()) return Status::invalid;
      if (stats_.state == ScrubState::idle) {
        stats_ =
            ScrubStats{.state = ScrubState::running, .position = from, .passes = stats_.passes};
        ++pass_;
      }
      stats_.state = ScrubState::running;
      device_failures_ = 0;
      due_ns_ = 0;
      wake_.wake_all(state_.executor);
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
  if (stop_) return Status::closed;
  if (kept.position > end()) return Status::invalid;
  stats_ = kept;
  ++pass_;
  device_failures_ = 0;
  due_ns_ = 0;
  wake_.wake_all(state_.executor);
  return Status::ok;
}

u64 Scrubber::on_timer(u64 now) {
  if (!runs() || !wake_.has_waiters()) return ~u64{0};
  if (due_ns_ > now) return due_ns_;
  wake_.wake_all(state_.executor);
  return ~u64{0};
}

Task<Status> Scrubber::loop(FrameStack& frames) {
  while (!stop_) {
    if (!runs()) {
      co_await wake_.wait();
    } else if (stats_.position >= end()) {
      end_pass();
    } else if (state_.host.now_ns() < due_ns_) {
      state_.host.wake_at(due_ns_);
      co_await wake_.wait();
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
    if (co_await read_next(frames) == Status::ok) continue;
    if (runs()) note_device_failure();
    co_return Status::io_error;
  }
  rest_after(began_ns, stats_.read_sectors > before ? stats_.read_sectors - before : 0);
  co_return Status::ok;
}

// ok: on with what comes next. Otherwise its device as a whole fails, and the position stays.
Task<Status> Scrubber::read_next(FrameStack& frames) {
  IoPlace place;
  const u32 sectors = readable_sectors(state_, stats_.position, end(), place);
  if (sectors == 0) {
    pass_over();
    co_return Status::ok;
  }
  const u64 pass = pass_;
  prepare(io_, IoOp::read, place, buffer_->bytes);
  (void)co_await run_io(state_, io_);
  const ErrorClass error = state_.observe(io_);
  if (pass != pass_) co_return Status::ok;
  if (error != ErrorClass::none && !may_mark(error)) co_return Status::io_error;
  if (error != ErrorClass::none && !DMR_BUG(scrub_passes_over)) {
    ++stats_.failed_reads;
    co_return co_await salvage_piece(frames, sectors, pass);
  }
  device_failures_ = 0;
  stats_.position = stats_.position + sectors;
  stats_.read_sectors += sectors;
  co_return Status::ok;
}

// It ends at the first block that cannot be given whole. Those behind it are read anew: they have
// not failed.
Task<Status> Scrubber::salvage_piece(FrameStack&, u32 sectors, u64 pass) {
  request_ = Request{};
  request_.own = true;
  request_.error = io_.status;
  request_.elapsed_ns = io_.elapsed_ns;
  request_.sector = stats_.position;
  request_.sectors = sectors;
  request_.payload = &nowhere_;
  co_await SalvageAwait{*this};
  if (pass != pass_ || request_.status == Status::closed) co_return Status::ok;
  Sector next = stats_.position + sectors;
  if (request_.status != Status::ok) {
    DMR_ASSERT(request_.bad_sector >= stats_.position && request_.bad_sector < next);
    if (request_.device_error) co_return Status::io_error;
    ++stats_.unreadable_blocks;
    const Block behind = state_.geometry.block_of(request_.bad_sector) + 1;
    const Sector begin = state_.geometry.first_sector(behind);
    if (begin < next) next = begin;
  }
  device_failures_ = 0;
  stats_.read_sectors += next - stats_.position;
  stats_.position = next;
  co_return Status::ok;
}

// Nothing to be read in the run here: known as lost, or its member is gone.
void Scrubber::pass_over() {
  const Run run = state_.index.lookup(state_.geometry.block_of(stats_.position));
  const Sector run_end = state_.geometry.first_sector(run.begin + run.length);
  const Sector next = run_end < end() ? run_end : end();
  DMR_ASSERT(next > stats_.position);
  stats_.skipped_sectors += next - stats_.position;
  stats_.position = next;
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

void Scrubber::note_device_failure() {
  due_ns_ = state_.host.now_ns() + state_.config.breaker_rest_ns;
  if (++device_failures_ < kDeviceFailures) return;
  stats_.state = ScrubState::paused;
  state_.tell(EventKind::scrub_paused, io_.member, stats_.position, 0, io_.status);
}

}  // namespace dmr

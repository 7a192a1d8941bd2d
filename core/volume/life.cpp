// SPDX-License-Identifier: GPL-2.0-or-later
// Opening and closing a volume.
#include "core/volume/loading.h"
#include "core/volume/volume.h"

namespace dmr {

void Volume::start_life(Task<Status>&& task, void (*ended)(Ready&)) {
  DMR_ASSERT(!life_.has_value());
  life_ended_.context = this;
  life_ended_.run = ended;
  life_.emplace(static_cast<Task<Status>&&>(task));
  DMR_ASSERT(life_->has_frame());
  life_->start(state_.executor, life_ended_);
}

void Volume::open(Open& open) {
  DMR_ASSERT(!running_ && open_ == nullptr && close_ == nullptr);
  open_ = &open;
  state_.opened_read_only = open.read_only;
  if (life_memory_ == nullptr) {
    life_memory_ = static_cast<std::byte*>(state_.host.allocate(kLifeFrameBytes, 64));
  }
  if (life_memory_ == nullptr) {
    open_ = nullptr;
    open.status = Status::no_memory;
    return open.done(open);
  }
  life_frames_.init(state_.host, life_memory_, kLifeFrameBytes);
  start_life(open_task(life_frames_), [](Ready& node) {
    auto* self = static_cast<Volume*>(node.context);
    Open& ended = *self->open_;
    ended.status = self->life_->result();
    self->life_.reset();
    self->open_ = nullptr;
    if (ended.status != Status::ok) self->release_parts();
    self->running_ = ended.status == Status::ok;
    ended.done(ended);
  });
}

Task<Status> Volume::open_task(FrameStack& frames) {
  NoFindings nobody;
  FindingSink* findings = open_->findings != nullptr ? open_->findings : &nobody;
  Loading loading(state_);
  Status status = state_.store.open_memory();
  if (status != Status::ok) co_return status;
  status = co_await state_.store.load(frames, open_->load, loading, *findings);
  if (status == Status::ok) status = loading.finish();
  if (status != Status::ok) {
    loading.abandon();
    co_return status;
  }
  status = adopt(findings);
  if (status != Status::ok) co_return status;
  const bool write = !open_->read_only && state_.store.writable_allowed();
  if (write) status = co_await state_.store.begin_writing(frames, committer_);
  if (status != Status::ok) co_return status;
  for (Member m = 0; m < state_.members; ++m) {
    state_.member_state[m].store(static_cast<u8>(state_.store.state(m)), std::memory_order_release);
    if (m != kMain) state_.spares.set_open(m, state_.takes_data(m));
  }
  status = open_parts();
  if (status != Status::ok) co_return status;
  if (write) committer_.notice_member_states();
  state_.writable.store(write, std::memory_order_release);
  co_return Status::ok;
}

// What load has found becomes the volume's: homes have one owner each, or the volume stays closed.
Status Volume::adopt(FindingSink* findings) {
  const format::Superblock& superblock = state_.store.superblock();
  state_.unit_sectors = superblock.member[kMain].logical_block_bytes / kSectorBytes;
  DMR_ASSERT(state_.unit_sectors > 0);
  // Writes of an earlier opening may still lie in a spare's cache: the first flush must go there.
  for (Member m = 0; m < kMaxMembers; ++m) {
    state_.flush[m].written.store(1, std::memory_order_relaxed);
    state_.flush[m].flushed.store(0, std::memory_order_relaxed);
  }
  return claim_homes(findings);
}

Status Volume::claim_homes(FindingSink* findings) {
  Index::Cursor cursor;
  Run run;
  while (state_.index.next(cursor, run)) {
    if (run.home.member == kMain) continue;
    if (state_.spares.mark_used(run.home.member, run.home.spare, run.length)) continue;
    Finding finding;
    finding.kind = FindingKind::double_owner;
    finding.member = run.home.member;
    finding.fatal = true;
    finding.address = state_.geometry.spare_sector(run.home.spare);
    findings->found(finding);
    return Status::damaged;
  }
  return Status::ok;
}

Status Volume::open_parts() {
  Host& host = state_.host;
  const VolumeConfig& config = state_.config;
  state_.epochs.open(state_.geometry);
  item_memory_ = static_cast<std::byte*>(
      host.allocate(std::size_t{config.work_items} * config.frame_bytes, 64));
  if (item_memory_ == nullptr) return Status::no_memory;
  Status status = state_.health_records.open(host, config.health_records);
  if (status == Status::ok) status = state_.io_contexts.open(host, config.io_contexts);
  if (status == Status::ok) status = state_.work_items.open(host, config.work_items);
  if (status == Status::ok) status = state_.buffers.open(host, config.buffers);
  if (status == Status::ok) status = confirmer_.open();
  if (status == Status::ok) status = committer_.open();
  if (status == Status::ok) status = mover_.open();
  if (status == Status::ok) status = scrubber_.open();
  if (status != Status::ok) return status;
  committer_.start();
  mover_.start();
  scrubber_.start();
  return Status::ok;
}

void Volume::close(Close& close) {
  DMR_ASSERT(running_ && close_ == nullptr);
  close_ = &close;
  state_.closing = true;
  start_life(close_task(life_frames_), [](Ready& node) {
    auto* self = static_cast<Volume*>(node.context);
    Close& ended = *self->close_;
    ended.status = self->life_->result();
    self->life_.reset();
    self->close_ = nullptr;
    self->running_ = false;
    self->release_parts();
    ended.done(ended);
  });
}

// Waits for a node that somebody posts.
struct PostedAwait {
  Ready& node;
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) const noexcept { node.set_resume(handle); }
  void await_resume() const noexcept {}
};

// A spare may be left out of the next opening: a FLUSH then could not reach what lies in its cache.
Task<Status> Volume::flush_spares(FrameStack&) {
  Status status = Status::ok;
  for (Member m = 1; m < state_.members; ++m) {
    const FlushState& flush = state_.flush[m];
    if (!state_.readable(m) || state_.opened_read_only ||
        flush.written.load(std::memory_order_acquire) <=
            flush.flushed.load(std::memory_order_acquire)) {
      continue;
    }
    DeviceIo io;
    if (co_await run_flush(state_, io, m) == ErrorClass::none) continue;
    state_.tell(EventKind::flush_failed, m, Sector(0), 0, io.status);
    status = Status::io_error;
  }
  co_return status;
}

Task<Status> Volume::close_task(FrameStack& frames) {
  Ready stopped;
  scrubber_.request_stop(stopped);
  co_await PostedAwait{stopped};
  while (!active_.empty() || anything_waits()) co_await quiet_.wait();
  mover_.request_stop(stopped);
  co_await PostedAwait{stopped};
  committer_.request_stop(writable(), stopped);
  co_await PostedAwait{stopped};
  Status status = committer_.last_checkpoint();
  state_.writable.store(false, std::memory_order_release);
  const Status flushed = co_await flush_spares(frames);
  if (status == Status::ok) status = flushed;
  // Leaves that were superseded and epochs that were flipped still have callbacks to come.
  while (!state_.index.quiet() || !state_.epochs.idle()) {
    co_await GraceAwait{state_.host, state_.executor};
  }
  co_return status;
}

void Volume::release_parts() {
  DMR_ASSERT(active_.empty() && !anything_waits());
  scrubber_.close();
  mover_.close();
  committer_.close();
  confirmer_.close();
  state_.health_records.close();
  state_.io_contexts.close();
  state_.work_items.close();
  state_.buffers.close();
  Host& host = state_.host;
  if (item_memory_ != nullptr) {
    const std::size_t bytes = std::size_t{state_.config.work_items} * state_.config.frame_bytes;
    host.unpoison(item_memory_, bytes);
    host.release(item_memory_, bytes);
    item_memory_ = nullptr;
  }
  state_.index.close();
  state_.spares.close(host);
  state_.store.close_memory();
  if (life_memory_ != nullptr) {
    host.unpoison(life_memory_, kLifeFrameBytes);
    host.release(life_memory_, kLifeFrameBytes);
    life_memory_ = nullptr;
  }
  state_.writable.store(false, std::memory_order_release);
}

}  // namespace dmr

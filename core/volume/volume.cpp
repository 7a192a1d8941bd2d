// SPDX-License-Identifier: GPL-2.0-or-later
// The volume's face: admission of slow requests, commands, timers, flushes, statistics.
#include "core/volume/volume.h"

#include "core/format/validate.h"

namespace dmr {

Volume::Volume(Host& host, const VolumeConfig& config)
    : state_(host, config),
      confirmer_(state_),
      committer_(state_),
      mover_(state_, confirmer_, committer_),
      recovery_(state_, confirmer_, committer_, mover_),
      scrubber_(
          state_, confirmer_,
          [](void* self, Request& request) { static_cast<Volume*>(self)->submit(request); }, this) {
}

Volume::~Volume() { DMR_ASSERT(!running_ && !life_.has_value()); }

void Volume::reject(Request& request, Status status) {
  request.status = status;
  request.bad_sector = request.sector;
  request.done(request);
}

// A FUA write that met no hold: its block lives where a write and a flush are sent in its place.
bool Volume::comes_for_flush(const Request& request) const {
  if (!request.fua || !is_write(request.op)) return false;
  const Route found = route(request.sector, request.sectors, true);
  return found.kind == RouteKind::device && !state_.store.takes_fua(found.member);
}

void Volume::submit(Request& request) {
  const bool writes = is_write(request.op);
  if (!running_ || state_.closing) return reject(request, Status::closed);
  if (request.op == IoOp::flush) return await_outcomes(request);
  if (request.sectors > kMaxRequestSectors ||
      !state_.geometry.contains(request.sector, request.sectors)) {
    return reject(request, Status::invalid);
  }
  if (writes && !writable()) return reject(request, Status::read_only);
  if (request.error == IoStatus::ok) {
    if (!comes_for_flush(request)) ++state_.counters.held_requests;
    if (DMR_BUG(request_lost)) return;
  }
  if (request.op == IoOp::read) {
    request.deadline_ns =
        request.own ? ~u64{0} : state_.host.now_ns() + state_.config.recover_deadline_ns;
    if (!request.own) state_.host.wake_at(request.deadline_ns);
  }
  (needs_buffer(request) ? waiting_for_buffer_ : waiting_).push_back(request);
  schedule_admission();
}

// A flush that went well beside others: done when it is known how those ended.
void Volume::await_outcomes(Request& request) {
  if (request.member >= state_.members) return reject(request, Status::invalid);
  request.status = Status::ok;
  request.node.context = &request;
  request.node.run = [](Ready& node) {
    auto* ended = static_cast<Request*>(node.context);
    ended->done(*ended);
  };
  state_.flush[request.member].wait(state_.executor, request.node);
}

void Volume::check_drains() {
  state_.epochs.poll(state_.host);
  for (Member m = 0; m < state_.members; ++m) state_.flush[m].poll(state_.executor);
}

// Operations start from the executor, never inside their submitter.
void Volume::schedule_admission() {
  if (admission_posted_) return;
  admission_posted_ = true;
  admission_.context = this;
  admission_.run = [](Ready& node) {
    auto* self = static_cast<Volume*>(node.context);
    self->admission_posted_ = false;
    self->admit();
  };
  state_.executor.post(admission_);
}

// Reads are salvaged through a buffer, and so is the rest of a block that is written in part.
bool Volume::needs_buffer(const Request& request) const {
  if (request.op == IoOp::read) return true;
  if (request.op == IoOp::discard) return false;
  if (superblock().policy == static_cast<u8>(format::Policy::rewrite)) return true;
  const Sector end = request.sector + request.sectors;
  const bool end_aligned =
      state_.geometry.sector_in_block(end) == 0 || end.value == state_.geometry.volume_sectors;
  return state_.geometry.sector_in_block(request.sector) != 0 || !end_aligned;
}

// Each with all that it will ever need, or not at all. Those that need no buffer do not wait behind
// those that do: a FUA write that comes for its flush has nothing to do with salvages.
void Volume::admit() {
  bool progress = true;
  while (progress) {
    progress = admit_first(waiting_for_buffer_, true);
    progress |= admit_first(waiting_, false);
  }
  if (!anything_waits()) return;
  // Whoever is under way will finish, and call again. The pools count that somebody waited.
  if (state_.work_items.available() == 0) {
    (void)state_.work_items.acquire();
  } else if (!waiting_for_buffer_.empty() && state_.buffers.available() == 0) {
    (void)state_.buffers.acquire();
  }
}

bool Volume::admit_first(Fifo<Request>& queue, bool buffer) {
  if (state_.work_items.available() == 0 || state_.io_contexts.available() < 2) return false;
  if (buffer && state_.buffers.available() == 0) return false;
  Request* request = queue.pop_front();
  if (request == nullptr) return false;
  start_item(*request, buffer);
  return true;
}

void Volume::start_item(Request& request, bool buffer) {
  WorkItem* item = state_.work_items.acquire();
  DMR_ASSERT(item != nullptr);
  const u32 number = state_.work_items.index_of(item);
  item->frames.init(state_.host, item_memory_ + std::size_t{number} * state_.config.frame_bytes,
                    state_.config.frame_bytes);
  for (DeviceIo*& io : item->tools.io) {
    io = state_.io_contexts.acquire();
    DMR_ASSERT(io != nullptr);
  }
  if (buffer) {
    item->tools.buffer = state_.buffers.acquire();
    DMR_ASSERT(item->tools.buffer != nullptr);
  }
  const u64 now = state_.host.now_ns();
  item->request = &request;
  item->op = request.op;
  item->fua = request.fua;
  item->sectors = request.sectors;
  item->bad_sector = request.sector;
  item->failed = request.error != IoStatus::ok;
  item->medium_suspect = classify(request.error, request.elapsed_ns,
                                  state_.config.device_timeout_ns) == ErrorClass::medium;
  item->tools.failed_at_ns = now;
  item->deadline_ns = request.deadline_ns;
  item->changes = Changes{item->records, kItemRecords, 0, 0};
  active_.push_back(*item);
  item->owner = this;
  item->finished.context = item;
  item->finished.run = [](Ready& node) {
    auto* ended = static_cast<WorkItem*>(node.context);
    static_cast<Volume*>(ended->owner)->finish_item(*ended);
  };
  item->root.emplace(recovery_.serve(item->frames, *item));
  DMR_ASSERT(item->root->has_frame());
  item->root->start(state_.executor, item->finished);
}

void Volume::finish_item(WorkItem& item) {
  DMR_ASSERT(item.request == nullptr);
  item.root.reset();
  DMR_ASSERT(item.frames.used() == 0);
  DMR_ASSERT(active_.remove(item));
  for (DeviceIo* io : item.tools.io) state_.io_contexts.release(io);
  if (item.tools.buffer != nullptr) state_.buffers.release(item.tools.buffer);
  state_.work_items.release(&item);
  if (anything_waits()) schedule_admission();
  if (active_.empty() && !anything_waits()) quiet_.wake_all(state_.executor);
}

Status Volume::scrub(ScrubAction action, Sector from) {
  if (!running_ || state_.closing) return Status::closed;
  return scrubber_.act(action, from);
}

Status Volume::restore_scrub(const ScrubStats& kept) {
  if (!running_ || state_.closing) return Status::closed;
  return scrubber_.restore(kept);
}

void Volume::command(Command& command) {
  command.status = Status::ok;
  command.rest = command.ranges.empty() ? Sector(0) : command.ranges.front().begin;
  if (!running_ || state_.closing) {
    command.status = Status::closed;
  } else if (!writable()) {
    command.status = Status::read_only;
  } else if (command.kind == CommandKind::checkpoint) {
    return committer_.request_checkpoint(command);
  }
  Sector behind(0);  // the mover passes over the ranges once
  for (const SectorRange& range : command.ranges) {
    if (command.status != Status::ok) break;
    if (!state_.geometry.contains(range.begin, range.sectors) || range.begin < behind) {
      command.status = Status::invalid;
      command.bad_sector = range.begin;
    } else {
      behind = range.begin + range.sectors;
    }
  }
  if (command.status != Status::ok) return command.done(command);
  mover_.submit(command);
}

// Reads that have waited long enough without their turn having come. Writes stay: an error would
// say that nothing takes their data, and nobody has tried yet; those before them end.
u64 Volume::answer_overdue_waiting(u64 now) {
  Fifo<Request> overdue;
  Fifo<Request> others;
  u64 next = ~u64{0};
  while (Request* request = waiting_for_buffer_.pop_front()) {
    const bool reads = request->op == IoOp::read;
    if (reads && request->deadline_ns > now && request->deadline_ns < next) {
      next = request->deadline_ns;
    }
    (reads && request->deadline_ns <= now ? overdue : others).push_back(*request);
  }
  waiting_for_buffer_ = others;
  if (const Request* first = overdue.front()) {
    state_.tell(EventKind::pool_exhausted, kMain, first->sector, first->sectors);
  }
  while (Request* request = overdue.pop_front()) {
    ++state_.counters.failed_reads;
    reject(*request, Status::io_error);
  }
  if (active_.empty() && !anything_waits()) quiet_.wake_all(state_.executor);
  return next;
}

void Volume::on_timer() {
  if (!running_) return;
  const u64 now = state_.host.now_ns();
  u64 next = answer_overdue_waiting(now);
  for (WorkItem* item = active_.front(); item != nullptr; item = item->next) {
    if (item->request == nullptr || item->op != IoOp::read) continue;
    if (item->deadline_ns <= now && !item->payload_busy) {
      // The reader has waited long enough; the salvage goes on behind.
      recovery_.answer(*item, Status::io_error, item->bad_sector);
      if (item->lock.waiting) state_.locks.give_up(item->lock, state_.executor);
      continue;
    }
    const u64 due = item->deadline_ns > now ? item->deadline_ns : now + 100 * kMillisecond;
    if (due < next) next = due;
  }
  state_.pages_arrived.wake_all(state_.executor);
  const u64 scrub_due = scrubber_.on_timer(now);
  if (scrub_due < next) next = scrub_due;
  if (next != ~u64{0}) state_.host.wake_at(next);
}

void Volume::give_page(void* page) {
  state_.index.give_page(page);
  state_.pages_arrived.wake_all(state_.executor);
}

void Volume::flush_failed(Member member, IoStatus status) {
  if (!running_ || state_.closing) return;
  state_.tell(EventKind::flush_failed, member, Sector(0), 0, status);
  if (member != kMain) committer_.request_retire(member);
}

Route Volume::by_member_state(Route found, bool write) const {
  if (found.kind != RouteKind::device) return found;
  if (!state_.readable(found.member)) {
    found.kind = RouteKind::gone;
  } else if (write && !(writable() && state_.takes_data(found.member))) {
    found.kind = RouteKind::slow;
  }
  return found;
}

void Volume::route_batch(std::span<const Extent> extents, u32 writes, std::span<Route> out) const {
  state_.index.route_batch(extents, out);
  const bool usual = writes == 0 || writable();  // after the routes, as in route()
  for (std::size_t i = 0; i < extents.size(); ++i) {
    if (out[i].member == kMain && usual) [[likely]]
      continue;
    out[i] = by_member_state(out[i], ((writes >> i) & 1U) != 0);
  }
}

FlushTicket Volume::flush_begin(u32 members) {
  FlushTicket ticket;
  ticket.members = members & (1U << kMain);
  for (Member m = 1; m < state_.members; ++m) {
    if (((members >> m) & 1U) == 0) continue;
    if (!state_.readable(m) || DMR_BUG(skip_flush_of_spare)) continue;
    // `flushed` first: were it read last, a flush that ended in between could hide a newer write.
    const u64 flushed = state_.flush[m].flushed.load(std::memory_order_acquire);
    ticket.token[m] = state_.flush[m].written.load(std::memory_order_acquire);
    if (ticket.token[m] > flushed) ticket.members |= 1U << m;
  }
  for (Member m = 0; m < state_.members; ++m) {
    if (((ticket.members >> m) & 1U) != 0) ticket.lanes |= state_.flush[m].begin() << m;
  }
  return ticket;
}

bool Volume::flush_member_ok(const FlushTicket& ticket, Member member) {
  FlushState& flush = state_.flush[member];
  flush.end((ticket.lanes >> member) & 1U);
  // Beside another of unknown outcome it covers nothing: the next flush reaches for the data again.
  if (!flush.quiet()) return false;
  flush.covered(DMR_BUG(flush_covers_later) ? flush.written.load(std::memory_order_acquire)
                                            : ticket.token[member]);
  return true;
}

void Volume::note_flush_refused(const FlushTicket& ticket, Member member) {
  FlushState& flush = state_.flush[member];
  state_.flush.refuse(member);
  // What the ticket covers will be told as lost; no later flush has to reach for it.
  flush.covered(ticket.token[member]);
  flush.end((ticket.lanes >> member) & 1U);
}

VolumeStats Volume::stats() const {
  VolumeStats s;
  const SlowCounters& c = state_.counters;
  const StoreCounters& store = state_.store.counters();
  s.writable = writable();
  s.read_only_by_failure = state_.failed_read_only;
  s.restored_older = format::is_restored_older(superblock());
  s.volume_sectors = state_.geometry.volume_sectors;
  s.block_sectors = state_.geometry.block_sectors;
  s.remapped_blocks = state_.index.counters().remapped_blocks;
  s.lost_sectors = state_.index.counters().lost_sectors;
  s.runs = state_.index.counters().runs;
  s.weak_blocks = mover_.weak_blocks();
  s.index_bytes = state_.index.bytes_used();
  s.recovered_reads = c.recovered_reads;
  s.failed_reads = c.failed_reads;
  s.redirected_writes = c.redirected_writes;
  s.retried_writes = c.retried_writes;
  s.failed_writes = c.failed_writes;
  s.relocated_blocks = c.relocated_blocks;
  s.returned_blocks = c.returned_blocks;
  s.held_requests = c.held_requests;
  s.commits = store.commits;
  s.commit_records = store.commit_records;
  s.commit_flushes = c.commit_flushes;
  s.checkpoints = store.checkpoints;
  s.scrub = scrubber_.stats();
  s.health_records = state_.health_records.counters();
  s.io_contexts = state_.io_contexts.counters();
  s.work_items = state_.work_items.counters();
  s.buffers = state_.buffers.counters();
  s.members = state_.members;
  for (Member m = 0; m < state_.members; ++m) {
    MemberStats& member = s.member[m];
    member.state = state_.state_of(m);
    member.present = state_.store.present(m);
    member.breaker_open = state_.breakers[m].open();
    member.sectors = superblock().member[m].sectors;
    for (u32 d = 0; d < 2; ++d) {
      for (u32 e = 0; e < kErrorClasses; ++e) member.errors[d][e] = c.errors[m][d][e];
    }
    if (m == kMain || member.state == format::MemberState::absent) continue;
    const SpareAllocator::Counters& blocks = state_.spares.counters(m);
    member.data_blocks = blocks.total;
    member.used_blocks = blocks.used;
    member.free_blocks = blocks.free;
    member.bad_blocks = blocks.bad;
  }
  return s;
}

}  // namespace dmr

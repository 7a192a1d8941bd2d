// SPDX-License-Identifier: GPL-2.0-or-later
// The commit loop. Order is everything here: data flushed, journal durable, map published,
// operation resumed.
#include "core/volume/committer.h"

#include "core/base/bits.h"
#include "core/base/bugs.h"

namespace dmr {

void Committer::request_stop(bool checkpoint, Ready& stopped) {
  checkpoint_wanted_ = checkpoint_wanted_ || (checkpoint && dirty_);
  background_.request_stop(stopped);
}

void Committer::enqueue(CommitEntry& entry) {
  DMR_ASSERT(!background_.stopping() && entry.count > 0 && entry.count <= format::kJournalRecords);
  entry.status = Status::closed;
  queue_.push_back(entry);
  background_.wake();
}

void Committer::request_checkpoint(Command& command) {
  checkpoint_wanted_ = true;
  checkpoint_commands_.push_back(command);
  background_.wake();
}

void Committer::request_retire(Member member) {
  DMR_ASSERT(member != kMain && member < state_.members);
  if (!state_.takes_data(member)) return;
  // At once for allocation and the hot path; durable on the others as soon as the loop gets there.
  state_.member_state[member].store(static_cast<u8>(format::MemberState::failed),
                                    std::memory_order_release);
  state_.spares.set_open(member, false);
  state_.tell(EventKind::member_failed, member, Sector(0), 0);
  retire_wanted_ |= 1U << member;
  background_.wake();
}

Task<Status> Committer::loop(FrameStack& frames) {
  for (;;) {
    busy_ = false;
    while (queue_.empty() && !checkpoint_wanted_ && retire_wanted_ == 0 &&
           !background_.stopping()) {
      co_await background_.wait();
    }
    busy_ = true;
    if (retire_wanted_ != 0) (void)co_await retire_members(frames);
    if (!queue_.empty()) (void)co_await commit_some(frames);
    if (checkpoint_wanted_ || state_.store.should_checkpoint()) {
      checkpoint_wanted_ = false;
      Fifo<Command> commands = checkpoint_commands_;  // later ones want another
      checkpoint_commands_ = {};
      last_checkpoint_ = co_await write_checkpoint(frames);
      while (Command* command = commands.pop_front()) {
        command->status = last_checkpoint_;
        command->done(*command);
      }
    }
    if (background_.stopping() && queue_.empty() && retire_wanted_ == 0 && !checkpoint_wanted_)
      break;
  }
  busy_ = false;
  co_return Status::ok;
}

Task<Status> Committer::commit_some(FrameStack& frames) {
  on_disk_ = false;
  flush_failed_ = 0;
  gather();
  if (batch_.empty()) co_return Status::no_space;
  if (state_.failed_read_only) {
    finish(Status::read_only);
    co_return Status::read_only;
  }
  u32 members = 0;
  for (CommitEntry* entry = batch_.front(); entry != nullptr; entry = entry->next) {
    members |= entry->flush_members;
  }
  Status status = co_await wait_for_pages(frames, record_count_);
  if (status == Status::ok && members != 0 && !DMR_BUG(skip_spare_flush)) {
    (void)co_await flush_spares(frames, members);
    drop_failed();
  }
  if (status == Status::ok && record_count_ > 0) status = co_await write_journal(frames);
  finish(status);
  co_return status;
}

void Committer::refuse(CommitEntry& entry) {
  give_back(entry);
  for (u32 i = 0; i < entry.count; ++i) {
    const format::Record& record = entry.records[i];
    if (record.type != static_cast<u8>(format::RecordType::mapping)) continue;
    const Sector end = state_.geometry.first_sector(Block(record.block + record.length - 1)) +
                       state_.geometry.sectors_in(Block(record.block + record.length - 1));
    const Sector begin = state_.geometry.first_sector(Block(record.block));
    state_.tell(EventKind::spare_exhausted, kMain, begin, end - begin);
  }
  entry.status = Status::no_space;
  state_.executor.post(entry.node);
}

// Whole entries, as many as fit into one journal block. Those that the metadata has no room for end
// here; the others go on.
void Committer::gather() {
  DMR_ASSERT(batch_.empty());
  record_count_ = 0;
  added_records_ = 0;
  while (CommitEntry* entry = queue_.front()) {
    if (record_count_ + entry->count > format::kJournalRecords) break;
    DMR_ASSERT(queue_.pop_front() == entry);
    if (!fits_checkpoint(state_, *entry, added_records_)) {
      refuse(*entry);
      continue;
    }
    for (u32 i = 0; i < entry->count; ++i) records_[record_count_++] = entry->records[i];
    batch_.push_back(*entry);
  }
}

Task<Status> Committer::wait_for_pages(FrameStack&, u32 changes) {
  const u64 give_up = state_.host.now_ns() + state_.config.page_wait_ns;
  for (;;) {
    const Status status = state_.index.reserve(changes);
    if (status != Status::again) co_return status;
    if (state_.host.now_ns() >= give_up) co_return Status::no_memory;
    state_.host.wake_at(give_up);
    co_await state_.pages_arrived.wait();  // woken by pages and by the timer
  }
}

// One flush for everything that the batch has written. A spare that refuses is retired.
Task<Status> Committer::flush_spares(FrameStack&, u32 members) {
  u32 count = 0;
  for (Member m = 1; m < state_.members; ++m) {
    if (((members >> m) & 1U) == 0) continue;
    flush_token_[m] = state_.flush[m].written.load(std::memory_order_acquire);
    flush_lane_[m] = state_.flush.begin_own(m);
    prepare(flush_io_[m], IoOp::flush, {m, Sector(0), 0}, nullptr);
    flush_batch_[count++] = &flush_io_[m];
  }
  state_.counters.commit_flushes += count;
  co_await IoBatchAwait{state_.host, state_.executor, {flush_batch_, count}};
  for (u32 i = 0; i < count; ++i) {
    const DeviceIo& io = *flush_batch_[i];
    const bool ok = state_.observe(io) == ErrorClass::none;
    state_.flush.end_own(state_.executor, io.member, flush_lane_[io.member]);
    if (ok || DMR_BUG(flush_error_swallowed)) continue;
    flush_failed_ |= 1U << io.member;
    state_.flush[io.member].covered(flush_token_[io.member]);  // told as lost, by the refusal
    state_.tell(EventKind::flush_failed, io.member, Sector(0), 0, io.status);
    request_retire(io.member);
  }
  for (Member m = 1; m < state_.members; ++m) {
    if (((members >> m) & 1U) == 0 || ((flush_failed_ >> m) & 1U) != 0) continue;
    // Another flush of this spare that is still under way may have been refused before.
    co_await flush_outcomes(state_, m);
    state_.flush[m].covered(flush_token_[m]);
  }
  co_return flush_failed_ == 0 ? Status::ok : Status::io_error;
}

// Entries whose data sits on a spare that refused the flush end here; the others go on. So do
// those whose data was under way when the same spare refused another flush: that may have lost
// them, and no flush that succeeds later says anything about it. What other members refuse is no
// matter.
void Committer::drop_failed() {
  Fifo<CommitEntry> kept;
  record_count_ = 0;
  while (CommitEntry* entry = batch_.pop_front()) {
    DMR_ASSERT(entry->flush_members == 0 || entry->refused != nullptr);
    bool lost = (entry->flush_members & flush_failed_) != 0;
    for (Member m = 1; m < state_.members; ++m) {
      const bool used = ((entry->flush_members >> m) & 1U) != 0;
      if (!used || entry->refused[m] == state_.flush[m].refused()) continue;
      lost = true;
      if (!DMR_BUG(flush_error_swallowed)) request_retire(m);  // before its data looks for another
    }
    if (lost && !DMR_BUG(flush_error_swallowed)) {
      give_back(*entry);
      entry->status = Status::io_error;
      state_.executor.post(entry->node);
      continue;
    }
    for (u32 i = 0; i < entry->count; ++i) records_[record_count_++] = entry->records[i];
    kept.push_back(*entry);
  }
  batch_ = kept;
}

Task<Status> Committer::write_journal(FrameStack& frames) {
  if (state_.store.must_checkpoint()) {
    const Status room = co_await write_checkpoint(frames);
    if (room != Status::ok) co_return room;
  }
  if (DMR_BUG(skip_commit)) {
    publish();
    co_return Status::ok;
  }
  if (DMR_BUG(publish_before_commit)) publish();
  Result<CommitResult> result = CommitResult::unknown;
  for (u32 tries = 0; *result == CommitResult::unknown; ++tries) {
    // The slots of one block may be bad, all of them: the next one lies elsewhere.
    if (tries == kCommitTries || (tries > 0 && !homes_take_data())) co_return Status::io_error;
    on_disk_ = true;
    result = co_await state_.store.commit(frames, records_, record_count_);
    notice_member_states();
    if (!result.has_value()) {
      on_disk_ = false;  // refused before the first write
      co_return result.status();
    }
    if (*result != CommitResult::unknown) break;
    // Perhaps it is on a disk, perhaps not: no write may build on either before that is settled.
    const Status cancelled = co_await state_.store.cancel(frames, *this);
    notice_member_states();
    if (cancelled != Status::ok) {
      state_.turn_read_only();
      co_return Status::read_only;
    }
    on_disk_ = false;
  }
  dirty_ = true;
  if (!DMR_BUG(publish_before_commit)) publish();
  if (*result == CommitResult::single) {
    const Status second = co_await write_checkpoint(frames);
    if (second != Status::ok) {
      state_.turn_read_only();
      co_return Status::read_only;
    }
  }
  co_return Status::ok;
}

// A spare that has been retired meanwhile gets no new homes.
bool Committer::homes_take_data() const {
  for (u32 i = 0; i < record_count_; ++i) {
    const bool mapping = records_[i].type == static_cast<u8>(format::RecordType::mapping);
    const Member member = records_[i].member;
    if (mapping && member != kMain && !state_.takes_data(member)) return false;
  }
  return true;
}

Task<Status> Committer::write_checkpoint(FrameStack& frames) {
  const Status status = co_await state_.store.checkpoint(frames, *this);
  notice_member_states();
  if (status == Status::ok) dirty_ = false;
  co_return status;
}

Task<Status> Committer::retire_members(FrameStack& frames) {
  const u32 wanted = retire_wanted_;
  retire_wanted_ = 0;
  for (Member m = 1; m < state_.members; ++m) {
    if (((wanted >> m) & 1U) == 0) continue;
    // With no other spare to record it on, it holds until the volume is stopped.
    (void)co_await state_.store.set_member_state(frames, m, format::MemberState::failed);
  }
  co_return Status::ok;
}

// Mappings first: they free the spare blocks that bad_spare records then take out of use.
void Committer::publish() {
  for (u32 i = 0; i < record_count_; ++i) {
    if (records_[i].type == static_cast<u8>(format::RecordType::mapping)) {
      publish_mapping(records_[i]);
    }
  }
  for (u32 i = 0; i < record_count_; ++i) {
    const format::Record& record = records_[i];
    if (record.type != static_cast<u8>(format::RecordType::bad_spare)) continue;
    DMR_ASSERT(state_.spares.set_bad(record.member, SpareBlock(record.block), record.length));
    state_.tell(EventKind::spare_block_bad, record.member,
                state_.geometry.spare_sector(SpareBlock(record.block)),
                u64{record.length} << state_.geometry.block_shift);
  }
  check_room();
}

// The blocks are held and drained, so nothing uses their old homes any more: they become free.
void Committer::publish_mapping(const format::Record& record) {
  const Home home = home_in(record);
  for (u32 done = 0; done < record.length;) {
    const Block block(record.block + done);
    const Run old = state_.index.lookup(block);
    const u64 left = old.begin.value + old.length - block.value;
    const u32 count = left < record.length - done ? static_cast<u32>(left) : record.length - done;
    DMR_ASSERT(count > 0);
    if (old.home.member != kMain) {
      const SpareBlock spare = old.home.spare + (block - old.begin);
      const bool stays = home.member == old.home.member && home.spare + done == spare;
      if (!stays && !DMR_BUG(reuse_spare_early))
        state_.spares.release(old.home.member, spare, count);
    }
    done += count;
  }
  DMR_ASSERT(state_.index.set(Block(record.block), record.length, home) == Status::ok);
}

void Committer::finish(Status status) {
  while (CommitEntry* entry = batch_.pop_front()) {
    if (status != Status::ok && !on_disk_) give_back(*entry);
    entry->status = status;
    state_.executor.post(entry->node);
  }
}

// New homes of a commit that failed, of which no journal holds a trace that counts: nothing names
// them and their data has arrived, so they are free again at once. Not so on a spare that refused
// the flush, and not those that a block lives in already (a lost sector healed in place).
void Committer::give_back(const CommitEntry& entry) {
  if (DMR_BUG(shared_spare_block)) return;  // it has released them already
  for (u32 i = 0; i < entry.count; ++i) {
    const format::Record& record = entry.records[i];
    if (record.type != static_cast<u8>(format::RecordType::mapping) || record.member == kMain) {
      continue;
    }
    if (((flush_failed_ >> record.member) & 1U) != 0) continue;
    const Home home = home_in(record);
    for (u32 done = 0; done < record.length; ++done) {
      const Home now = home_of(state_, Block(record.block + done));
      const SpareBlock spare = home.spare + done;
      if (now.member == home.member && now.spare == spare) continue;
      state_.spares.release(home.member, spare, 1);
    }
  }
}

// The store retires members on its own when they refuse metadata, but not for a refused flush.
void Committer::notice_member_states() {
  const MemberSet refusing = state_.store.take_refusing();
  for (Member m = 1; m < state_.members; ++m) {
    if (state_.store.state(m) != format::MemberState::failed || !state_.takes_data(m)) continue;
    state_.member_state[m].store(static_cast<u8>(format::MemberState::failed),
                                 std::memory_order_release);
    state_.spares.set_open(m, false);
    // A FUA write that it refused may have been a flush below, with writes of users in its cache;
    // where write and flush are sent apart, the flush has been counted by itself. Where nothing is
    // cached there is no flush to refuse, and a spare that dies costs nobody but itself.
    if (state_.store.takes_fua(m) && state_.store.has_cache(m)) state_.flush.refuse(m);
    state_.tell(EventKind::member_failed, m, Sector(0), 0);
  }
  for (Member m = 1; m < state_.members; ++m) {
    if (refusing.has(m)) request_retire(m);
  }
}

void Committer::check_room() {
  u64 total = 0;
  for (Member m = 1; m < state_.members; ++m) total += state_.spares.counters(m).total;
  const bool low = state_.spares.free_blocks() < total / 8;
  if (low && !state_.spare_low_told) state_.tell(EventKind::spare_low, kMain, Sector(0), 0);
  state_.spare_low_told = low;
  if (state_.spares.free_blocks() > 0) state_.spare_exhausted_told = false;
}

}  // namespace dmr

// SPDX-License-Identifier: GPL-2.0-or-later
// Writing after load: the opening itself, commits, checkpoints, and members that leave.
#include "core/log/store.h"

#include "core/base/bugs.h"
#include "core/format/validate.h"
#include "core/log/membership.h"

namespace dmr {
namespace {

using format::MemberState;

void tell(Host& host, EventKind kind, Member member) {
  Event event;
  event.kind = kind;
  event.member = member;
  host.event(event);
}

}  // namespace

MetadataStore::MetadataStore(Host& host, Executor& executor)
    : context_(host, executor),
      superblocks_(context_),
      journal_(context_),
      checkpoints_(context_) {}

Status MetadataStore::open_memory() { return context_.open(); }

void MetadataStore::close_memory() {
  DMR_ASSERT(!is_taken_);
  journal_.close_table();
  context_.close();
}

u32 MetadataStore::capacity() const {
  const MemberSet live = context_.live();
  u32 least = kMaxJournalSlots;
  for (Member m = 1; m < context_.members(); ++m) {
    if (live.has(m) && context_.layout[m].journal_slots < least) {
      least = context_.layout[m].journal_slots;
    }
  }
  return least;
}

u64 MetadataStore::record_room() const {
  u64 least = ~u64{0};
  for (Member m = 1; m < context_.members(); ++m) {
    if (context_.state(m) == MemberState::removed) continue;
    const u64 room = (context_.layout[m].checkpoint_blocks - 1) * format::kCheckpointRecords;
    least = room < least ? room : least;
  }
  return least;
}

// The next block must not overwrite one that the older checkpoint still needs.
bool MetadataStore::must_checkpoint() const {
  const ChainPoint needed =
      DMR_BUG(journal_past_older) ? checkpoints_.newest_covered() : checkpoints_.older_covered();
  return attempted_ + 1 > needed.sequence + capacity();
}

// A third of the journal since the newest checkpoint: the older one then leaves a third free.
bool MetadataStore::should_checkpoint() const {
  if (!is_writing_ || is_unknown_) return false;
  if (DMR_BUG(journal_past_older)) return must_checkpoint();
  return is_exposed_ || must_checkpoint() ||
         attempted_ - checkpoints_.newest_covered().sequence >= capacity() / 3;
}

// Members that are not here and were live until now; those that are here and were missing.
void MetadataStore::mark_missing(MemberSet& returning) {
  bool changed = false;
  for (Member m = 1; m < context_.members(); ++m) {
    const bool here = context_.present.has(m);
    if (context_.state(m) == MemberState::missing && here) returning.add(m);
    if (context_.state(m) == MemberState::live && !here) {
      context_.set_state(m, MemberState::missing);
      changed = true;
    }
  }
  if (changed) begin_membership(context_.superblock(), context_.random());
}

// The superblock as it now is, on all live spares; those that cannot take it are retired.
Task<Status> MetadataStore::record_membership(FrameStack& frames) {
  const MemberSet live = context_.live();
  if (live.empty()) co_return Status::io_error;
  (void)co_await superblocks_.update(frames, live);
  const MemberSet bad = live - superblocks_.recorded();
  if (bad == live) co_return Status::io_error;
  if (!bad.empty()) co_return co_await retire(frames, bad);
  context_.membership_recorded = context_.superblock().membership.generation;
  co_return Status::ok;
}

// Failed from now on, and recorded so on the others before anything that skips them counts. Those
// that cannot record it are retired too. The others must have the whole state by themselves: what a
// failed spare holds is not read again. On failure the members are as before, in memory.
Task<Status> MetadataStore::retire(FrameStack& frames, MemberSet bad) {
  MemberSet retired;
  for (u32 round = 0; round < kMaxSpares && !bad.empty(); ++round) {
    for (Member m = 1; m < context_.members(); ++m) {
      if (bad.has(m)) context_.set_state(m, MemberState::failed);
    }
    retired = retired | bad;
    const MemberSet survivors = context_.live();
    if (survivors.empty()) break;
    if (DMR_BUG(skipped_member_live)) co_return Status::ok;
    begin_membership(context_.superblock(), context_.random());
    (void)co_await superblocks_.update(frames, survivors);
    bad = survivors - superblocks_.recorded();
  }
  const bool recorded = bad.empty() && !context_.live().empty();
  for (Member m = 1; m < context_.members(); ++m) {
    if (!retired.has(m)) continue;
    // Later the volume looks at the members after each of its calls, and tells.
    if (recorded && !is_writing_) tell(context_.host, EventKind::member_failed, m);
    if (!recorded) context_.set_state(m, MemberState::live);
  }
  if (!recorded) co_return Status::io_error;
  context_.membership_recorded = context_.superblock().membership.generation;
  is_exposed_ = true;
  co_return Status::ok;
}

// The new opening, on the live spares and on those that come back, which stay out for now. `unfit`:
// live ones that do not take it.
Task<Status> MetadataStore::record_opening(FrameStack& frames, MemberSet& returning,
                                           MemberSet& unfit) {
  format::Superblock& block = context_.superblock();
  ++block.open_generation;
  if (block.oldest_minor > format::kVersionMinor) block.oldest_minor = format::kVersionMinor;
  context_.open_epoch = context_.random();
  mark_missing(returning);
  const MemberSet live = context_.live();
  (void)co_await superblocks_.update(frames, live | returning);
  const MemberSet recorded = superblocks_.recorded();
  returning = returning - (returning - recorded);
  unfit = live - recorded;
  if (unfit == live) co_return Status::io_error;
  context_.membership_recorded = block.membership.generation;
  co_return Status::ok;
}

Task<Status> MetadataStore::begin_writing(FrameStack& frames, RecordSource& source) {
  const Turn turn(is_taken_);
  DMR_ASSERT(is_loaded_ && !is_writing_);
  if (frames.available() < kNestedBytes) co_return Status::again;
  if (!is_writable_) co_return Status::read_only;
  MemberSet returning;
  MemberSet unfit;
  Status status = co_await record_opening(frames, returning, unfit);
  if (status != Status::ok) co_return status;
  status = co_await renew_newest(frames, source, unfit);
  if (status != Status::ok) co_return status;
  // What lies in the journal of a spare that was out must never be replayed again.
  (void)co_await journal_.format_all(frames, returning);
  returning = journal_.formatted();
  if (needs_refresh_ || is_exposed_ || (!returning.empty() && !DMR_BUG(lagging_not_refreshed))) {
    status = co_await refresh(frames, source, returning);
    if (status != Status::ok) co_return status;
  }
  if (!returning.empty()) {
    for (Member m = 1; m < context_.members(); ++m) {
      if (returning.has(m)) context_.set_state(m, MemberState::live);
    }
    begin_membership(context_.superblock(), context_.random());
    status = co_await record_membership(frames);
    if (status != Status::ok) co_return status;
  }
  status = co_await repair_slots(frames, source);
  if (status != Status::ok) co_return status;
  for (Member m = 1; m < context_.members(); ++m) {
    if (findings_.damaged().has(m) && context_.live().has(m)) {
      tell(context_.host, EventKind::metadata_repaired, m);
    }
  }
  needs_refresh_ = false;
  is_writing_ = true;
  co_return Status::ok;
}

// A slot that stays bad costs a copy later on. It must not be read again one day with a block in it
// that nobody has seen now: the next sequence is passed over and covered.
Task<Status> MetadataStore::repair_slots(FrameStack& frames, RecordSource& source) {
  const Status formatted = co_await journal_.format_bad(frames, context_.live());
  if (formatted == Status::ok) co_return formatted;
  ++attempted_;
  MemberSet none;
  co_return co_await refresh(frames, source, none);
}

// Two checkpoints: afterwards no older block of any journal is needed, whichever of them is read.
Task<Status> MetadataStore::refresh(FrameStack& frames, RecordSource& source,
                                    MemberSet& returning) {
  for (u32 round = 0; round < kAreas; ++round) {
    const Status status = co_await run_checkpoint(frames, source, returning);
    if (status != Status::ok) co_return status;
  }
  co_return Status::ok;
}

// On all live spares but the unfit ones, which are retired when the others have it.
Task<Status> MetadataStore::run_checkpoint(FrameStack& frames, RecordSource& source,
                                           MemberSet& returning, MemberSet unfit) {
  const MemberSet targets = (context_.live() - unfit) | returning;
  const ChainPoint covered{attempted_, head_.crc};
  const Status written = co_await checkpoints_.write(frames, source, covered, targets);
  if (written != Status::ok) co_return written;
  const MemberSet failed = targets - checkpoints_.written();
  returning = returning - failed;
  const MemberSet bad = context_.live() - checkpoints_.written();
  if (bad == context_.live()) co_return Status::io_error;
  if (!bad.empty()) {
    const Status status = co_await retire(frames, bad);
    if (status != Status::ok) co_return status;
  }
  is_exposed_ = false;
  co_return Status::ok;
}

Task<Status> MetadataStore::checkpoint(FrameStack& frames, RecordSource& source) {
  const Turn turn(is_taken_);
  if (!is_writing_ || is_unknown_) co_return Status::read_only;
  if (frames.available() < kNestedBytes) co_return Status::again;
  MemberSet none;
  Status status = co_await run_checkpoint(frames, source, none);
  // The journal was full: only now does the older checkpoint free some of it.
  if (status == Status::ok && must_checkpoint()) {
    status = co_await run_checkpoint(frames, source, none);
  }
  co_return status;
}

Task<Status> MetadataStore::cancel(FrameStack& frames, RecordSource& source) {
  const Turn turn(is_taken_);
  DMR_ASSERT(is_writing_ && is_unknown_);
  if (frames.available() < kNestedBytes) co_return Status::again;
  MemberSet none;
  if (DMR_BUG(zombie_commit)) {
    is_unknown_ = false;
    co_return Status::ok;
  }
  const Status status = co_await refresh(frames, source, none);
  if (status == Status::ok) is_unknown_ = false;
  co_return status;
}

Task<Result<CommitResult>> MetadataStore::commit(FrameStack& frames, const format::Record* records,
                                                 u32 count) {
  const Turn turn(is_taken_);
  if (!is_writing_ || is_unknown_) co_return Status::read_only;
  DMR_ASSERT(count > 0 && count <= format::kJournalRecords);
  if (frames.available() < kNestedBytes) co_return Status::again;
  if (must_checkpoint()) co_return Status::no_space;
  ++attempted_;
  journal_.compose(attempted_, head_, records, count);
  const ChainPoint composed{attempted_, journal_.composed_crc()};
  const Result<CommitResult> result = co_await write_block(frames);
  if (!result || *result == CommitResult::unknown) {
    is_unknown_ = true;
    ++context_.counters.commits_unknown;
    co_return CommitResult::unknown;
  }
  head_ = composed;
  ++context_.counters.commits;
  context_.counters.commit_records += count;
  co_return result;
}

Task<Result<CommitResult>> MetadataStore::write_block(FrameStack& frames) {
  const MemberSet live = context_.live();
  DMR_ASSERT(!live.empty());
  if (DMR_BUG(single_journal_copy)) co_return co_await write_once(frames, live);
  const bool is_alone = live.size() == 1;
  (void)co_await journal_.write_copies(frames, live, is_alone ? live : MemberSet{});
  MemberSet missing = live - journal_.written(0);
  if (is_alone) {
    const u32 copies = journal_.written(0).size() + journal_.written(1).size();
    if (copies == 0) co_return CommitResult::unknown;
    co_return copies == 2 ? CommitResult::durable : CommitResult::single;
  }
  if (missing.empty()) co_return CommitResult::durable;
  const MemberSet in_area_0 = journal_.written(0);
  (void)co_await journal_.write_copies(frames, MemberSet{}, missing);
  missing = missing - journal_.written(1);
  if (missing.empty()) co_return CommitResult::durable;
  if (missing == live) co_return CommitResult::unknown;
  const Status retired = co_await retire(frames, missing);
  if (retired != Status::ok) co_return CommitResult::unknown;
  const MemberSet left = context_.live();
  if (left.size() > 1) co_return CommitResult::durable;
  // One spare is left: the second copy goes to its other area.
  const MemberSet other_0 = left - in_area_0;
  const MemberSet other_1 = left - other_0;
  (void)co_await journal_.write_copies(frames, other_0, other_1);
  const bool is_twice = !(journal_.written(0) | journal_.written(1)).empty();
  co_return is_twice ? CommitResult::durable : CommitResult::single;
}

// The deliberate bug: one copy, on the first live spare.
Task<Result<CommitResult>> MetadataStore::write_once(FrameStack& frames, MemberSet live) {
  MemberSet first;
  for (Member m = kMaxSpares; m > 0; --m) {
    if (!live.has(m)) continue;
    first = MemberSet{};
    first.add(m);
  }
  (void)co_await journal_.write_copies(frames, first, MemberSet{});
  co_return journal_.written(0).empty() ? CommitResult::unknown : CommitResult::durable;
}

Task<Status> MetadataStore::set_member_state(FrameStack& frames, Member member,
                                             format::MemberState state) {
  const Turn turn(is_taken_);
  DMR_ASSERT(is_writing_);
  DMR_ASSERT(member != kMain && member < context_.members());
  DMR_ASSERT(state == MemberState::missing || state == MemberState::failed ||
             state == MemberState::removed);
  if (frames.available() < kNestedBytes) co_return Status::again;
  const MemberState before = context_.state(member);
  if (before == state) co_return Status::ok;
  context_.set_state(member, state);
  begin_membership(context_.superblock(), context_.random());
  const Status status = co_await record_membership(frames);
  if (status != Status::ok) {
    context_.set_state(member, before);
    co_return status;
  }
  if (before == MemberState::live) is_exposed_ = true;
  co_return Status::ok;
}

bool MetadataStore::writable_allowed() const {
  return is_writable_ && !format::is_restored_older(context_.superblock());
}
bool MetadataStore::has_damage() const { return is_loaded_ && findings_.any(); }
bool MetadataStore::unknown_pending() const { return is_unknown_; }
const format::Superblock& MetadataStore::superblock() const { return context_.superblock(); }
const Geometry& MetadataStore::geometry() const { return context_.geometry; }
const SpareLayout& MetadataStore::layout(Member member) const {
  DMR_ASSERT(member != kMain && member < kMaxMembers);
  return context_.layout[member];
}
u32 MetadataStore::members() const { return context_.members(); }
format::MemberState MetadataStore::state(Member member) const { return context_.state(member); }
bool MetadataStore::present(Member member) const { return context_.present.has(member); }
const StoreCounters& MetadataStore::counters() const { return context_.counters; }

}  // namespace dmr

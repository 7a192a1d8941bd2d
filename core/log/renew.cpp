// SPDX-License-Identifier: GPL-2.0-or-later
// What an opening makes durable before anything is built on it. A flush that a spare refused may
// have left blocks that can be read as long as the power stays on, and that no later flush writes
// out. The newest checkpoint header and the newest journal block may be such: no flush that went
// well came behind them. All else was durable before they were written.
#include "core/base/bugs.h"
#include "core/log/store.h"

namespace dmr {

// Written again as they are, one copy at a time: whatever happens to one of them leaves the others.
// Spares where that cannot be done safely, and the unfit ones, are retired: not before the others
// have a new checkpoint, since what they have by themselves need not be all of the state.
Task<Status> MetadataStore::renew_newest(FrameStack& frames, RecordSource& source,
                                         MemberSet unfit) {
  if (DMR_BUG(newest_not_renewed)) co_return Status::ok;
  const bool has_tail = newest_block_.sequence != 0 && head_ == newest_block_;
  const u32 headers = checkpoints_.prepare_newest(context_.live() - unfit, 0);
  const u32 count =
      has_tail ? journal_.prepare_copies(newest_block_, context_.live() - unfit, headers) : headers;
  co_await context_.run_batch(count);
  bool all_headers = true;
  bool all_of_tail = true;
  MemberSet unsafe;
  for (u32 i = 0; i < count; ++i) {
    const bool is_header = i < headers;
    const DeviceIo& read = context_.io(i);
    const Member member = read.member;
    if (is_header ? checkpoints_.is_newest(i) : journal_.is_fetched(i, newest_block_)) {
      context_.prepare(0, member, IoOp::write, read.sector, read.buffer, 1);
      context_.io(0).fua = true;
      const Status run = co_await context_.write_batch(frames, 1);
      if (run != Status::ok) co_return run;
      if (context_.status(0) == IoStatus::ok) continue;
    }
    (is_header ? all_headers : all_of_tail) = false;
    if (is_header && !can_do_without_newest(member)) unsafe.add(member);
  }
  unsafe = unsafe | unfit;
  if (unsafe == context_.live()) co_return Status::io_error;
  if (!all_headers || !unsafe.empty()) {
    MemberSet none;
    const Status status = co_await run_checkpoint(frames, source, none, unsafe);
    if (status != Status::ok) co_return status;
  }
  is_exposed_ = is_exposed_ || !all_of_tail;
  co_return Status::ok;
}

// A spare's newest checkpoint header is not there, or perhaps not durable; that it can be read says
// nothing. The next checkpoint goes over it where the older one gives the same state, and over the
// other area where that holds nothing. Over none where the other one is good and gives another
// state, as after a commit that was cancelled, or may be good: it may be all that is durable.
bool MetadataStore::can_do_without_newest(Member member) {
  const Checkpoints::Area& newest = checkpoints_.newest_of(member);
  const Checkpoints::Area& other = checkpoints_.beside_newest(member);
  if (DMR_BUG(newest_not_distrusted)) return true;
  if (other.state == Checkpoints::AreaState::unreadable) return false;
  if (!other.is_verified) return true;
  if (!follow_from_older(newest.covered, other.covered).whole) return false;
  checkpoints_.distrust_newest(member);
  return true;
}

}  // namespace dmr

// SPDX-License-Identifier: GPL-2.0-or-later
// Records into index and allocator.
#include "core/volume/loading.h"

namespace dmr {

namespace {
// A host gives index pages before request_pages returns while a volume is being opened; what is
// not there at the second try is not to be had.
template <class Change>
Status with_pages(Change change) {
  Status status = change();
  for (u32 i = 0; i < 2 && status == Status::again; ++i) status = change();
  return status == Status::again ? Status::no_memory : status;
}
}  // namespace

Status Loading::begin() {
  if (begun_) return Status::ok;
  state_.geometry = state_.store.geometry();
  state_.members = state_.store.members();
  Status status = state_.index.open(state_.host, state_.geometry);
  if (status != Status::ok) return status;
  begun_ = true;
  for (Member m = 1; m < state_.members && status == Status::ok; ++m) {
    if (state_.store.state(m) == format::MemberState::absent) continue;
    status = state_.spares.add_member(state_.host, m, state_.store.layout(m));
  }
  if (status != Status::ok) return status;
  state_.index.begin_load();
  index_loading_ = true;
  loading_ = true;
  return loader_.open();
}

void Loading::reset() { abandon(); }

void Loading::abandon() {
  if (!begun_) return;
  if (loading_) loader_.close();
  if (index_loading_) state_.index.end_load();
  state_.index.close();
  state_.spares.close(state_.host);
  begun_ = false;
  loading_ = false;
  index_loading_ = false;
}

Status Loading::note_bad(const format::Record& record) {
  const bool known = state_.spares.set_bad(record.member, SpareBlock(record.block), record.length);
  return known ? Status::ok : Status::damaged;
}

Status Loading::snapshot(const format::Record& record) {
  const Status status = begin();
  if (status != Status::ok) return status;
  if (record.type == static_cast<u8>(format::RecordType::bad_spare)) return note_bad(record);
  const Run run{Block(record.block), record.length, home_in(record)};
  return with_pages([&] { return loader_.add(run); });
}

Status Loading::end_snapshot() {
  if (!loading_) return Status::ok;
  const Status status = with_pages([&] { return loader_.finish(); });
  loader_.close();
  loading_ = false;
  return status;
}

Status Loading::replay(const format::Record& record) {
  Status status = begin();
  if (status == Status::ok && loading_) status = end_snapshot();
  if (status != Status::ok) return status;
  if (record.type == static_cast<u8>(format::RecordType::bad_spare)) return note_bad(record);
  return with_pages(
      [&] { return state_.index.set(Block(record.block), record.length, home_in(record)); });
}

Status Loading::finish() {
  Status status = begin();
  if (status == Status::ok && loading_) status = end_snapshot();
  if (status == Status::ok) {
    state_.index.end_load();
    index_loading_ = false;
  }
  return status;
}

}  // namespace dmr

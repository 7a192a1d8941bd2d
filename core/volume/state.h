// SPDX-License-Identifier: GPL-2.0-or-later
// Everything that the parts of a volume share: map, allocator, store, pools, locks, counters.
// The parts (committer, confirmer, salvage, recovery, mover) keep a reference to it.
#pragma once

#include <atomic>

#include "core/error/breaker.h"
#include "core/error/classify.h"
#include "core/index/epoch.h"
#include "core/index/index.h"
#include "core/log/store.h"
#include "core/space/spare_allocator.h"
#include "core/task/flush_state.h"
#include "core/volume/config.h"
#include "core/volume/late_writes.h"
#include "core/volume/range_lock.h"
#include "core/volume/work_item.h"

namespace dmr {

struct SlowCounters {
  u64 recovered_reads = 0;
  u64 failed_reads = 0;
  u64 redirected_writes = 0;
  u64 retried_writes = 0;
  u64 failed_writes = 0;
  u64 relocated_blocks = 0;
  u64 returned_blocks = 0;
  u64 held_requests = 0;
  u64 commit_flushes = 0;
  u64 exhaustions = 0;  // blocks that found no spare block
  u64 errors[kMaxMembers][2][kErrorClasses] = {};
};

struct VolumeState {
  VolumeState(Host& h, const VolumeConfig& c)
      : host(h), config(c), store(h, executor), flush(store.flushes()) {}

  Host& host;
  VolumeConfig config;  // the limits in it may change while the volume runs
  Executor executor;
  Geometry geometry;
  u32 unit_sectors = 1;  // main's logical block: the smallest piece that it reads or writes
  u32 members = 0;
  Index index;
  Epochs epochs;
  SpareAllocator spares;
  MetadataStore store;
  RangeLocks locks;
  FixedPool<HealthRecord> health_records;
  FixedPool<DeviceIo> io_contexts;
  FixedPool<WorkItem> work_items;
  FixedPool<IoBuffer> buffers;
  Breaker breakers[kMaxMembers];
  FlushBook& flush;  // the store's: it sends flushes, too
  // What the hot path must know of each member. Read by any thread.
  std::atomic<u8> member_state[kMaxMembers] = {};
  std::atomic<bool> writable{false};
  bool failed_read_only = false;
  bool opened_read_only = false;
  bool spare_low_told = false;
  bool spare_exhausted_told = false;  // and since then no spare block has been free
  bool closing = false;
  SlowCounters counters;
  LateWrites late_writes;
  Signal hold_released;
  Signal pages_arrived;

  [[nodiscard]] u64 refusals() const { return flush.refusals(); }
  [[nodiscard]] format::MemberState state_of(Member m) const {
    return static_cast<format::MemberState>(member_state[m].load(std::memory_order_acquire));
  }
  [[nodiscard]] bool readable(Member m) const {
    const format::MemberState s = state_of(m);
    return s == format::MemberState::live || s == format::MemberState::failed;
  }
  [[nodiscard]] bool takes_data(Member m) const { return state_of(m) == format::MemberState::live; }

  void tell(EventKind kind, Member member, Sector sector, u64 sectors,
            IoStatus status = IoStatus::ok) const {
    host.event(Event{
        .kind = kind, .member = member, .status = status, .sector = sector, .sectors = sectors});
  }

  // A block has found no spare block. Of many only the first is told: the events would hold nothing
  // else.
  void note_exhaustion();
  // A write of data to a spare failed. Any thread, while its blocks cannot change hands.
  void spare_write_failed(Member member, Sector sector, u32 sectors, IoStatus status);
  // Books the answer of one device I/O and says what kind of error it was.
  ErrorClass observe(const DeviceIo& io);
  // The metadata can no longer be written: nothing may change any more.
  void turn_read_only();
};

// A device I/O in the engine's hands: fills `io` and awaits it. Exactly one of buffer and payload
// names the memory; with neither a write writes zeros.
struct IoPlace {
  Member member = kMain;
  Sector sector;
  u32 sectors = 0;
  friend constexpr bool operator==(const IoPlace&, const IoPlace&) = default;
};
inline void prepare(DeviceIo& io, IoOp op, const IoPlace& place, std::byte* buffer) {
  io.op = op;
  io.fua = false;
  io.member = place.member;
  io.sector = place.sector;
  io.sectors = place.sectors;
  io.buffer = buffer;
  io.payload = nullptr;
  io.payload_offset = 0;
  io.elapsed_ns = 0;
}

[[nodiscard]] inline IoAwait run_io(VolumeState& state, DeviceIo& io) {
  return IoAwait{state.host, state.executor, io};
}

// A flush of the engine's own, counted like a user's: whoever flushes the same member beside it
// waits for its outcome. Gives the class of its error.
struct OwnFlushAwait {
  VolumeState& state;
  IoAwait inner;
  u32 lane = 0;

  [[nodiscard]] bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) noexcept {
    lane = state.flush.begin_own(inner.io.member);
    inner.await_suspend(handle);
  }
  [[nodiscard]] ErrorClass await_resume() const noexcept {
    const ErrorClass error = state.observe(inner.io);
    state.flush.end_own(state.executor, inner.io.member, lane);
    return error;
  }
};
[[nodiscard]] inline OwnFlushAwait run_flush(VolumeState& state, DeviceIo& io, Member member) {
  prepare(io, IoOp::flush, {member, Sector(0), 0}, nullptr);
  return OwnFlushAwait{state, IoAwait{state.host, state.executor, io}};
}

// After an own flush that went well, before anything is built on it.
[[nodiscard]] inline FlushOutcomesAwait flush_outcomes(VolumeState& state, Member member) {
  return FlushOutcomesAwait{state.flush[member], state.executor};
}

// The home of one block, and the place of sectors of it.
[[nodiscard]] Home home_of(const VolumeState& state, Block block);
[[nodiscard]] IoPlace place_of(const VolumeState& state, const Home& home, Block block,
                               u32 first_sector, u32 sectors);
// How many sectors from `at` on lie in one place on one readable device, at most up to `end` and as
// many as fit a buffer; 0 when the first block has lost sectors or its member is gone.
[[nodiscard]] u32 readable_sectors(const VolumeState& state, Sector at, Sector end, IoPlace& place);
// Which sectors of the block are lost, `all` spelt out.
[[nodiscard]] LostMask lost_in(const VolumeState& state, const Home& home, Block block);
// The record that says where `length` blocks from `block` on live now.
[[nodiscard]] format::Record mapping_record(Block block, u32 length, const Home& home);
[[nodiscard]] format::Record bad_spare_record(Member member, SpareBlock block, u32 length);
[[nodiscard]] Home home_in(const format::Record& record);
// Whether checkpoints hold the map with the entry's records, too, and with `added` records of the
// entries before it that are not published yet; if so, its own are added.
[[nodiscard]] bool fits_checkpoint(const VolumeState& state, const CommitEntry& entry, u64& added);

}  // namespace dmr

// SPDX-License-Identifier: GPL-2.0-or-later
// I/O epochs: how the executor knows that every request routed before a hold has finished on its
// device. A lookup grace period is not enough for that: the request outlives the lookup.
#pragma once

#include <atomic>

#include "core/base/list.h"
#include "core/base/types.h"
#include "core/geometry/geometry.h"
#include "core/host/host.h"

namespace dmr {

// Requests are told apart by a hash of their region, so that one slow I/O delays few holds only.
inline constexpr u32 kEpochHashes = 16;
// Each hash has two phases. Slot = hash * 2 + phase.
inline constexpr u32 kEpochSlots = 2 * kEpochHashes;

// Waits until all device I/O that entered one of `hashes` before begin_drain has completed.
// The caller owns it until `done` was called, on the executor, never inside begin_drain.
struct Drain {
  Drain* next = nullptr;
  u32 hashes = 0;  // bit h: hash h; not zero
  void (*done)(Drain&) = nullptr;
  void* context = nullptr;
  u32 waiting = 0;  // own to Epochs: hashes whose flip has not begun
  u32 flipped = 0;  // own to Epochs: hashes whose old phase is not empty yet
};

// The protocol. For each piece of a request the host does, on whatever thread or CPU it runs:
//
//   begin read section
//   slot = epochs.slot_of(sector); ++in_flight[slot] of this queue or CPU; r = index.route(...)
//   end read section
//   ... the device I/O runs; anything that is not RouteKind::device leaves at once ...
//   begin read section
//   --in_flight[slot] (release); if (epochs.drain_pending(slot)) make the executor call poll()
//   end read section
//
// Why it holds: the executor publishes the hold, then flips the phase (release), then waits a grace
// period, then waits for the old slot to become 0. A request that reads the new phase (acquire)
// sees the hold. One that read the old phase did so in a read section that the grace period waits
// for, so its increment is in the sum. After the grace period nobody enters the old slot any more:
// each counter only falls, and a sum that reads 0 was 0. A leave that the sum misses runs in a read
// section that began after the grace period did, so it sees drain_pending and calls for a poll.
// A hash is flipped again only when its old phase is empty: both phases are never in use by a
// drain.
class Epochs {
 public:
  void open(const Geometry& geometry);
  Epochs() = default;
  Epochs(const Epochs&) = delete;
  Epochs& operator=(const Epochs&) = delete;

  // Any thread. The epoch slot of a request that begins at `s`; pieces of Index::route never leave
  // the region of their first sector, so one slot covers a piece.
  [[nodiscard]] u32 slot_of(Sector s) const {
    const u32 hash = hash_of(s.value >> region_shift_);
    return hash * 2 + ((phases_.load(std::memory_order_acquire) >> hash) & 1U);
  }
  // Any thread: does the executor wait for this slot?
  [[nodiscard]] bool drain_pending(u32 slot) const {
    return ((pending_.load(std::memory_order_acquire) >> slot) & 1U) != 0;
  }
  [[nodiscard]] static constexpr u32 hash_of(u64 region) {
    return static_cast<u32>((region * 0x9E3779B97F4A7C15U) >> 60U);
  }
  // The set of hashes that blocks [begin, begin + blocks) belong to.
  [[nodiscard]] static u32 hashes_of(Block begin, u64 blocks);

  // Executor only from here on.

  // Drains begun while a hash is being drained share its next flip.
  void begin_drain(Host& host, Drain& drain);
  // Looks at the counters of all hashes that wait; to be called after a leave saw drain_pending.
  void poll(Host& host);
  // The old phase of `hash` is empty: it may be flipped.
  [[nodiscard]] bool drained(u32 hash) const { return hashes_[hash].state == State::idle; }
  // No drain and no grace period is under way: the object may go away.
  [[nodiscard]] bool idle() const { return drains_.empty() && busy_ == 0; }

 private:
  enum class State : u8 { idle, grace, counting };
  struct Hash {
    GraceWork grace;
    Epochs* owner = nullptr;
    Host* host = nullptr;
    State state = State::idle;
  };

  static void on_grace(GraceWork& work);
  [[nodiscard]] u32 old_slot(u32 hash) const;
  void flip(Host& host, u32 hash);
  void check(Host& host, u32 hash);
  void finish(Host& host, u32 hash);

  alignas(64) std::atomic<u32> phases_{0};
  std::atomic<u32> pending_{0};  // bit s: the executor waits for slot s
  u32 region_shift_ = 0;         // log2(sectors of a region)

  alignas(64) Hash hashes_[kEpochHashes];
  Fifo<Drain> drains_;
  u32 busy_ = 0;  // hashes that are not idle
};

// In-flight counters of one queue of a user-space host: one thread enters and leaves, any reads.
struct alignas(64) EpochCounters {
  std::atomic<i64> in_flight[kEpochSlots] = {};

  void enter(u32 slot) {
    in_flight[slot].store(in_flight[slot].load(std::memory_order_relaxed) + 1,
                          std::memory_order_relaxed);
  }
  // Release: what the device I/O did is seen by whoever reads the 0.
  void leave(u32 slot) {
    in_flight[slot].store(in_flight[slot].load(std::memory_order_relaxed) - 1,
                          std::memory_order_release);
  }
  [[nodiscard]] i64 read(u32 slot) const { return in_flight[slot].load(std::memory_order_acquire); }
};
static_assert(sizeof(EpochCounters) == 256 && alignof(EpochCounters) == 64);

}  // namespace dmr

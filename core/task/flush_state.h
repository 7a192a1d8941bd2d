// SPDX-License-Identifier: GPL-2.0-or-later
// Flushes of one member: what they have covered, and which of them still have an unknown outcome.
// A device that refuses a flush may drop its cache, and the next flush of it then succeeds: a
// success proves something only when no flush that overlapped it was refused. So all flushes,
// users' and the engine's own, are counted at begin and end, and whoever builds on a success waits
// for those that were under way. Two lanes keep new ones from making a waiter wait for ever: it
// waits until the lane that is not in use has run empty, turns, and waits for the other one.
#pragma once

#include <atomic>

#include "core/base/bugs.h"
#include "core/base/types.h"
#include "core/task/executor.h"

namespace dmr {

struct alignas(64) FlushState {
  // ---- Any thread ----

  // Writes to a spare since it was opened, and how far a flush has covered them. A flush may be
  // skipped only when `flushed` says that a *finished* one covers all that was acknowledged.
  std::atomic<u64> written{0};
  std::atomic<u64> flushed{0};

  void covered(u64 token) {
    u64 seen = flushed.load(std::memory_order_relaxed);
    while (seen < token && !flushed.compare_exchange_weak(seen, token, std::memory_order_acq_rel)) {
    }
  }

  // Before a flush is sent to the device; the lane goes to end().
  [[nodiscard]] u32 begin() {
    const u32 lane = lane_.load(std::memory_order_relaxed);
    begun_[lane].fetch_add(1, std::memory_order_seq_cst);
    return lane;
  }
  // When its outcome has been booked; then look at awaited().
  void end(u32 lane) { ended_[lane].fetch_add(1, std::memory_order_seq_cst); }
  // The outcome of every flush that began before this call is known.
  [[nodiscard]] bool quiet() const { return idle(0) && idle(1); }
  [[nodiscard]] bool awaited() const { return awaited_.load(std::memory_order_seq_cst); }
  // A change of it between a write and the end of the flush that is to cover the write: it may be
  // lost, whatever that flush said.
  [[nodiscard]] u64 refused() const { return refused_.load(std::memory_order_acquire); }

  // ---- Executor only ----

  // Posts the node once the outcome of every flush that began before this call is known.
  void wait(Executor& executor, Ready& node);
  // To be called when a flush has ended while awaited().
  void poll(Executor& executor);

 private:
  // `ended` first: when both are the same, nothing was under way when `begun` was read.
  [[nodiscard]] bool idle(u32 lane) const {
    const u64 ended = ended_[lane].load(std::memory_order_seq_cst);
    return begun_[lane].load(std::memory_order_seq_cst) == ended;
  }

  friend struct FlushBook;

  std::atomic<u64> refused_{0};  // how often the member has refused one
  std::atomic<u64> begun_[2] = {};
  std::atomic<u64> ended_[2] = {};
  std::atomic<u32> lane_{0};
  std::atomic<bool> awaited_{false};
  bool turned_ = false;
  Fifo<Ready> now_;    // wait for the present round
  Fifo<Ready> later_;  // came during it
};

inline void FlushState::wait(Executor& executor, Ready& node) {
  later_.push_back(node);
  awaited_.store(true, std::memory_order_seq_cst);  // before the look at the counts
  poll(executor);
}

inline void FlushState::poll(Executor& executor) {
  while (awaited()) {
    if (now_.empty()) {
      if (later_.empty()) {
        awaited_.store(false, std::memory_order_seq_cst);
        return;
      }
      now_ = later_;
      later_ = {};
      turned_ = false;
    }
    const u32 lane = lane_.load(std::memory_order_relaxed);
    if (!idle(1 - lane)) return;
    if (!turned_) {
      lane_.store(1 - lane, std::memory_order_relaxed);
      turned_ = true;
      continue;
    }
    while (Ready* node = now_.pop_front()) executor.post(*node);
  }
}

// Those of all members of a set.
struct FlushBook {
  FlushState& operator[](Member m) { return member_[m]; }
  const FlushState& operator[](Member m) const { return member_[m]; }

  // ---- Any thread ----

  // Flushes that any member refused. What was acknowledged before may be lost, so every client has
  // to hear of each refusal once.
  [[nodiscard]] u64 refusals() const { return refusals_.load(std::memory_order_acquire); }
  // FlushState::refused() of each member.
  void count_refused(u64 (&counts)[kMaxMembers]) const {
    for (u32 m = 0; m < kMaxMembers; ++m) counts[m] = member_[m].refused();
  }
  void refuse(Member m) {
    member_[m].refused_.fetch_add(1, std::memory_order_acq_rel);
    refusals_.fetch_add(1, std::memory_order_acq_rel);
  }

  // ---- Executor only: flushes of the engine's own ----

  [[nodiscard]] u32 begin_own(Member m) {
    return DMR_BUG(own_flush_uncounted) ? 0 : member_[m].begin();
  }
  // When refuse() has been called if need be.
  void end_own(Executor& executor, Member m, u32 lane) {
    if (DMR_BUG(own_flush_uncounted)) return;
    member_[m].end(lane);
    if (member_[m].awaited()) member_[m].poll(executor);
  }

 private:
  FlushState member_[kMaxMembers];
  std::atomic<u64> refusals_{0};
};

// co_await: afterwards the outcome of every flush that was under way is known.
struct FlushOutcomesAwait {
  FlushState& flush;
  Executor& executor;
  Ready node{};

  [[nodiscard]] bool await_ready() const noexcept { return flush.quiet(); }
  void await_suspend(std::coroutine_handle<> handle) noexcept {
    node.set_resume(handle);
    flush.wait(executor, node);
  }
  void await_resume() const noexcept {}
};

}  // namespace dmr

// SPDX-License-Identifier: GPL-2.0-or-later
// The one lock of the slow path: operations on overlapping block ranges queue here in order of
// arrival. Executor only. It says nothing to the hot path; holds do.
#pragma once

#include <coroutine>

#include "core/task/executor.h"

namespace dmr {

struct LockEntry {
  LockEntry* next = nullptr;
  Block begin;
  Block end;  // half open
  bool granted = false;
  bool waiting = false;  // somebody is to be woken when it is granted
  Ready node;
};

class RangeLocks {
 public:
  struct Awaiter {
    RangeLocks& locks;
    LockEntry& entry;
    [[nodiscard]] bool await_ready() const noexcept { return entry.granted; }
    void await_suspend(std::coroutine_handle<> handle) noexcept {
      entry.waiting = true;
      entry.node.set_resume(handle);
    }
    // False: it was given up.
    [[nodiscard]] bool await_resume() const noexcept { return entry.granted; }
  };

  // Queues the entry; the awaiter ends when no earlier entry overlaps it, or with give_up().
  [[nodiscard]] Awaiter acquire(LockEntry& entry, Block begin, Block end) {
    request(entry, begin, end);
    return wait(entry);
  }
  // The two halves. Who wants several requests them all before it waits for the first: then nobody
  // stands in the queue between them, held by the one and holding up the other.
  void request(LockEntry& entry, Block begin, Block end) {
    enqueue(entry, begin, end);
    entry.granted = free_before(entry);
  }
  [[nodiscard]] Awaiter wait(LockEntry& entry) { return Awaiter{*this, entry}; }

  // Takes the lock only when nobody has or wants the range.
  [[nodiscard]] bool try_acquire(LockEntry& entry, Block begin, Block end) {
    enqueue(entry, begin, end);
    entry.granted = free_before(entry);
    if (!entry.granted) DMR_ASSERT(entries_.remove(entry));
    return entry.granted;
  }

  void release(LockEntry& entry, Executor& executor) {
    DMR_ASSERT(entry.granted);
    DMR_ASSERT(entries_.remove(entry));
    entry.granted = false;
    grant_behind(entry, executor);
  }

  // Ends the waiting of somebody who has no use for the range any more.
  void give_up(LockEntry& entry, Executor& executor) {
    DMR_ASSERT(entry.waiting && !entry.granted);
    DMR_ASSERT(entries_.remove(entry));
    entry.waiting = false;
    executor.post(entry.node);
    grant_behind(entry, executor);
  }

  // Nobody has or wants this block.
  [[nodiscard]] bool is_free(Block block) const {
    for (const LockEntry* at = entries_.front(); at != nullptr; at = at->next) {
      if (at->begin <= block && block < at->end) return false;
    }
    return true;
  }
  [[nodiscard]] bool empty() const { return entries_.empty(); }

 private:
  [[nodiscard]] static bool overlap(const LockEntry& a, const LockEntry& b) {
    return a.begin < b.end && b.begin < a.end;
  }
  // Whoever `gone` was the last to keep waiting.
  void grant_behind(const LockEntry& gone, Executor& executor) {
    for (LockEntry* at = entries_.front(); at != nullptr; at = at->next) {
      if (at->granted || !overlap(*at, gone) || !free_before(*at)) continue;
      at->granted = true;
      if (at->waiting) executor.post(at->node);
      at->waiting = false;
    }
  }
  void enqueue(LockEntry& entry, Block begin, Block end) {
    DMR_ASSERT(begin < end && !entry.granted);
    entry.begin = begin;
    entry.end = end;
    entries_.push_back(entry);
  }
  [[nodiscard]] bool free_before(const LockEntry& entry) const {
    for (const LockEntry* at = entries_.front(); at != &entry; at = at->next) {
      if (overlap(*at, entry)) return false;
    }
    return true;
  }

  Fifo<LockEntry> entries_;
};

}  // namespace dmr

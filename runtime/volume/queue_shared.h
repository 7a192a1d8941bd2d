// SPDX-License-Identifier: GPL-2.0-or-later
// What a queue's thread shares with the executor: its read section, its epoch counters, its
// statistics. One thread writes, others read.
#pragma once

#include <atomic>

#include "core/index/epoch.h"

namespace dmr::runtime {

// A read section is a stretch in which the queue looks things up. The executor's grace period ends
// when every section that it found open has been closed; an idle queue has none open, so nobody has
// to be woken. Entering is a read-modify-write, and so is the executor's look: of the two on one
// atomic one comes first. Either the executor finds the section open, or the section begins after
// whatever the executor did before its look, and sees it. No fence is needed.
class ReadSection {
 public:
  // The queue's thread.
  void enter() { value_.fetch_add(1, std::memory_order_acq_rel); }
  void leave() {
    value_.store(value_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }
  // The executor.
  [[nodiscard]] u64 look() { return value_.fetch_add(0, std::memory_order_acq_rel); }
  [[nodiscard]] static bool open(u64 value) { return (value & 1U) != 0; }

 private:
  std::atomic<u64> value_{0};
};

// Written by one thread, so no read-modify-write.
class Counter {
 public:
  void add(u64 count) {
    value_.store(value_.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
  }
  [[nodiscard]] u64 get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<u64> value_{0};
};

struct alignas(64) QueueStatistics {
  Counter reads;
  Counter writes;
  Counter flushes;
  Counter discards;
  Counter write_zeroes;
  Counter read_bytes;
  Counter write_bytes;
  Counter fast_pieces;
  Counter slow_pieces;
  Counter errors;
  Counter failed_reads;
  Counter failed_writes;
};
static_assert(alignof(QueueStatistics) == 64 && sizeof(QueueStatistics) % 64 == 0);

// The same, summed over queues. Bytes are those of successful reads and writes.
struct IoCounters {
  u64 reads = 0;
  u64 writes = 0;
  u64 flushes = 0;
  u64 discards = 0;
  u64 write_zeroes = 0;
  u64 read_bytes = 0;
  u64 write_bytes = 0;
  u64 fast_pieces = 0;    // went straight from the route to a device
  u64 slow_pieces = 0;    // went to the executor
  u64 errors = 0;         // requests that failed
  u64 failed_reads = 0;   // of these, reads: also what the route answers itself, lost or gone
  u64 failed_writes = 0;  // ... and writes, of data or of zeros

  void add(const QueueStatistics& queue) {
    reads += queue.reads.get();
    writes += queue.writes.get();
    flushes += queue.flushes.get();
    discards += queue.discards.get();
    write_zeroes += queue.write_zeroes.get();
    read_bytes += queue.read_bytes.get();
    write_bytes += queue.write_bytes.get();
    fast_pieces += queue.fast_pieces.get();
    slow_pieces += queue.slow_pieces.get();
    errors += queue.errors.get();
    failed_reads += queue.failed_reads.get();
    failed_writes += queue.failed_writes.get();
  }
};

struct QueueShared {
  alignas(64) ReadSection section;
  EpochCounters epochs;
  QueueStatistics statistics;
};

}  // namespace dmr::runtime

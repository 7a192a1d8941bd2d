// SPDX-License-Identifier: GPL-2.0-or-later
// A volume in memory for tests of the exports: sectors that fail, requests that are held until
// the test lets them go, and counts of what came.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <set>
#include <vector>

#include "exports/source/source.h"

namespace dmr::exports::testing {

class MemoryVolume : public Source {
 public:
  explicit MemoryVolume(u64 sectors);

  std::string name() const override { return "tank"; }
  u64 sectors() const override { return data.size() / kSectorBytes; }
  u32 logical_block_bytes() const override { return logical_block; }
  u32 block_bytes() const override { return 4096; }
  bool read_only() const override { return is_read_only; }
  bool zeroes_fast() const override { return fast_zeroes; }
  runtime::Expected<std::unique_ptr<runtime::Queue>> make_queue() override;
  u64 flush_refusals() const override { return refusals_; }
  runtime::ClientBook& clients() override { return clients_; }

  void fail_reads(u64 sector) { set_bad(bad_reads_, sector); }
  void fail_writes(u64 sector, int error) {
    write_error_ = error;
    set_bad(bad_writes_, sector);
  }
  // As if a disk had refused a flush now.
  void refuse_a_flush() { ++refusals_; }
  // Requests stay under way until released; wait_for_held() until that many are.
  void hold();
  void release();
  void wait_for_held(unsigned count);

  std::size_t queues_in_use() {
    const std::lock_guard lock(mutex_);
    return live_.size();
  }

  // What is stored there; for the time when queues are in use.
  std::vector<std::byte> content(u64 offset, u64 bytes);
  void put(u64 offset, std::byte value);

  // Set before the export starts.
  u32 logical_block = 512;
  std::atomic<bool> is_read_only = false;  // may turn so later
  bool fast_zeroes = false;
  bool discard_supported = true;
  bool zeroes_supported = true;
  bool fail_queues = false;

  std::vector<std::byte> data;  // while no queue is in use
  std::atomic<unsigned> submits = 0;
  std::atomic<unsigned> requests = 0;
  std::atomic<unsigned> writes = 0;
  std::atomic<unsigned> fua_writes = 0;
  std::atomic<unsigned> flushes = 0;
  std::atomic<unsigned> discards = 0;
  std::atomic<unsigned> zeroings = 0;
  std::atomic<unsigned> queues = 0;
  std::atomic<unsigned> misaligned = 0;  // requests whose memory or sectors are not aligned

 private:
  friend class MemoryQueue;

  void set_bad(std::set<u64>& bad, u64 sector) {
    const std::lock_guard lock(mutex_);
    bad.insert(sector);
  }
  // Does the request at once; the result is in it.
  void execute(runtime::QueueRequest& request, FlushClient& client);
  void flush(runtime::QueueRequest& request, FlushClient& client);
  void transfer(runtime::QueueRequest& request, const std::set<u64>& bad, int error);

  std::atomic<u64> refusals_ = 0;
  runtime::ClientBook clients_;
  std::mutex mutex_;
  std::condition_variable held_changed_;
  bool holding_ = false;
  unsigned held_ = 0;
  std::set<runtime::Queue*> live_;
  std::set<u64> bad_reads_;
  std::set<u64> bad_writes_;
  int write_error_ = 0;
};

}  // namespace dmr::exports::testing

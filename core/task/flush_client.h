// SPDX-License-Identifier: GPL-2.0-or-later
// What one client of a volume has been told of flushes that members refused. A refusal may have
// lost what any client wrote before, so each client has to hear of each one by a flush of its own
// that fails. The rule, for every host that tells its clients apart: a flush fails when there is a
// refusal that its client had not been told of when it began. Told of it by another flush meanwhile
// is not enough: the client sent both without knowing, and may take the one that goes well for a
// promise.
#pragma once

#include <atomic>

#include "core/base/bugs.h"
#include "core/base/types.h"

namespace dmr {

// Counts are those of Volume::flush_refusals(). All calls from any thread.
class FlushClient {
 public:
  struct Flush {
    u64 told = 0;    // when it began
    u64 number = 0;  // 0: it proves nothing of what was written before it
  };
  // Who reads the answer: somebody who may ignore it, so that it has to be said again, or not.
  enum class Answer : u8 { counts, may_be_ignored };

  explicit FlushClient(u64 refusals) : told_(refusals), heard_(refusals) {}
  FlushClient(const FlushClient&) = delete;
  FlushClient& operator=(const FlushClient&) = delete;

  // When the client asks for the flush, before it is sent to any member.
  [[nodiscard]] Flush begin() {
    Flush flush;
    flush.told = told_.load(std::memory_order_acquire);
    const u64 number = begun_.fetch_add(1, std::memory_order_acq_rel) + 1;
    // Sent, perhaps, by a client that has yet to read what was lost before: it goes well, and still
    // the client must be found wanting should it break off now.
    if (heard_.load(std::memory_order_acquire) == flush.told) flush.number = number;
    return flush;
  }
  // When all members have answered. `refusals`: the count now. False: it fails.
  [[nodiscard]] bool end(const Flush& flush, u64 refusals, bool ok,
                         Answer answer = Answer::counts) {
    u64 known = flush.told;
    if (DMR_BUG(told_by_another_flush)) known = told_.load(std::memory_order_acquire);
    const bool well = ok && refusals == known;
    if (well) {
      raise(clean_, flush.number);
    } else if (answer == Answer::counts) {
      raise(told_, refusals);
    }
    return well;
  }

  // Its answers so far have reached it.
  void answered() { raise(heard_, told_.load(std::memory_order_acquire)); }
  [[nodiscard]] u64 heard() const { return heard_.load(std::memory_order_acquire); }
  [[nodiscard]] bool has_news(u64 refusals) const {
    return told_.load(std::memory_order_acquire) != refusals;
  }

  // A write is about to be answered. Nothing but loads where the last flush is no news.
  void wrote() {
    const u64 now = begun_.load(std::memory_order_acquire);
    if (wrote_.load(std::memory_order_relaxed) < now) [[unlikely]]
      raise(wrote_, now);
  }
  // A write was answered of which no flush has yet said that it is durable.
  [[nodiscard]] bool dirty() const {
    return wrote_.load(std::memory_order_acquire) >= clean_.load(std::memory_order_acquire);
  }

 private:
  static void raise(std::atomic<u64>& to, u64 value) {
    u64 seen = to.load(std::memory_order_relaxed);
    while (seen < value && !to.compare_exchange_weak(seen, value, std::memory_order_acq_rel)) {
    }
  }

  std::atomic<u64> told_;      // by an answer that counts
  std::atomic<u64> heard_;     // and has read it
  std::atomic<u64> begun_{1};  // number of the last flush that began
  std::atomic<u64> wrote_{0};  // `begun_` when a write was last answered
  std::atomic<u64> clean_{1};  // writes that were answered at lower numbers are durable
};

}  // namespace dmr

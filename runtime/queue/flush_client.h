// SPDX-License-Identifier: GPL-2.0-or-later
// Who has heard of which refused flush. A member that refuses one may have lost what any client
// wrote before, so each client hears of each refusal once, at its own next flush. A client whose
// connection broke comes back over another one, perhaps before the old one is known to be dead, as
// the same user of the same data. So a connection does not begin with the present count: it hears
// of everything that another one, connected still or gone since, has not heard of.
#pragma once

#include <algorithm>
#include <atomic>
#include <mutex>
#include <utility>
#include <vector>

#include "core/base/types.h"

namespace dmr::runtime {

// Counts are those of Volume::flush_refusals().
class FlushClient {
 public:
  explicit FlushClient(u64 refusals) : told_(refusals), heard_(refusals) {}

  // At the end of a flush: whether it is to fail because of refusals that are news. Any thread.
  [[nodiscard]] bool hears(u64 refusals) {
    u64 told = told_.load(std::memory_order_acquire);
    while (told < refusals) {
      if (told_.compare_exchange_weak(told, refusals, std::memory_order_acq_rel)) return true;
    }
    return false;
  }
  // Its answers so far have reached it.
  void answered() {
    heard_.store(told_.load(std::memory_order_acquire), std::memory_order_release);
  }
  [[nodiscard]] u64 heard() const { return heard_.load(std::memory_order_acquire); }

 private:
  std::atomic<u64> told_;
  std::atomic<u64> heard_;
};

// The connections of one volume.
class ClientBook {
 public:
  ClientBook() = default;
  ClientBook(const ClientBook&) = delete;
  ClientBook& operator=(const ClientBook&) = delete;

 private:
  friend class ConnectedClient;

  std::mutex mutex_;
  std::vector<const FlushClient*> connected_;
  u64 left_with_ = ~u64{0};  // the least that those who left since the last one came had heard
};

class ConnectedClient : public FlushClient {
 public:
  ConnectedClient(ClientBook& book, u64 refusals)
      : FlushClient(begin(book, refusals)), book_(book) {
    const std::lock_guard lock(book_.mutex_);
    book_.connected_.push_back(this);
  }
  ConnectedClient(const ConnectedClient&) = delete;
  ConnectedClient& operator=(const ConnectedClient&) = delete;
  ~ConnectedClient() {
    const std::lock_guard lock(book_.mutex_);
    std::erase(book_.connected_, this);
    book_.left_with_ = std::min(book_.left_with_, heard());
  }

 private:
  static u64 begin(ClientBook& book, u64 refusals) {
    const std::lock_guard lock(book.mutex_);
    u64 least = std::min(refusals, std::exchange(book.left_with_, ~u64{0}));
    for (const FlushClient* other : book.connected_) least = std::min(least, other->heard());
    return least;
  }

  ClientBook& book_;
};

}  // namespace dmr::runtime

// SPDX-License-Identifier: GPL-2.0-or-later
// Which refused flushes a new client has to hear of. One whose connection broke comes back over
// another one, perhaps before the old one is known to be dead, as the same user of the same data;
// and with NBD's multi-conn a flush on one connection covers what others were acknowledged. So a
// client does not begin with the present count: it hears of everything that another one, connected
// still or gone, had not heard of while it had something to lose. That is one with a write that no
// flush has made durable since: who only reads misses nothing. Nobody can tell which of those who
// come is the one that left, so what it missed stays, for each of them, until the volume is started
// anew, as the volume in the kernel takes no writes until it is resumed.
#pragma once

#include <algorithm>
#include <mutex>
#include <vector>

#include "core/task/flush_client.h"

namespace dmr::runtime {

// The clients of one volume.
class ClientBook {
 public:
  ClientBook() = default;
  ClientBook(const ClientBook&) = delete;
  ClientBook& operator=(const ClientBook&) = delete;

 private:
  friend class ConnectedClient;

  [[nodiscard]] u64 least_heard(u64 refusals) {
    const std::lock_guard lock(mutex_);
    u64 least = std::min(refusals, left_with_);
    for (const FlushClient* other : connected_) {
      if (other->dirty()) least = std::min(least, other->heard());
    }
    return least;
  }

  std::mutex mutex_;
  std::vector<const FlushClient*> connected_;
  u64 left_with_ = ~u64{0};  // the least that any who left with something to lose had heard
};

class ConnectedClient final : public FlushClient {
 public:
  // `refusals`: the volume's count now.
  ConnectedClient(ClientBook& book, u64 refusals)
      : FlushClient(book.least_heard(refusals)), book_(book) {
    const std::lock_guard lock(book_.mutex_);
    book_.connected_.push_back(this);
  }
  ~ConnectedClient() {
    const std::lock_guard lock(book_.mutex_);
    std::erase(book_.connected_, this);
    if (dirty()) book_.left_with_ = std::min(book_.left_with_, heard());
  }

 private:
  ClientBook& book_;
};

}  // namespace dmr::runtime

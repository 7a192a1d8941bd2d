// SPDX-License-Identifier: GPL-2.0-or-later
// Whether to look for a client's next request again and again, or to sleep until it comes. A
// processor that has gone to sleep wakes late, on a virtual machine by tens of microseconds: as
// much as all the rest of a small request takes. So for a client that keeps one request under way,
// and sends the next one soon, it is worth it to stay awake, for a limited time. Others cost a few
// vain looks, and fewer and fewer.
#pragma once

#include <algorithm>

#include "core/base/types.h"

namespace dmr::nbd {

class BusyPoll {
 public:
  static constexpr u64 kLongestNs = 100'000;
  static constexpr u32 kMostWaits = 4096;  // to sleep through after vain looks

  // `requests` began since the last wait, and nothing is under way: all are answered, or the rest
  // of one is still to come. How long to look before sleeping; 0: not at all.
  [[nodiscard]] u64 budget_ns(u64 requests) {
    if (requests > 1) return 0;  // several come with one wake-up when they are left alone
    if (waits_to_go_ == 0) return kLongestNs;
    --waits_to_go_;
    return 0;
  }
  // After a look. `worth_it`: a request has come, or the rest of one.
  void looked(bool worth_it) {
    penalty_ = worth_it ? 0 : std::min(penalty_ * 2 + 1, kMostWaits);
    waits_to_go_ = penalty_;
  }

 private:
  u32 penalty_ = 0;
  u32 waits_to_go_ = 0;
};

}  // namespace dmr::nbd

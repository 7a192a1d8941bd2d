// SPDX-License-Identifier: GPL-2.0-or-later
// How long to leave a busy client alone. A client that keeps many requests under way over a fast
// disk sends each as soon as it has read a reply; a server that wakes for every one of them spends
// more on waking than on serving. While the client still has replies to read, nothing is lost by
// letting it work on and taking its next requests together. Half of what it keeps under way shall
// have come when a pause ends: then the client has work as long as the server has.
#pragma once

#include "core/base/types.h"

namespace dmr::nbd {

class Patience {
 public:
  static constexpr u64 kFirstNs = 20'000;
  static constexpr u64 kLongestNs = 200'000;
  static constexpr u32 kMostRounds = 4096;  // to go without a pause after vain ones

  // `requests` came since the last call and are all answered. How long to pause before receiving
  // again; 0: not at all.
  [[nodiscard]] u64 pause_ns(u64 requests);
  // After a pause. `has_replies`: the client had not yet read all of its replies.
  void paused(bool has_replies);

 private:
  enum class Last : u8 { none, in_time, late };

  void learn(u64 requests);

  Last last_ = Last::none;  // how the pause before this call ended
  u64 window_ = 0;          // requests that the client keeps under way, at least
  bool window_known_ = false;
  u64 length_ns_ = kFirstNs;
  u32 rounds_to_go_ = 0;
  u32 penalty_ = 0;
};

}  // namespace dmr::nbd

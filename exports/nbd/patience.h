// SPDX-License-Identifier: GPL-2.0-or-later
// How long to leave a busy client alone. A client that keeps many requests under way over a fast
// disk sends each as soon as it has read a reply; a server that wakes for every one of them spends
// more on waking than on serving. While the client still has replies to read, nothing is lost by
// letting it work on and taking its next requests together. Half of what it keeps under way shall
// have come when a pause ends: then the client has work as long as the server has.
//
// A short pause is spent awake, giving way to whoever else wants the processor. Where that is the
// client, it has its turn at once and for as long as it has work; where it is nobody, the processor
// does not halt. But who only computes keeps a processor that is given to him until the scheduler's
// next tick. After such a turn some pauses are slept through: a timer ends them when it should.
#pragma once

#include "core/base/types.h"

namespace dmr::nbd {

class Patience {
 public:
  static constexpr u64 kFirstNs = 5'000;
  static constexpr u64 kLongestNs = 200'000;
  static constexpr u64 kLongestAwakeNs = 100'000;
  static constexpr u64 kShortestSleepNs = 20'000;
  static constexpr u32 kMostRounds = 8;             // to go without a pause after vain ones
  static constexpr u64 kLongestTurnNs = 1'000'000;  // a client's window takes less
  static constexpr u32 kSleeps = 64;                // after a longer turn

  // `requests` came since the last call and are all answered. How long to pause before receiving
  // again; 0: not at all.
  [[nodiscard]] u64 pause_ns(u64 requests);
  // Whether that pause is to be spent awake.
  [[nodiscard]] bool stays_awake() const { return awake_; }
  // After a pause. `has_replies`: the client had not yet read all of its replies. `turn_ns`: the
  // longest turn that somebody else had with the processor, 0 after a sleep.
  void paused(bool has_replies, u64 turn_ns = 0);

 private:
  enum class Last : u8 { none, in_time, late };

  void learn(u64 requests);

  Last last_ = Last::none;  // how the pause before this call ended
  u64 window_ = 0;          // requests that the client keeps under way, at least
  bool window_known_ = false;
  u64 length_ns_ = kFirstNs;
  u32 rounds_to_go_ = 0;
  u32 penalty_ = 0;
  bool awake_ = false;
  u32 sleeps_to_go_ = 0;
};

}  // namespace dmr::nbd

// SPDX-License-Identifier: GPL-2.0-or-later
// A pause that ends late, with nothing left for the client to read, costs the client time; but it
// tells how much the client keeps under way, for then all of that has come back.
#include "exports/nbd/patience.h"

#include <algorithm>

namespace dmr::nbd {

u64 Patience::pause_ns(u64 requests) {
  learn(requests);
  const bool has_more = last_ == Last::in_time;
  last_ = Last::none;
  // A client with one request under way waits for its reply.
  if (requests < 2 && !has_more) return 0;
  if (rounds_to_go_ > 0) {
    --rounds_to_go_;
    return 0;
  }
  awake_ = sleeps_to_go_ == 0 && length_ns_ <= kLongestAwakeNs;
  if (sleeps_to_go_ > 0) --sleeps_to_go_;
  return awake_ ? length_ns_ : std::max(length_ns_, kShortestSleepNs);
}

void Patience::paused(bool has_replies, u64 turn_ns) {
  last_ = has_replies ? Last::in_time : Last::late;
  if (turn_ns > kLongestTurnNs) sleeps_to_go_ = kSleeps;
}

void Patience::learn(u64 requests) {
  window_ = std::max(window_, requests);
  if (last_ == Last::none) return;
  if (last_ == Last::in_time) {
    penalty_ = 0;
    const u64 step = length_ns_ / 8;
    length_ns_ = !window_known_ || requests * 2 < window_ ? std::min(length_ns_ + step, kLongestNs)
                                                          : std::max(length_ns_ - step, kFirstNs);
    return;
  }
  window_ = requests;
  window_known_ = true;
  length_ns_ /= 2;
  if (length_ns_ >= kFirstNs) return;
  // Even the shortest is too long for this client, or it had the processor meanwhile and needs no
  // more of them: try again later, but not never, since a pause or two bring both back into step.
  length_ns_ = kFirstNs;
  penalty_ = std::min(penalty_ * 2 + 1, kMostRounds);
  rounds_to_go_ = penalty_;
}

}  // namespace dmr::nbd

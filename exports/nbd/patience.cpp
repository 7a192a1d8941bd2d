// SPDX-License-Identifier: GPL-2.0-or-later
// A pause that ends late, with nothing left for the client to read, costs the client time; but it
// tells how much the client keeps under way, for then all of that has come back.
#include "exports/nbd/patience.h"

#include <algorithm>

namespace dmr::nbd {

u64 Patience::pause_ns(u64 requests) {
  learn(requests);
  last_ = Last::none;
  // A client with one request under way waits for its reply.
  if (requests < 2) return 0;
  if (rounds_to_go_ > 0) {
    --rounds_to_go_;
    return 0;
  }
  return length_ns_;
}

void Patience::paused(bool has_replies) { last_ = has_replies ? Last::in_time : Last::late; }

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
  // Even the shortest is too long for this client: try again later and later.
  length_ns_ = kFirstNs;
  penalty_ = std::min(penalty_ * 2 + 1, kMostRounds);
  rounds_to_go_ = penalty_;
}

}  // namespace dmr::nbd

// SPDX-License-Identifier: GPL-2.0-or-later
// Where a write of the engine's own to main has failed and may still arrive. As long as the block
// lives on its spare that does no harm; it must not go home to main before the next open.
#pragma once

#include "core/host/host.h"

namespace dmr {

// A few ranges; what is too much for them widens the last one. Executor only.
class LateWrites {
 public:
  void add(Block begin, u64 blocks) {
    const Block end = begin + blocks;
    Range& last = ranges_[count_ > 0 ? count_ - 1 : 0];
    const bool touches = count_ > 0 && begin <= last.end && last.begin <= end;
    if (!touches && count_ < kRanges) {
      ranges_[count_++] = {begin, end};
      return;
    }
    if (begin < last.begin) last.begin = begin;
    if (last.end < end) last.end = end;
  }
  [[nodiscard]] bool may_arrive_in(Block begin, u64 blocks) const {
    for (u32 i = 0; i < count_; ++i) {
      if (ranges_[i].begin < begin + blocks && begin < ranges_[i].end) return true;
    }
    return false;
  }

 private:
  static constexpr u32 kRanges = 64;
  struct Range {
    Block begin;
    Block end;
  };

  Range ranges_[kRanges];
  u32 count_ = 0;
};

}  // namespace dmr

// SPDX-License-Identifier: GPL-2.0-or-later
// The simulator's own random numbers: the same on every machine and compiler, for ever. The
// distributions of the standard library are not.
#pragma once

#include "core/base/assert.h"
#include "core/base/types.h"

namespace dmr::sim {

class Random {
 public:
  explicit Random(u64 seed) : state_(seed) { (void)next(); }

  // A counter in big odd steps, then a bijective mix: every seed has the full period.
  u64 next() {
    state_ += 0x9E3779B97F4A7C15U;
    u64 x = state_;
    x = (x ^ (x >> 32U)) * 0xD6E8FEB86659FD93U;
    x = (x ^ (x >> 32U)) * 0xD6E8FEB86659FD93U;
    return x ^ (x >> 32U);
  }

  // 0 to limit - 1. The bias is below 2^-32 for the limits that are used here.
  u64 below(u64 limit) {
    DMR_ASSERT(limit > 0);
    return limit <= 0xFFFFFFFFU ? ((next() >> 32U) * limit) >> 32U : next() % limit;
  }
  u32 below32(u32 limit) { return static_cast<u32>(below(limit)); }
  // Both ends included.
  u64 range(u64 low, u64 high) { return low + below(high - low + 1); }
  bool chance(u32 of_1000) { return of_1000 != 0 && below(1000) < of_1000; }
  bool coin() { return (next() >> 63U) != 0; }

 private:
  u64 state_;
};

}  // namespace dmr::sim

// SPDX-License-Identifier: GPL-2.0-or-later
// Circuit breaker of one device and what is known of its answers. It opens on failed probes at
// spread addresses, never on a count of errors: real bursts of bad sectors reach thousands.
#pragma once

#include "core/base/types.h"

namespace dmr {

enum class Direction : u8 { read = 0, write = 1 };

class Breaker {
 public:
  // The device did something in this direction.
  void succeeded(Direction direction, u64 now_ns) { last_success_ns_[index(direction)] = now_ns; }

  // Has it succeeded in this direction at or after that moment?
  [[nodiscard]] bool answered_since(Direction direction, u64 since_ns) const {
    const u64 last = last_success_ns_[index(direction)];
    return last != 0 && last >= since_ns;
  }

  void trip(u64 now_ns) {
    open_ = true;
    tripped_ns_ = now_ns;
  }
  void reset() { open_ = false; }
  [[nodiscard]] bool open() const { return open_; }
  // An open breaker lets nobody probe before it has rested.
  [[nodiscard]] bool may_probe(u64 now_ns, u64 rest_ns) const {
    return !open_ || now_ns - tripped_ns_ >= rest_ns;
  }

 private:
  [[nodiscard]] static constexpr u32 index(Direction direction) {
    return static_cast<u32>(direction);
  }

  u64 last_success_ns_[2] = {};
  u64 tripped_ns_ = 0;
  bool open_ = false;
};

}  // namespace dmr

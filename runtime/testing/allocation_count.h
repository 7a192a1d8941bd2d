// SPDX-License-Identifier: GPL-2.0-or-later
// Counts the heap allocations that one thread makes.
#pragma once

namespace dmr::runtime::testing {

class AllocationCount {
 public:
  AllocationCount();
  AllocationCount(const AllocationCount&) = delete;
  AllocationCount& operator=(const AllocationCount&) = delete;
  ~AllocationCount();
  // Of this thread, since the construction.
  [[nodiscard]] unsigned value() const;
};

}  // namespace dmr::runtime::testing

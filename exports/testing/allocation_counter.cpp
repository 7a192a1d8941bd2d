// SPDX-License-Identifier: GPL-2.0-or-later
// Replaces operator new of the whole program. In a file of its own, so that no compiler sees both
// sides of a new and delete and takes them for a mismatch.
#include "exports/testing/allocation_counter.h"

#include <cstdlib>
#include <new>

namespace {

thread_local std::size_t count = 0;

}  // namespace

void* operator new(std::size_t bytes) {
  ++count;
  if (void* memory = std::malloc(bytes)) return memory;
  std::abort();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace dmr::exports::testing {

std::size_t allocations() { return count; }

}  // namespace dmr::exports::testing

// SPDX-License-Identifier: GPL-2.0-or-later
// Replaces operator new of the whole program. In a file of its own, so that no compiler sees both
// sides of a new and delete and takes them for a mismatch. The sanitizers bring their own, and
// hooks.
#include "exports/testing/allocation_counter.h"

#include <cstdlib>
#include <new>

namespace {

thread_local std::size_t count = 0;

}  // namespace

#if defined(DMR_SANITIZER_address) || defined(DMR_SANITIZER_thread)

extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*malloc_hook)(const volatile void*,
                                                                             std::size_t),
                                                         void (*free_hook)(const volatile void*));

namespace {
[[maybe_unused]] const int kInstalled = __sanitizer_install_malloc_and_free_hooks(
    [](const volatile void*, std::size_t) { ++count; }, [](const volatile void*) {});
}  // namespace

#else

void* operator new(std::size_t bytes) {
  ++count;
  if (void* memory = std::malloc(bytes)) return memory;
  std::abort();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

#endif

namespace dmr::exports::testing {

std::size_t allocations() { return count; }

}  // namespace dmr::exports::testing

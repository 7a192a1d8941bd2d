// SPDX-License-Identifier: GPL-2.0-or-later
// A host for unit tests: counts memory, fails on demand, runs grace periods when told to.
// Not freestanding.
#pragma once

#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#endif
#endif

#include "core/base/assert.h"
#include "core/host/host.h"

namespace dmr::testing {

class FakeHost : public Host {
 public:
  // Host.
  void submit(DeviceIo& io) override { submitted.push_back(&io); }
  void submit_batch(std::span<DeviceIo* const> batch) override {
    for (DeviceIo* io : batch) submit(*io);
  }
  u64 now_ns() override { return now; }
  void wake_at(u64 deadline_ns) override { deadlines.push_back(deadline_ns); }
  void after_grace(GraceWork& work) override { grace.push_back(&work); }
  i64 epoch_in_flight(u32 slot) override { return in_flight[slot]; }

  void* allocate(std::size_t bytes, std::size_t alignment) override {
    if (allocations_left == 0) return nullptr;
    if (allocations_left > 0) --allocations_left;
    const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
    void* memory = std::aligned_alloc(alignment, rounded);
    DMR_ASSERT(memory != nullptr);
    std::memset(memory, 0, rounded);
    sizes_[memory] = bytes;
    bytes_held += bytes;
    return memory;
  }
  void release(void* memory, std::size_t bytes) override {
    const auto at = sizes_.find(memory);
    DMR_ASSERT(at != sizes_.end() && at->second == bytes);
    bytes_held -= bytes;
    sizes_.erase(at);
    std::free(memory);
  }
  // Gives pages at once, as long as pages_left lasts.
  void request_pages(u32 count) override {
    pages_requested += count;
    for (u32 i = 0; i < count && pages_left != 0 && give_page; ++i) {
      if (pages_left > 0) --pages_left;
      give_page(FakeHost::allocate_page());
    }
  }
  void random(std::span<std::byte> out) override {
    for (std::byte& b : out) {
      random_state = random_state * 6364136223846793005U + 1442695040888963407U;
      b = static_cast<std::byte>(random_state >> 56U);
    }
  }
  void event(const Event& event) override { events.push_back(event); }
#if defined(ASAN_POISON_MEMORY_REGION)
  void poison(const void* memory, std::size_t bytes) override {
    ASAN_POISON_MEMORY_REGION(memory, bytes);
  }
  void unpoison(const void* memory, std::size_t bytes) override {
    ASAN_UNPOISON_MEMORY_REGION(memory, bytes);
  }
#else
  void poison(const void*, std::size_t) override {}
  void unpoison(const void*, std::size_t) override {}
#endif

  // For the tests.

  // Ends the grace periods that were asked for so far; answers how many.
  std::size_t end_grace() {
    const std::size_t count = grace.size();
    for (std::size_t i = 0; i < count; ++i) {
      GraceWork* work = grace.front();
      grace.pop_front();
      work->done(*work);
    }
    return count;
  }
  void end_all_grace() {
    for (int round = 0; round < 100 && !grace.empty(); ++round) (void)end_grace();
    DMR_ASSERT(grace.empty());
  }
  void* allocate_page() {
    const i64 left = allocations_left;
    allocations_left = -1;
    void* page = FakeHost::allocate(page_bytes, page_bytes);
    allocations_left = left;
    return page;
  }

  static constexpr std::size_t page_bytes = 16384;
  std::function<void(void*)> give_page;  // where pages go, e.g. Index::give_page
  i64 pages_left = -1;                   // pages that request_pages still gives; -1: no limit
  u64 pages_requested = 0;
  i64 allocations_left = -1;  // allocate() fails after this many; -1: never
  u64 bytes_held = 0;
  u64 now = 0;
  std::vector<u64> deadlines;
  std::deque<GraceWork*> grace;
  i64 in_flight[64] = {};
  std::vector<DeviceIo*> submitted;
  std::vector<Event> events;
  u64 random_state = 1;

 private:
  std::map<void*, std::size_t> sizes_;
};

}  // namespace dmr::testing

// SPDX-License-Identifier: GPL-2.0-or-later
// The rest of the simulator's host: memory, events, and the end of everything at a power cut.
#if defined(__SANITIZE_ADDRESS__)
#define DMR_SIM_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define DMR_SIM_ASAN 1
#endif
#endif
#ifdef DMR_SIM_ASAN
#include <sanitizer/asan_interface.h>
#endif

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "core/index/arena.h"
#include "sim/host.h"

namespace dmr::sim {

void SimHost::poison([[maybe_unused]] const void* memory, [[maybe_unused]] std::size_t bytes) {
#ifdef DMR_SIM_ASAN
  ASAN_POISON_MEMORY_REGION(memory, bytes);
#endif
}

void SimHost::unpoison([[maybe_unused]] const void* memory, [[maybe_unused]] std::size_t bytes) {
#ifdef DMR_SIM_ASAN
  ASAN_UNPOISON_MEMORY_REGION(memory, bytes);
#endif
}

void* SimHost::allocate(std::size_t bytes, std::size_t alignment) {
  if (++allocations_ == troubles.memory_fails_at) return nullptr;
  const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  void* memory = std::aligned_alloc(alignment, rounded);
  DMR_ASSERT(memory != nullptr);
  std::memset(memory, 0, rounded);
  memory_[memory] = bytes;
  return memory;
}

void SimHost::release(void* memory, std::size_t bytes) {
  const auto at = memory_.find(memory);
  DMR_ASSERT(at != memory_.end() && at->second == bytes);
  memory_.erase(at);
  std::free(memory);
}

void SimHost::free_all() {
  for (const auto& [memory, bytes] : memory_) {
    SimHost::unpoison(memory, bytes);
    std::free(memory);
  }
  memory_.clear();
}

// Memory comes late, but not as late as a slow disk: a commit waits for it 5 s at most. Where pages
// may also never come, some come when nobody waits for them any more.
u64 SimHost::page_delay() {
  Random& random = world_.random();
  if (troubles.page_refused_of_1000 != 0 && random.chance(50)) return random.range(1, kPageLate_ns);
  return std::min(delay(), kLag_ns);
}

void SimHost::request_pages(u32 count) {
  world_.preempt();
  for (u32 i = 0; i < count; ++i) {
    ++pages_;
    if (pages_ == troubles.page_fails_at) {
      ++pages_refused_;
      continue;
    }
    if (!pages_at_once && world_.random().chance(troubles.page_refused_of_1000)) {
      ++pages_refused_;
      continue;
    }
    if (pages_at_once) {
      give_page();
    } else {
      world_.after(page_delay(), Lane::rest, [this, life = life_] {
        if (life != life_) return;
        give_page();
        kick();
      });
    }
  }
}

void SimHost::give_page() {
  if (engine_ == nullptr) return;
  void* page = std::aligned_alloc(kIndexPageBytes, kIndexPageBytes);
  DMR_ASSERT(page != nullptr);
  memory_[page] = kIndexPageBytes;
  engine_->give_page(page);
}

void SimHost::random(std::span<std::byte> out) {
  for (std::byte& b : out) b = static_cast<std::byte>(world_.random().below(256));
}

void SimHost::event(const Event& event) {
  ++events_[static_cast<u32>(event.kind)];
  world_.note("engine: event {} about member {}, sector {}+{}", static_cast<u64>(event.kind),
              event.member, event.sector.value, event.sectors);
  if (on_event) on_event(event);
  world_.preempt();
}

void SimHost::power_off() {
  world_.forget_events();
  for (const Running& running : running_) {
    const DeviceIo& io = *running.io;
    if (running.applied || !is_write(io.op)) continue;
    disks_[io.member]->write_at_power_cut(running.id, io.sector, io.sectors,
                                          [&io](u32 i) { return sector_of(io, i); });
  }
  running_.clear();
  engine_ = nullptr;
  kicked_ = false;
  posted_ = 0;
  wake_ns_ = ~u64{0};
  sections_.clear();
  graces_.clear();
  for (i64& count : in_flight_) count = 0;
  free_all();
}

}  // namespace dmr::sim

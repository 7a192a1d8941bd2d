// SPDX-License-Identifier: GPL-2.0-or-later
// A fixed number of objects, each on its own cache lines, in memory that the host gives at open.
// Nothing is allocated afterwards; an empty pool is a value (null) that makes slow work wait.
#pragma once

#include <new>

#include "core/base/assert.h"
#include "core/base/result.h"
#include "core/base/types.h"
#include "core/host/host.h"

namespace dmr {

inline constexpr std::size_t kCacheLineBytes = 64;

// The pools of a volume and their usual sizes.
inline constexpr u32 kDefaultHealthRecords = 64;
inline constexpr u32 kDefaultIoContexts = 32;
inline constexpr u32 kDefaultWorkItems = 16;
inline constexpr u32 kDefaultBuffers = 8;
inline constexpr u32 kMaxPoolObjects = 1U << 16;

struct PoolCounters {
  u32 size = 0;
  u32 in_use = 0;
  u32 high_water = 0;  // most that were in use at once
  u64 exhausted = 0;   // times that acquire() found none
};

// One buffer of the buffer pool: the largest block, aligned as direct I/O wants it.
struct alignas(4096) IoBuffer {
  std::byte bytes[std::size_t{kSectorBytes} * 128];
};

// Used on the volume's executor only. T is default-initialised by acquire() (an IoBuffer keeps
// whatever was in it) and destroyed by release(). Free objects are poisoned through the host.
template <class T>
class FixedPool {
 public:
  FixedPool() = default;
  FixedPool(const FixedPool&) = delete;
  FixedPool& operator=(const FixedPool&) = delete;
  ~FixedPool() { DMR_ASSERT(host_ == nullptr); }

  // Takes the memory for `objects` objects from the host. Status::invalid for none or more than
  // kMaxPoolObjects, Status::no_memory when the host has none: the pool stays closed.
  Status open(Host& host, u32 objects) {
    DMR_ASSERT(host_ == nullptr);
    if (objects == 0 || objects > kMaxPoolObjects) return Status::invalid;
    void* memory = host.allocate(memory_bytes(objects), alignof(Slot));
    if (memory == nullptr) return Status::no_memory;
    host_ = &host;
    slots_ = static_cast<Slot*>(memory);
    links_ = reinterpret_cast<u32*>(slots_ + objects);
    counters_ = PoolCounters{.size = objects};
    free_ = kEnd;
    for (u32 i = objects; i > 0; --i) push_free(i - 1);
    return Status::ok;
  }

  // Gives the memory back. Every object must have been released.
  void close() {
    if (host_ == nullptr) return;
    DMR_ASSERT(counters_.in_use == 0);
    for (u32 i = 0; i < counters_.size; ++i) host_->unpoison(&slots_[i], sizeof(Slot));
    host_->release(slots_, memory_bytes(counters_.size));
    host_ = nullptr;
    slots_ = nullptr;
    links_ = nullptr;
    counters_.size = 0;
    free_ = kEnd;
  }

  // A fresh object, or null when all are in use.
  [[nodiscard]] T* acquire() {
    DMR_ASSERT(host_ != nullptr);
    if (free_ == kEnd) {
      ++counters_.exhausted;
      return nullptr;
    }
    const u32 index = free_;
    free_ = links_[index];
    links_[index] = kInUse;
    ++counters_.in_use;
    DMR_ASSERT(counters_.in_use <= counters_.size);
    if (counters_.in_use > counters_.high_water) counters_.high_water = counters_.in_use;
    host_->unpoison(&slots_[index], sizeof(Slot));
    return ::new (static_cast<void*>(slots_[index].bytes)) T;
  }

  // Takes back an object of this pool; a second release of the same object is caught.
  void release(T* object) {
    const u32 index = index_of(object);
    DMR_ASSERT(links_[index] == kInUse);
    DMR_ASSERT(counters_.in_use > 0);
    object->~T();
    --counters_.in_use;
    push_free(index);
  }

  [[nodiscard]] const PoolCounters& counters() const { return counters_; }
  [[nodiscard]] u32 available() const { return counters_.size - counters_.in_use; }

  // The number of an object of this pool, 0 to size - 1.
  [[nodiscard]] u32 index_of(const T* object) const {
    DMR_ASSERT(host_ != nullptr);
    const auto at = reinterpret_cast<std::uintptr_t>(object);
    const auto base = reinterpret_cast<std::uintptr_t>(slots_);
    DMR_ASSERT(at >= base);
    DMR_ASSERT((at - base) % sizeof(Slot) == 0);
    const std::uintptr_t index = (at - base) / sizeof(Slot);
    DMR_ASSERT(index < counters_.size);
    return static_cast<u32>(index);
  }

 private:
  static constexpr u32 kEnd = ~u32{0};
  static constexpr u32 kInUse = ~u32{0} - 1;
  static constexpr std::size_t kAlignment = alignof(T) > kCacheLineBytes ? alignof(T)
                                                                         : kCacheLineBytes;

  struct alignas(kAlignment) Slot {
    std::byte bytes[sizeof(T)];
  };
  static_assert(sizeof(Slot) % kCacheLineBytes == 0);

  [[nodiscard]] static constexpr std::size_t memory_bytes(u32 objects) {
    return std::size_t{objects} * (sizeof(Slot) + sizeof(u32));
  }

  void push_free(u32 index) {
    host_->poison(&slots_[index], sizeof(Slot));
    links_[index] = free_;
    free_ = index;
  }

  Host* host_ = nullptr;
  Slot* slots_ = nullptr;
  u32* links_ = nullptr;  // next free object, kEnd for the last, kInUse while handed out
  u32 free_ = kEnd;
  PoolCounters counters_;
};

}  // namespace dmr

// SPDX-License-Identifier: GPL-2.0-or-later
// Which blocks of the spares are free. Kept in memory only: at open it is rebuilt from the index
// and the records of bad spare blocks. Executor only, but for distrust().
#pragma once

#include "core/base/result.h"
#include "core/base/types.h"
#include "core/geometry/geometry.h"
#include "core/host/host.h"

namespace dmr {

struct SpareExtent {
  Member member = kMain;
  SpareBlock begin;
  u32 blocks = 0;
};

class SpareAllocator {
 public:
  struct Counters {
    u64 total = 0;  // blocks that can hold data: free + used + bad
    u64 free = 0;
    u64 used = 0;
    u64 bad = 0;
  };
  struct BadRange {
    Member member = kMain;
    SpareBlock begin;
    u64 blocks = 0;
  };
  // Where an iteration over bad ranges goes on; changes between calls are tolerated.
  struct Cursor {
    Member member = 1;
    SpareBlock next;
  };

  SpareAllocator() = default;
  SpareAllocator(const SpareAllocator&) = delete;
  SpareAllocator& operator=(const SpareAllocator&) = delete;

  // All data blocks of the spare become free, and open for allocation. no_memory changes nothing.
  Status add_member(Host& host, Member member, const SpareLayout& layout);
  void remove_member(Host& host, Member member);
  void close(Host& host);
  // A member that is retired or missing gives no block out, but keeps its state.
  void set_open(Member member, bool open);

  // Up to `wanted` consecutive blocks of one spare, now used. Next fit, on the spare that was used
  // last as long as none has much more room. no_space when there is no free block.
  Result<SpareExtent> allocate(u32 wanted);
  // The same on this spare, open or not.
  Result<SpareExtent> allocate_on(Member member, u32 wanted);
  // One block of this spare, the first free one from `from` on, around its end. Leaves the place
  // where the other allocations go on as it is.
  Result<SpareExtent> allocate_from(Member member, SpareBlock from);
  // A mapping found at open owns these blocks. False, and nothing changes, unless all were free:
  // two owners, a bad block, metadata, or not on the device.
  [[nodiscard]] bool mark_used(Member member, SpareBlock begin, u64 blocks);
  // These blocks are never given out again. They may be free, used or bad before. False, and
  // nothing changes, when they are not all blocks for data.
  [[nodiscard]] bool set_bad(Member member, SpareBlock begin, u64 blocks);
  // All were used. Those that are distrusted stay so, though nobody's.
  void release(Member member, SpareBlock begin, u64 blocks);
  // A write to these blocks failed and may still arrive: once released, they are not given out
  // again before the next open. Any thread, as long as they cannot be released.
  void distrust(Member member, SpareBlock begin, u64 blocks);

  // The next range of bad blocks; at most 2^31 blocks long.
  [[nodiscard]] bool next_bad(Cursor& cursor, BadRange& out) const;
  // Counters of a member that was added; zeros for the others.
  [[nodiscard]] const Counters& counters(Member member) const;
  // Free blocks on all members that are open for allocation.
  [[nodiscard]] u64 free_blocks() const;

 private:
  // A chunk of 4096 blocks; counts let a search skip what is full, or has no bad block.
  struct Chunk {
    u16 free = 0;
    u16 bad = 0;
  };
  struct Spare {
    u64* taken = nullptr;       // bit b: block b is used, bad, metadata or behind the end
    u64* distrusted = nullptr;  // behind `taken`; its words are changed atomically
    u64* bad = nullptr;
    Chunk* chunks = nullptr;
    u64 blocks = 0;  // of the device
    u64 at = 0;      // where the next search begins
    bool open = false;
    SpareRange metadata[3];
    Counters counters;
  };

  [[nodiscard]] Spare& spare(Member member);
  [[nodiscard]] const Spare& spare(Member member) const;
  [[nodiscard]] static bool is_data(const Spare& spare, SpareBlock begin, u64 blocks);
  [[nodiscard]] static bool all_free(const Spare& spare, u64 begin, u64 blocks);
  [[nodiscard]] static u64 find_free(const Spare& spare, u64 from, u64 to);
  static void take(Spare& spare, u64 begin, u64 blocks);
  [[nodiscard]] Member choose() const;
  static void release_memory(Host& host, Spare& spare);

  Spare spares_[kMaxSpares];
  Member last_ = 1;
};

}  // namespace dmr

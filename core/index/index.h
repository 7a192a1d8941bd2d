// SPDX-License-Identifier: GPL-2.0-or-later
// Where every block of the volume lives. Many wait-free readers, one writer (the executor).
// Regions of 8192 blocks, each with a summary bit, a filter bit for each 128 blocks and a leaf. A
// clean region costs a bit test; in the others the filter spares many lookups the way to the leaf.
#pragma once

#include <atomic>
#include <span>

#include "core/base/result.h"
#include "core/base/types.h"
#include "core/geometry/geometry.h"
#include "core/host/host.h"
#include "core/index/arena.h"

namespace dmr {

enum class LostKind : u8 { none, all, some };

// Where a run of blocks lives and what of it is lost. A lost block may live on main: it was lost in
// place and needs no spare block until it is written.
struct Home {
  Member member = kMain;
  LostKind lost = LostKind::none;
  SpareBlock spare;  // home of the run's first block; 0 when member is main
  LostMask mask;     // the lost sectors with LostKind::some, which goes with length 1 only

  [[nodiscard]] constexpr bool is_plain() const {
    return member == kMain && lost == LostKind::none;
  }
  friend constexpr bool operator==(const Home&, const Home&) = default;
};

struct Run {
  Block begin;
  u64 length = 0;
  Home home;
  friend constexpr bool operator==(const Run&, const Run&) = default;
};

struct Extent {
  Sector sector;
  u32 sectors = 0;
};

enum class RouteKind : u8 {
  device,  // at `sector` of `member`
  lost,    // reads fail, writes are for the executor
  held,    // being moved: the request has to wait
  gone,    // the home's member is missing: reads fail, writes are for the executor (Volume::route)
  slow,    // a write whose home takes no new data: for the executor (Volume::route)
};

// The first piece of an extent. `member` and `sector` count with RouteKind::device only.
struct Route {
  RouteKind kind = RouteKind::device;
  Member member = kMain;
  u32 sectors = 0;
  Sector sector;
  friend constexpr bool operator==(const Route&, const Route&) = default;
};
static_assert(sizeof(Route) == 16);  // comes back in two registers

inline constexpr u32 kMaxHolds = 128;
inline constexpr u32 kMaxHoldBlocks = 1023;
inline constexpr u32 kRouteBatch = 16;
using HoldId = u8;

struct Entry;
struct FanOut;
class Scratch;

// Publishing order. The executor changes the home of a block only while the block is held and after
// the I/O epoch of its region has drained (core/index/epoch.h). A reader tests the summary bit,
// then the holds, then loads the leaf, each with acquire; the executor stores with release. So for
// each hold a reader
//   - either misses it, because it read the bit, the limit or the word from before the hold. Then
//   it
//     runs in a read section that the drain waits for, and so does its I/O: the home that it found
//     cannot change before that I/O has completed;
//   - or sees it, and gets `held`;
//   - or reads a value that was stored when the hold was released or later. All leaf changes made
//     under the hold come before that store, and the reader loads the leaf after it: it sees them.
// A summary bit is cleared only when the region has no leaf and no hold touches it. A reader that
// sees it clear either sees the clearing (then main is right, since the null leaf came before it),
// or an older clear state from before a later hold set it (then the drain of that hold waits for
// it).
class Index {
 public:
  struct Counters {
    u64 runs = 0;             // stored; a run is cut at borders of regions
    u64 remapped_blocks = 0;  // home on a spare
    u64 lost_sectors = 0;
  };
  // Where an iteration goes on. Changes between calls are tolerated: what lies before is not
  // visited again, what lies behind is seen as it is then.
  struct Cursor {
    Block next;
  };

  Index() = default;
  Index(const Index&) = delete;
  Index& operator=(const Index&) = delete;

  // Takes directory, summary and scratch from Host::allocate. no_memory leaves nothing behind.
  Status open(Host& host, const Geometry& geometry);
  // Releases everything. No reader is left, quiet() is true.
  void close();

  // Any thread, inside a read section. [s, s + sectors) lies inside the volume. A piece ends at the
  // border of its region at the latest (an epoch slot stands for one region). Neighbours on the
  // same member with consecutive addresses make one piece, and so do lost ones.
  [[nodiscard]] Route route(Sector s, u32 sectors) const {
    const u64 region = s.value >> region_sector_shift_;
    DMR_ASSERT(region < regions_ && sectors > 0);
    const u64 left = ((region + 1) << region_sector_shift_) - s.value;
    const u32 count = sectors < left ? sectors : static_cast<u32>(left);
    if (!touched(region)) [[likely]]
      return {RouteKind::device, kMain, count, s};
    return route_touched(s, count);
  }
  // Any thread. False: nothing is stored for this region and no hold touches it.
  [[nodiscard]] bool touched(u64 region) const {
    return ((summary_[region >> 6U].load(std::memory_order_acquire) >> (region & 63U)) & 1U) != 0;
  }
  // The first pieces of up to kRouteBatch extents; cache misses overlap.
  void route_batch(std::span<const Extent> extents, std::span<Route> out) const;

  // Executor only from here on.

  // The stored run that contains `b`, or the gap around it as a plain run. Both end at the border
  // of the region at the latest.
  [[nodiscard]] Run lookup(Block b) const;
  // The next run that is not plain, at or after the cursor. Runs that follow each other are joined
  // over region borders, up to a limit, so that a length fits into 32 bits.
  [[nodiscard]] bool next(Cursor& cursor, Run& out) const;

  // Makes sure that `changes` calls of set() succeed, each of at most kMaxHoldBlocks blocks. Else
  // asks the host for the pages that lack and answers `again`.
  Status reserve(u32 changes);
  // Blocks [begin, begin + length) get this home, whatever they had. A plain home removes. `again`:
  // nothing has changed, pages have been asked for. Masks are normalised: an empty one is
  // LostKind::none, one with all sectors of the block is LostKind::all.
  Status set(Block begin, u64 length, const Home& home);
  // A page of kIndexPageBytes, aligned to its size. It goes back through Host::release at close().
  void give_page(void* page) { arena_.give_page(page); }

  // Between the two there are no readers: leaves are reused without a grace period. Only the Loader
  // and set() are used then (checkpoint, then journal).
  void begin_load();
  void end_load();

  // Requests to these blocks get RouteKind::held once they see it. `again`: all kMaxHolds in use.
  Result<HoldId> hold(Block begin, u32 blocks);
  void release(HoldId id);
  [[nodiscard]] bool any_hold() const { return hold_limit_.load(std::memory_order_relaxed) != 0; }

  // No grace period of this index is under way.
  [[nodiscard]] bool quiet() const { return !grace_pending_ && limbo_ == 0; }
  [[nodiscard]] const Counters& counters() const { return counters_; }
  // Directory, summary, scratch and every page, the free ones included.
  [[nodiscard]] u64 bytes_held() const;
  // The same without the pages that are free.
  [[nodiscard]] u64 bytes_used() const;
  [[nodiscard]] const Geometry& geometry() const { return geometry_; }

 private:
  friend class Loader;
  // What is stored at a block: [begin, end) within the region, home word 0 for a gap.
  struct Found {
    u32 begin;
    u32 end;
    u64 home;
    LostMask mask;
  };
  // A region in the directory. Both words lie in one cache line.
  struct alignas(16) Slot {
    std::atomic<u64> entry;   // what leaf.h calls an entry
    std::atomic<u64> filter;  // bit i: look at the blocks from i * 128 on
  };
  static constexpr u32 kHoldShift = 10;
  static_assert(kMaxHoldBlocks < (1U << kHoldShift));

  [[nodiscard]] static bool filtered_out(const Slot& slot, u32 first, u32 last);
  [[nodiscard]] Route route_touched(Sector s, u32 sectors) const;
  [[nodiscard, gnu::cold, gnu::noinline]] Route route_pieces(u64 entry, Sector s,
                                                             u32 sectors) const;
  [[nodiscard]] Route route_piece(u64 entry, Sector s, u32 sectors) const;
  [[nodiscard, gnu::cold, gnu::noinline]] bool cut_at_holds(Sector s, u32& sectors) const;
  [[nodiscard]] Found find(u64 entry, u64 region, u32 at) const;
  [[nodiscard]] u32 blocks_in(u64 region) const;
  [[nodiscard]] bool next_stored(Block from, Run& out) const;
  [[nodiscard]] u64 next_touched(u64 region) const;

  [[nodiscard]] Home normalised(Block begin, u64 length, const Home& home) const;
  [[nodiscard]] u64 units_for(Block begin, u64 length) const;
  [[nodiscard]] u64 units_in_region(u64 region, u32 begin, u32 end) const;
  Status ensure(u64 units);
  void set_in_region(u64 region, u32 begin, u32 end, const Home& home);
  void set_in_fan_out(u64 region, FanOut& node, const Entry& with);
  void collapse(u64 region, FanOut& node);
  [[nodiscard]] u64 build_region(const Scratch& scratch);
  [[nodiscard]] u64 build_leaf(const Scratch& scratch, u32& from, u32 low, u32 high);
  void account(u64 region, u64 entry, bool add);
  void publish(u64 region, u64 entry);
  void set_filter(u64 region, u32 low, u32 high, u64 leaf);
  void retire(u64 entry);
  void retire_all(u64 entry);
  void free_entry(u64 entry);
  void start_grace();
  static void on_grace(GraceWork& work);

  void set_touched(u64 region);
  void settle(u64 region);
  [[nodiscard]] bool held_region(u64 region) const;
  void release_memory();

  // Read by every lookup, written by open, close and holds only.
  alignas(64) std::atomic<u64>* summary_ = nullptr;  // bit r: look at region r
  Slot* directory_ = nullptr;
  u64 regions_ = 0;
  u32 region_sector_shift_ = 0;
  std::atomic<u32> hold_limit_{0};  // one more than the highest hold in use
  Geometry geometry_;

  alignas(64) std::atomic<u64> holds_[kMaxHolds] = {};  // block << 10 | blocks; 0 is free

  // The executor's own.
  alignas(64) Host* host_ = nullptr;
  Arena arena_;
  Scratch* scratch_ = nullptr;
  Counters counters_;
  u64 limbo_ = 0;    // entries that readers may still see, linked through their tails
  u64 waiting_ = 0;  // those whose grace period is under way
  GraceWork grace_;
  bool grace_pending_ = false;
  bool loading_ = false;
};

// Fills an empty index from runs in ascending order, with one exact leaf per region. Between
// Index::begin_load and end_load.
class Loader {
 public:
  explicit Loader(Index& index) : index_(index) {}
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  Status open();  // no_memory
  // `invalid`: not behind the run before, or not inside the volume. `again`: nothing was taken,
  // pages have been asked for.
  Status add(const Run& run);
  // Publishes the last region. `again`: pages have been asked for, call it again.
  Status finish();
  void close();

 private:
  [[nodiscard]] u64 gathered_units() const;
  void flush();

  Index& index_;
  Scratch* scratch_ = nullptr;
  Block next_;
  u64 region_ = 0;
};

}  // namespace dmr

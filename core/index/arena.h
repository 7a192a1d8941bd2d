// SPDX-License-Identifier: GPL-2.0-or-later
// Memory of the index: 16 KiB pages from the host, cut into spans of 64-byte units.
// Executor only. Any span fits into any page, so an almost empty index needs one page only, and
// what a number of changes may need in the worst case can be known beforehand.
#pragma once

#include "core/base/types.h"
#include "core/host/host.h"

namespace dmr {

inline constexpr u32 kIndexPageBytes = 16384;
inline constexpr u32 kArenaUnitBytes = 64;

class Arena {
 public:
  // The largest span: a leaf of 256 runs that all carry a mask (core/index/leaf.h).
  static constexpr u32 kMaxSpanUnits = 113;
  static constexpr u32 kPageUnits = kIndexPageBytes / kArenaUnitBytes;  // its header included
  static constexpr u32 kFreshUnits = kPageUnits - 1;
  // Units that a fresh page takes for certain before a span might not fit.
  static constexpr u32 kCertainUnits = kFreshUnits - (kMaxSpanUnits - 1);

  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  void open(Host& host) { host_ = &host; }
  // All spans must have been freed. Pages go back through Host::release.
  void close();
  // Gives up every page, whatever is still allocated in it.
  void abandon();

  // A page of kIndexPageBytes, aligned to its size.
  void give_page(void* page);
  // Null when no page has room. Alignment: one unit.
  [[nodiscard]] void* allocate(u32 units);
  void give_back(void* span, u32 units);

  // Units that can be allocated for certain, in spans of whatever sizes.
  [[nodiscard]] u64 certain_units() const { return certain_units_; }
  [[nodiscard]] u64 used_units() const { return used_units_; }
  [[nodiscard]] u64 pages() const { return pages_; }
  // Pages in which at least one span is allocated.
  [[nodiscard]] u64 used_pages() const { return used_pages_; }

 private:
  struct Page;  // the header, in a page's first unit
  struct Scan {
    u32 best;  // where the tightest run of free units begins that is long enough
    u32 best_size;
    u32 largest;  // longest run of free units in the page
  };

  static Page* page_of(void* span);
  static Scan scan(const Page& page, u32 units);
  static constexpr u32 certain_of(u32 largest) {
    return largest >= kMaxSpanUnits ? largest - (kMaxSpanUnits - 1) : 0;
  }
  void file(Page& page, u32 largest);
  void unfile(Page& page);

  Host* host_ = nullptr;
  Page* bins_[kPageUnits] = {};       // pages by their longest run of free units
  u64 filled_[kPageUnits / 64] = {};  // bit b: bins_[b] is not empty
  u64 certain_units_ = 0;
  u64 used_units_ = 0;
  u64 pages_ = 0;
  u64 used_pages_ = 0;
};

}  // namespace dmr

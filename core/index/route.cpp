// SPDX-License-Identifier: GPL-2.0-or-later
// The read side of the index: what a request meets in a region that is not clean. Wait-free.
#include <bit>

#include "core/index/index.h"
#include "core/index/leaf.h"

namespace dmr {

// Nothing but plain blocks in [first, last] of the region.
[[gnu::always_inline]] inline bool Index::filtered_out(const Slot& slot, u32 first, u32 last) {
  return (slot.filter.load(std::memory_order_acquire) & filter_bits(first, last)) == 0;
}

// The order holds first, filter and leaf second is what the class's comment builds on.
Route Index::route_touched(Sector s, u32 sectors) const {
  if (hold_limit_.load(std::memory_order_acquire) != 0) [[unlikely]] {
    if (cut_at_holds(s, sectors)) return {RouteKind::held, kMain, sectors, s};
  }
  const Route plain{RouteKind::device, kMain, sectors, s};
  const u32 first = block_in_region(geometry_.block_of(s));
  const u32 last = block_in_region(geometry_.block_of(s + (sectors - 1)));
  const Slot& slot = directory_[s.value >> region_sector_shift_];
  if (filtered_out(slot, first, last)) return plain;
  const u64 entry = slot.entry.load(std::memory_order_acquire);
  if (entry == 0) return plain;
  u64 sub = entry;
  if (is_fan_out(entry)) {
    if (first >> kSubShift != last >> kSubShift) return route_pieces(entry, s, sectors);
    sub = fan_out_of(entry)->leaf[first >> kSubShift].load(std::memory_order_acquire);
    if (sub == 0) return plain;
  }
  prefetch_leaf(sub, first);
  const Leaf& leaf = *leaf_of(sub);
  const u32 before = leaf.runs_up_to(first);
  if (before > 0) {
    const u32 i = before - 1;
    const u32 end = leaf.end(i);
    if (first < end) {
      const u64 home = leaf.homes()[i];
      if (last >= end || home_lost(home) != LostKind::none) {
        return route_pieces(entry, s, sectors);
      }
      const SpareBlock block(home_behind(home, first - leaf.start(i)) & kHomeSpareMask);
      return {RouteKind::device, home_member(home), sectors,
              geometry_.spare_sector(block) + geometry_.sector_in_block(s)};
    }
  }
  if (before < leaf.runs && leaf.start(before) <= last) return route_pieces(entry, s, sectors);
  return plain;
}

// True: `s` is held, for `sectors`. False: no hold lies within `sectors`, which may be fewer now.
bool Index::cut_at_holds(Sector s, u32& sectors) const {
  const u32 limit = hold_limit_.load(std::memory_order_acquire);
  for (u32 i = 0; i < limit; ++i) {
    const u64 word = holds_[i].load(std::memory_order_acquire);
    if (word == 0) continue;
    const Block block(word >> kHoldShift);
    const u64 begin = geometry_.first_sector(block).value;
    const u64 end = geometry_.first_sector(block + (word & kMaxHoldBlocks)).value;
    if (s.value >= begin && s.value < end) {
      if (sectors > end - s.value) sectors = static_cast<u32>(end - s.value);
      return true;
    }
    if (s.value < begin && sectors > begin - s.value) sectors = static_cast<u32>(begin - s.value);
  }
  return false;
}

Index::Found Index::find(u64 entry, u64 region, u32 at) const {
  u32 low = 0;
  u32 high = blocks_in(region);
  if (is_fan_out(entry)) {
    low = at & ~(kSubBlocks - 1);
    if (high > low + kSubBlocks) high = low + kSubBlocks;
    entry = fan_out_of(entry)->leaf[at >> kSubShift].load(std::memory_order_acquire);
  }
  DMR_ASSERT(at < high);
  if (entry == 0) return {low, high, 0, {}};
  const Leaf& leaf = *leaf_of(entry);
  const u32 before = leaf.runs_up_to(at);
  if (before > 0) {
    const Entry run = leaf.entry(before - 1);
    if (at < run.end()) return {run.start, run.end(), run.home, run.mask};
    low = run.end();
  }
  if (before < leaf.runs) high = leaf.start(before);
  return {low, high, 0, {}};
}

// The piece that begins at `s`, not yet joined with what follows.
Route Index::route_piece(u64 entry, Sector s, u32 sectors) const {
  const Block block = geometry_.block_of(s);
  const u64 region = region_of(block);
  const u32 at = block_in_region(block);
  const Found found = find(entry, region, at);
  const Block end((region << kRegionBlockShift) + found.end);
  const u64 left = geometry_.first_sector(end) - s;
  Route piece{RouteKind::device, kMain, sectors < left ? sectors : static_cast<u32>(left), s};
  const u32 offset = geometry_.sector_in_block(s);
  const LostKind lost = home_lost(found.home);
  if (lost == LostKind::some) {
    // One block: cut where valid sectors end or begin.
    const bool first = found.mask.test(offset);
    u32 same = 1;
    while (same < piece.sectors && found.mask.test(offset + same) == first) ++same;
    piece.sectors = same;
    if (first) piece.kind = RouteKind::lost;
  } else if (lost == LostKind::all) {
    piece.kind = RouteKind::lost;
  }
  piece.member = home_member(found.home);
  if (piece.kind == RouteKind::lost) {
    piece.member = kMain;
  } else if (piece.member != kMain) {
    const SpareBlock spare(home_behind(found.home, at - found.begin) & kHomeSpareMask);
    piece.sector = geometry_.spare_sector(spare) + offset;
  }
  return piece;
}

Route Index::route_pieces(u64 entry, Sector s, u32 sectors) const {
  Route piece = route_piece(entry, s, sectors);
  while (piece.sectors < sectors) {
    const Route more = route_piece(entry, s + piece.sectors, sectors - piece.sectors);
    if (more.kind != piece.kind || more.member != piece.member) break;
    if (more.sector != piece.sector + piece.sectors) break;
    piece.sectors += more.sectors;
  }
  return piece;
}

void Index::route_batch(std::span<const Extent> extents, std::span<Route> out) const {
  DMR_ASSERT(extents.size() <= kRouteBatch && out.size() >= extents.size());
  // Three rounds, so that the misses on the directory overlap, then those on leaves.
  u32 busy = 0;
  for (std::size_t i = 0; i < extents.size(); ++i) {
    const u64 region = extents[i].sector.value >> region_sector_shift_;
    DMR_ASSERT(region < regions_);
    __builtin_prefetch(&directory_[region]);
    busy |= (touched(region) ? 1U : 0U) << i;
  }
  // Only a hint which lines will be needed: route() below loads all again, after the holds.
  for (u32 rest = busy; rest != 0; rest &= rest - 1) {
    const Sector s = extents[static_cast<u32>(std::countr_zero(rest))].sector;
    const Slot& slot = directory_[s.value >> region_sector_shift_];
    const u32 at = block_in_region(geometry_.block_of(s));
    if (filtered_out(slot, at, at)) continue;
    u64 entry = slot.entry.load(std::memory_order_acquire);
    if (is_fan_out(entry)) {
      entry = fan_out_of(entry)->leaf[at >> kSubShift].load(std::memory_order_acquire);
    }
    if (entry != 0) prefetch_leaf(entry, at);
  }
  for (std::size_t i = 0; i < extents.size(); ++i) {
    out[i] = route(extents[i].sector, extents[i].sectors);
  }
}

}  // namespace dmr

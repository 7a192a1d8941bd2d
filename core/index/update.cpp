// SPDX-License-Identifier: GPL-2.0-or-later
// The write side of the index: leaves are made anew, published by one store each, and what they
// replace is reused after a grace period.
#include "core/base/bits.h"
#include "core/index/index.h"
#include "core/index/leaf.h"

namespace dmr {

namespace {

// What one set() of at most kMaxHoldBlocks blocks may need. It touches two regions at most, each
// with one leaf that is changed in part (both in one region: two), and leaves of one run in
// between.
constexpr u32 kRunLeaves = kMaxHoldBlocks / kSubBlocks + 1;
constexpr u32 kFanOutChange = Arena::kMaxSpanUnits + kRunLeaves + kCollapseUnits;
constexpr u32 kConversion = conversion_units(kLeafRuns + 2, kLeafRuns + 1);
constexpr u32 kRegionChange = kFanOutChange > kConversion ? kFanOutChange : kConversion;
constexpr u32 kWorstChange = 2 * kRegionChange;
static_assert(kWorstChange >= kFanOutChange + Arena::kMaxSpanUnits);

}  // namespace

// --- What a change needs ---------------------------------------------------------------------

u64 Index::units_in_region(u64 region, u32 begin, u32 end) const {
  if (begin == 0 && end == blocks_in(region)) return 1;
  const u64 entry = directory_[region].entry.load(std::memory_order_relaxed);
  if (entry == 0) return 1;
  if (!is_fan_out(entry)) {
    const u32 runs = leaf_of(entry)->runs + 2U;
    const u32 masks = leaf_of(entry)->masks() + 1U;
    return runs <= kLeafRuns ? Leaf::units(runs, masks) : conversion_units(runs, masks);
  }
  u64 units = kCollapseUnits;
  for (u32 sub = begin >> kSubShift; sub <= (end - 1) >> kSubShift; ++sub) {
    const u64 old = fan_out_of(entry)->leaf[sub].load(std::memory_order_relaxed);
    const u32 low = sub << kSubShift;
    if (old == 0 || (begin <= low && end >= low + kSubBlocks)) {
      units += 1;
      continue;
    }
    const u32 runs = leaf_of(old)->runs + 2U;
    const u32 masks = leaf_of(old)->masks() + 1U;
    units +=
        Leaf::units(runs < kSubBlocks ? runs : kSubBlocks, masks < kSubBlocks ? masks : kSubBlocks);
  }
  return units;
}

u64 Index::units_for(Block begin, u64 length) const {
  u64 units = 0;
  const u64 end = begin.value + length;
  for (u64 at = begin.value; at < end;) {
    const u64 region = at >> kRegionBlockShift;
    const u64 border = (region + 1) << kRegionBlockShift;
    const u64 to = border < end ? border : end;
    const u64 base = region << kRegionBlockShift;
    units += units_in_region(region, static_cast<u32>(at - base), static_cast<u32>(to - base));
    at = to;
  }
  return units;
}

Status Index::ensure(u64 units) {
  if (arena_.certain_units() >= units) return Status::ok;
  const u64 lack = units - arena_.certain_units();
  host_->request_pages(static_cast<u32>((lack + Arena::kCertainUnits - 1) / Arena::kCertainUnits));
  return arena_.certain_units() >= units ? Status::ok : Status::again;
}

Status Index::reserve(u32 changes) { return ensure(u64{changes} * kWorstChange); }

// --- Changes ---------------------------------------------------------------------------------

Home Index::normalised(Block begin, u64 length, const Home& home) const {
  DMR_ASSERT(length > 0 && begin.value < geometry_.blocks());
  DMR_ASSERT(length <= geometry_.blocks() - begin.value);
  DMR_ASSERT(home.member < kMaxMembers && home.spare.value + length <= kHomeSpareMask);
  Home result = home;
  if (home.member == kMain) result.spare = SpareBlock(0);
  if (home.lost != LostKind::some) {
    DMR_ASSERT(home.mask.none());
    return result;
  }
  const LostMask all = LostMask::all(geometry_.sectors_in(begin));
  DMR_ASSERT(length == 1);
  DMR_ASSERT(((home.mask.low & ~all.low) | (home.mask.high & ~all.high)) == 0);
  if (home.mask.none()) result.lost = LostKind::none;
  if (home.mask == all) result.lost = LostKind::all;
  if (result.lost != LostKind::some) result.mask = {};
  return result;
}

Status Index::set(Block begin, u64 length, const Home& home) {
  Home here = normalised(begin, length, home);
  if (const Status status = ensure(units_for(begin, length)); status != Status::ok) return status;
  const u64 end = begin.value + length;
  for (u64 at = begin.value; at < end;) {
    const u64 region = at >> kRegionBlockShift;
    const u64 base = region << kRegionBlockShift;
    const u64 border = base + kRegionBlocks;
    const u64 to = border < end ? border : end;
    set_in_region(region, static_cast<u32>(at - base), static_cast<u32>(to - base), here);
    if (here.member != kMain) here.spare = here.spare + (to - at);
    at = to;
  }
  start_grace();
  return Status::ok;
}

void Index::set_in_region(u64 region, u32 begin, u32 end, const Home& home) {
  const u64 old = directory_[region].entry.load(std::memory_order_relaxed);
  if (old == 0 && home.is_plain()) return;
  const Entry with{static_cast<u16>(begin), static_cast<u16>(end - begin), pack_home(home),
                   home.mask};
  const bool whole = begin == 0 && end == blocks_in(region);
  if (!whole && is_fan_out(old)) return set_in_fan_out(region, *fan_out_of(old), with);
  scratch_->splice(whole ? nullptr : leaf_of(old), with);
  const u64 entry = build_region(*scratch_);
  account(region, old, false);
  account(region, entry, true);
  publish(region, entry);
  retire_all(old);
}

void Index::set_in_fan_out(u64 region, FanOut& node, const Entry& with) {
  for (u32 sub = with.start >> kSubShift; sub <= (with.end() - 1) >> kSubShift; ++sub) {
    const u64 old = node.leaf[sub].load(std::memory_order_relaxed);
    if (old == 0 && with.home == 0) continue;
    const u32 low = sub << kSubShift;
    scratch_->splice(leaf_of(old), clip(with, low, low + kSubBlocks));
    u32 from = 0;
    const u64 leaf = build_leaf(*scratch_, from, low, low + kSubBlocks);
    account(region, old, false);
    account(region, leaf, true);
    node.runs += leaf != 0 ? leaf_of(leaf)->runs : 0;
    node.runs -= old != 0 ? leaf_of(old)->runs : 0;
    node.leaf[sub].store(leaf, std::memory_order_release);
    set_filter(region, low, low + kSubBlocks, leaf);
    retire(old);
  }
  if (node.runs <= kCollapseRuns) collapse(region, node);
}

void Index::collapse(u64 region, FanOut& node) {
  scratch_->clear();
  for (const std::atomic<u64>& sub : node.leaf) {
    const u64 leaf = sub.load(std::memory_order_relaxed);
    if (leaf != 0) scratch_->append(*leaf_of(leaf));
  }
  const u64 entry = build_region(*scratch_);
  account(region, entry_of(&node), false);
  account(region, entry, true);
  publish(region, entry);
  retire_all(entry_of(&node));
}

// --- Making leaves ---------------------------------------------------------------------------

// The runs from number `from` on, as far as they lie in [low, high). 0 for none. Then `from` is the
// first run that reaches over `high`.
u64 Index::build_leaf(const Scratch& scratch, u32& from, u32 low, u32 high) {
  const Slice part = slice(scratch, from, low, high);
  from = part.first + part.runs;
  if (part.runs == 0) return 0;
  void* const memory = arena_.allocate(Leaf::units(part.runs, part.masks));
  DMR_ASSERT(memory != nullptr);  // ensured before anything was changed
  if (scratch[from - 1].end() > high) --from;
  return entry_of(pack(scratch, part, low, high, memory));
}

u64 Index::build_region(const Scratch& scratch) {
  u32 from = 0;
  if (scratch.count() <= kLeafRuns) return build_leaf(scratch, from, 0, kRegionBlocks);
  void* const memory = arena_.allocate(kFanOutUnits);
  DMR_ASSERT(memory != nullptr);
  FanOut* const node = new (memory) FanOut;
  for (u32 sub = 0; sub < kFanOutLeaves; ++sub) {
    const u32 low = sub << kSubShift;
    const u64 leaf = build_leaf(scratch, from, low, low + kSubBlocks);
    // The node is published with release later; nobody reads it yet.
    node->leaf[sub].store(leaf, std::memory_order_relaxed);
    node->runs += leaf != 0 ? leaf_of(leaf)->runs : 0;
  }
  return entry_of(node);
}

// Adds or takes away what an entry of this region holds.
void Index::account(u64 region, u64 entry, bool add) {
  if (entry == 0) return;
  if (is_fan_out(entry)) {
    for (const std::atomic<u64>& sub : fan_out_of(entry)->leaf) {
      account(region, sub.load(std::memory_order_relaxed), add);
    }
    return;
  }
  const Leaf& leaf = *leaf_of(entry);
  const u64 base = region << kRegionBlockShift;
  Counters sum;
  sum.runs = leaf.runs;
  for (u32 i = 0; i < leaf.runs; ++i) {
    const u64 home = leaf.homes()[i];
    const u32 length = leaf.length(i);
    if (home_member(home) != kMain) sum.remapped_blocks += length;
    if (home_lost(home) == LostKind::all) {
      const u32 in_last = geometry_.sectors_in(Block(base + leaf.end(i) - 1));
      sum.lost_sectors += (u64{length - 1} << geometry_.block_shift) + in_last;
    } else if (home_lost(home) == LostKind::some) {
      const LostMask mask = leaf.mask_list()[leaf.extras()[i]];
      sum.lost_sectors += bit_count(mask.low) + bit_count(mask.high);
    }
  }
  const auto apply = [add](u64& counter, u64 amount) {
    DMR_ASSERT(add || counter >= amount);
    counter = add ? counter + amount : counter - amount;
  };
  apply(counters_.runs, sum.runs);
  apply(counters_.remapped_blocks, sum.remapped_blocks);
  apply(counters_.lost_sectors, sum.lost_sectors);
}

// Makes the filter bits of [low, high) say what `leaf` holds there.
void Index::set_filter(u64 region, u32 low, u32 high, u64 leaf) {
  u64 bits = 0;
  const u32 runs = leaf != 0 ? leaf_of(leaf)->runs : 0;
  for (u32 i = 0; i < runs; ++i) {
    bits |= filter_bits(leaf_of(leaf)->start(i), leaf_of(leaf)->end(i) - 1);
  }
  std::atomic<u64>& filter = directory_[region].filter;
  const u64 others = filter.load(std::memory_order_relaxed) & ~filter_bits(low, high - 1);
  filter.store(others | bits, std::memory_order_release);
}

// An entry that is new as a whole.
void Index::publish(u64 region, u64 entry) {
  if (is_fan_out(entry)) {
    for (u32 sub = 0; sub < kFanOutLeaves; ++sub) {
      const u64 leaf = fan_out_of(entry)->leaf[sub].load(std::memory_order_relaxed);
      set_filter(region, sub << kSubShift, (sub + 1) << kSubShift, leaf);
    }
  } else {
    set_filter(region, 0, kRegionBlocks, entry);
  }
  directory_[region].entry.store(entry, std::memory_order_release);
  if (entry != 0) {
    set_touched(region);
  } else {
    settle(region);
  }
}

// --- What readers may still see --------------------------------------------------------------

void Index::retire(u64 entry) {
  if (entry == 0) return;
  if (loading_) {
    free_entry(entry);
    return;
  }
  link_of(entry) = limbo_;
  limbo_ = entry;
}

// An entry of the directory, with all leaves below it.
void Index::retire_all(u64 entry) {
  if (is_fan_out(entry)) {
    for (const std::atomic<u64>& sub : fan_out_of(entry)->leaf) {
      retire(sub.load(std::memory_order_relaxed));
    }
  }
  retire(entry);
}

void Index::free_entry(u64 entry) { arena_.give_back(span_of(entry), units_of(entry)); }

// One grace period at a time; what is retired meanwhile takes the next one.
void Index::start_grace() {
  if (grace_pending_ || limbo_ == 0) return;
  waiting_ = limbo_;
  limbo_ = 0;
  grace_pending_ = true;
  host_->after_grace(grace_);
}

void Index::on_grace(GraceWork& work) {
  Index& index = *static_cast<Index*>(work.context);
  DMR_ASSERT(index.grace_pending_);
  while (index.waiting_ != 0) {
    const u64 entry = index.waiting_;
    index.waiting_ = link_of(entry);
    index.free_entry(entry);
  }
  index.grace_pending_ = false;
  index.start_grace();
}

void Index::begin_load() {
  DMR_ASSERT(quiet() && !loading_);
  loading_ = true;
}

void Index::end_load() {
  DMR_ASSERT(loading_);
  loading_ = false;
}

}  // namespace dmr

// SPDX-License-Identifier: GPL-2.0-or-later
// Unpacking, changing and packing the run lists of the index.
#include "core/index/leaf.h"

namespace dmr {

Scratch* Scratch::make(Host& host, u32 capacity) {
  void* memory = host.allocate(bytes(capacity), kArenaUnitBytes);
  if (memory == nullptr) return nullptr;
  static_assert(sizeof(Scratch) % alignof(Entry) == 0);
  return new (memory) Scratch(capacity);
}

void Scratch::release(Host& host, Scratch* scratch) {
  if (scratch != nullptr) host.release(scratch, bytes(scratch->capacity_));
}

void Scratch::append(const Entry& entry) {
  DMR_ASSERT(entry.length > 0 && entry.home != 0 && entry.end() <= kRegionBlocks);
  const bool masked = home_lost(entry.home) == LostKind::some;
  DMR_ASSERT(!masked || (entry.length == 1 && !entry.mask.none()));
  if (count_ > 0) {
    Entry& last = entries()[count_ - 1];
    DMR_ASSERT(last.end() <= entry.start);
    if (last.end() == entry.start && !masked && home_behind(last.home, last.length) == entry.home) {
      last.length = static_cast<u16>(last.length + entry.length);
      return;
    }
  }
  DMR_ASSERT(count_ < capacity_);
  entries()[count_] = entry;
  ++count_;
  if (masked) ++masks_;
}

void Scratch::append(const Leaf& leaf) {
  for (u32 i = 0; i < leaf.runs; ++i) append(leaf.entry(i));
}

void Scratch::splice(const Leaf* leaf, const Entry& with) {
  clear();
  const u32 runs = leaf != nullptr ? leaf->runs : 0;
  u32 i = 0;
  u32 behind = 0;  // an old run reaches over the end of `with`
  for (; i < runs && leaf->start(i) < with.start; ++i) {
    const Entry old = leaf->entry(i);
    append(old.end() > with.start ? clip(old, 0, with.start) : old);
    if (old.end() > with.end()) behind = 1;
  }
  if (with.home != 0) append(with);
  if (behind != 0) {
    append(clip(leaf->entry(i - 1), with.end(), kRegionBlocks));
  }
  for (; i < runs; ++i) {
    const Entry old = leaf->entry(i);
    if (old.end() <= with.end()) continue;
    append(old.start < with.end() ? clip(old, with.end(), kRegionBlocks) : old);
  }
}

Slice slice(const Scratch& scratch, u32 from, u32 low, u32 high) {
  Slice result;
  result.first = from;
  for (u32 i = from; i < scratch.count() && scratch[i].start < high; ++i) {
    if (scratch[i].end() <= low) {
      DMR_ASSERT(result.runs == 0);
      result.first = i + 1;
      continue;
    }
    ++result.runs;
    if (home_lost(scratch[i].home) == LostKind::some) ++result.masks;
  }
  return result;
}

Leaf* pack(const Scratch& scratch, const Slice& slice, u32 low, u32 high, void* memory) {
  DMR_ASSERT(slice.runs > 0 && slice.runs <= kLeafRuns);
  Leaf* leaf = new (memory) Leaf{static_cast<u16>(slice.runs)};
  u16* const key = const_cast<u16*>(leaf->keys());
  u16* const extra = const_cast<u16*>(leaf->extras());
  u64* const home = const_cast<u64*>(leaf->homes());
  LostMask* const mask = const_cast<LostMask*>(leaf->mask_list());
  extra[-1] = static_cast<u16>(slice.masks);
  u32 masks = 0;
  for (u32 i = 0; i < slice.runs; ++i) {
    const Entry entry = clip(scratch[slice.first + i], low, high);
    const u32 low_bits = entry.length <= Leaf::kKeyLength ? entry.length : 0U;
    key[i] = static_cast<u16>((u32{entry.start} << Leaf::kKeyShift) | low_bits);
    extra[i] = static_cast<u16>(entry.length - 1);
    home[i] = entry.home;
    if (home_lost(entry.home) != LostKind::some) continue;
    extra[i] = static_cast<u16>(masks);
    mask[masks] = entry.mask;
    ++masks;
  }
  DMR_ASSERT(masks == slice.masks);
  const u32 keys = Leaf::key_bytes(slice.runs) / 2 - 1;
  for (u32 i = slice.runs; i < keys; ++i) key[i] = Leaf::kNoKey;
  return leaf;
}

}  // namespace dmr

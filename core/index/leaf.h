// SPDX-License-Identifier: GPL-2.0-or-later
// The packed, immutable run lists of the index, and their unpacked form while they are changed.
// A run takes 12 bytes, 28 with a mask. The keys come first: a search in a leaf of up to 31 runs
// reads one cache line, and a hit one more.
#pragma once

#include <atomic>
#include <new>

#include "core/base/assert.h"
#include "core/index/index.h"

namespace dmr {

inline constexpr u32 kLeafRuns = 256;      // a region with more runs gets a FanOut
inline constexpr u32 kCollapseRuns = 128;  // a FanOut with at most so many becomes a leaf again
inline constexpr u32 kFanOutShift = 5;
inline constexpr u32 kFanOutLeaves = 1U << kFanOutShift;
inline constexpr u32 kSubShift = kRegionBlockShift - kFanOutShift;
inline constexpr u32 kSubBlocks = 1U << kSubShift;  // so a leaf below a FanOut always suffices
static_assert(kSubBlocks <= kLeafRuns);
inline constexpr u64 kFanOutTag = 1;
inline constexpr u32 kFilterShift = kRegionBlockShift - 6;  // blocks that share a filter bit
static_assert(kSubBlocks % (1U << kFilterShift) == 0);

// The filter bits of blocks [first, last] of a region.
[[nodiscard]] constexpr u64 filter_bits(u32 first, u32 last) {
  const u32 low = first >> kFilterShift;
  return ((u64{2} << ((last >> kFilterShift) - low)) - 1) << low;
}

// A home in 64 bits: spare block, member, LostKind. 0 is plain.
inline constexpr u32 kHomeMemberShift = 54;
inline constexpr u32 kHomeLostShift = 58;
inline constexpr u64 kHomeSpareMask = (u64{1} << kHomeMemberShift) - 1;
static_assert(kMaxSectors <= u64{1} << kHomeMemberShift);
static_assert(kMaxMembers <= 16);

[[nodiscard]] constexpr u64 pack_home(const Home& home) {
  return home.spare.value | (u64{home.member} << kHomeMemberShift) |
         (static_cast<u64>(home.lost) << kHomeLostShift);
}
[[nodiscard]] constexpr Member home_member(u64 word) {
  return static_cast<Member>((word >> kHomeMemberShift) & 15U);
}
[[nodiscard]] constexpr LostKind home_lost(u64 word) {
  return static_cast<LostKind>(word >> kHomeLostShift);
}
// The home of the block that lies `blocks` behind.
[[nodiscard]] constexpr u64 home_behind(u64 word, u64 blocks) {
  return home_member(word) == kMain ? word : word + blocks;
}
[[nodiscard]] constexpr Home unpack_home(u64 word, LostMask mask) {
  return {home_member(word), home_lost(word), SpareBlock(word & kHomeSpareMask), mask};
}

// One run while it is not packed. `start` counts from the region's first block.
struct Entry {
  u16 start = 0;
  u16 length = 0;
  u64 home = 0;
  LostMask mask;

  [[nodiscard]] u32 end() const { return u32{start} + length; }
};
static_assert(sizeof(Entry) == 32);

// The part of `entry` within [low, high), which it overlaps.
[[nodiscard]] inline Entry clip(const Entry& entry, u32 low, u32 high) {
  const u32 start = entry.start < low ? low : entry.start;
  const u32 end = entry.end() > high ? high : entry.end();
  DMR_ASSERT(start < end);
  return {static_cast<u16>(start), static_cast<u16>(end - start),
          home_behind(entry.home, start - entry.start), entry.mask};
}

// Followed by: u16 key[], padded with kNoKey to a full search below; u64 home[runs]; u16 masks;
// u16 extra[runs]; padding to 8; LostMask mask[masks]; and in the last 8 bytes of the span a link
// that only the executor uses, in limbo.
//   key: start << 3 | length if that is 1 to 7, else 0 in the low bits; ascending
//   extra: the mask's number with LostKind::some, else length - 1
struct Leaf {
  u16 runs;

  static constexpr u32 kKeyShift = 3;
  static constexpr u32 kKeyLength = (1U << kKeyShift) - 1;
  static constexpr u16 kNoKey = 0xFFFF;
  static_assert(kRegionBlockShift + kKeyShift <= 16);
  // Leaves with so many runs at most are small, middle; those with more are large.
  static constexpr u32 kSmallRuns = 7;
  static constexpr u32 kMiddleRuns = 63;

  // `runs` and the keys. 31 keys fill a cache line.
  [[nodiscard]] static constexpr u32 key_bytes(u32 runs) {
    if (runs <= kSmallRuns) return 2 * (kSmallRuns + 1);
    if (runs <= kMiddleRuns) return 64 + 2 * upper_half(runs);
    return (2 + 2 * runs + 7) & ~7U;
  }
  [[nodiscard]] static constexpr u32 masks_at(u32 runs) {
    return (key_bytes(runs) + 8 * runs + 2 + 2 * runs + 7) & ~7U;
  }
  [[nodiscard]] static constexpr u32 units(u32 runs, u32 masks) {
    const u32 bytes = masks_at(runs) + 16 * masks + 8;
    return (bytes + kArenaUnitBytes - 1) / kArenaUnitBytes;
  }
  [[nodiscard]] u32 own_units() const { return units(runs, masks()); }

  [[nodiscard]] const u16* keys() const { return at<u16>(2); }
  [[nodiscard]] const u64* homes() const { return at<u64>(key_bytes(runs)); }
  [[nodiscard]] const u16* extras() const { return at<u16>(key_bytes(runs) + 8 * runs + 2); }
  [[nodiscard]] u32 masks() const { return extras()[-1]; }
  [[nodiscard]] const LostMask* mask_list() const { return at<LostMask>(masks_at(runs)); }

  [[nodiscard]] u32 start(u32 i) const { return keys()[i] >> kKeyShift; }
  [[nodiscard]] u32 length(u32 i) const {
    const u32 length = keys()[i] & kKeyLength;
    return length != 0 ? length : u32{extras()[i]} + 1;
  }
  [[nodiscard]] u32 end(u32 i) const { return start(i) + length(i); }
  [[nodiscard]] Entry entry(u32 i) const {
    const u64 home = homes()[i];
    const LostMask mask = home_lost(home) == LostKind::some ? mask_list()[extras()[i]] : LostMask{};
    return {static_cast<u16>(start(i)), static_cast<u16>(length(i)), home, mask};
  }
  // The number of runs that begin at or before `block`. Few instructions, and no branch on a key or
  // (in a mixture of usual sizes) on the leaf: while its line is on the way from memory the
  // processor begins the next lookup, as long as the instructions that wait are few and none of
  // them is a branch that was guessed wrong.
  [[nodiscard]] u32 runs_up_to(u32 block) const {
    const u32 behind = (block + 1) << kKeyShift;
    u32 found;
    if (runs > kMiddleRuns) return large_search(behind);
    if (runs <= kSmallRuns) {
      found = search<4>(0, behind);
    } else {
      const u32 half = upper_half(runs);
      found = search<16>(half & below(keys()[half - (half >> 5U)], behind), behind);
    }
    return found < runs ? found : runs;  // kNoKey is no larger than the last block's keys
  }

 private:
  template <class T>
  [[nodiscard]] const T* at(u32 offset) const {
    return reinterpret_cast<const T*>(reinterpret_cast<const std::byte*>(this) + offset);
  }
  // All bits set when a < b, else none. As a comparison it would become a branch.
  [[nodiscard]] static constexpr u32 below(u32 a, u32 b) { return 0U - ((a - b) >> 31U); }
  // In a leaf of middle size: 32 when it has more than 31 runs, else 0.
  [[nodiscard]] static constexpr u32 upper_half(u32 runs) { return below(31, runs) & 32U; }

  // Reads 2 * first_step - 1 keys from number `found` on.
  template <u32 first_step>
  [[nodiscard]] u32 search(u32 found, u32 behind) const {
    const u16* const key = keys();
#pragma GCC unroll 5
    for (u32 step = first_step; step > 0; step /= 2) {
      found += step & below(key[found + step - 1], behind);
    }
    return found;
  }
  [[nodiscard]] u32 large_search(u32 behind) const {
    const u16* const key = keys();
    u32 found = 0;
    for (u32 step = kLeafRuns; step > 0; step /= 2) {
      const u32 next = found + step;
      if (next <= runs && key[next - 1] < behind) found = next;
    }
    return found;
  }
};
static_assert(sizeof(Leaf) == 2);
static_assert(Leaf::units(kLeafRuns, kLeafRuns) == Arena::kMaxSpanUnits);

// A region with many runs: a leaf, or 0, for each kSubBlocks blocks. Its words change in place.
struct FanOut {
  std::atomic<u64> leaf[kFanOutLeaves] = {};
  u64 runs = 0;  // in all leaves; the executor's own
  u64 reserved[6] = {};
  u64 link = 0;  // in limbo
};
inline constexpr u32 kFanOutUnits = sizeof(FanOut) / kArenaUnitBytes;
static_assert(sizeof(FanOut) % kArenaUnitBytes == 0);

// An entry is the address of a span, or 0. Spans are aligned to 64 bytes; the bits that are free
// tell a FanOut (bit 0), and of a leaf how many units it takes (bits 1 to 5, 31 for more).
inline constexpr u32 kSizeHintShift = 1;
inline constexpr u64 kMaxSizeHint = 31;
inline constexpr u64 kAddressMask = ~u64{kArenaUnitBytes - 1};

[[nodiscard]] inline bool is_fan_out(u64 entry) { return (entry & kFanOutTag) != 0; }
[[nodiscard]] inline std::byte* span_of(u64 entry) {
  return reinterpret_cast<std::byte*>(entry & kAddressMask);
}
[[nodiscard]] inline FanOut* fan_out_of(u64 entry) {
  return reinterpret_cast<FanOut*>(span_of(entry));
}
[[nodiscard]] inline Leaf* leaf_of(u64 entry) { return reinterpret_cast<Leaf*>(span_of(entry)); }
[[nodiscard]] inline u64 entry_of(const Leaf* leaf) {
  const u64 units = leaf->own_units();
  return reinterpret_cast<u64>(leaf) |
         ((units < kMaxSizeHint ? units : kMaxSizeHint) << kSizeHintShift);
}
[[nodiscard]] inline u64 entry_of(const FanOut* node) {
  return reinterpret_cast<u64>(node) | kFanOutTag;
}
// Fetches what a lookup of block `at` in this leaf will read. Which line holds the home is guessed
// from the leaf's size, as if its runs were spread evenly over the region: right nearly always when
// they are many and scattered, and when they are few the leaf has few lines anyway. So the lines
// of key and home come together, not one after the other. (Always inline: g++ takes a function that
// only fetches for one without effect, and drops the call.)
[[gnu::always_inline]] inline void prefetch_leaf(u64 entry, u32 at) {
  const std::byte* const span = span_of(entry);
  __builtin_prefetch(span);
  const u32 units = static_cast<u32>((entry & ~kAddressMask) >> kSizeHintShift);
  if (units < 2) return;
  // From 7 units on a leaf has more than 31 keys. No branch: it could not be foretold.
  const u32 more_keys = units > 6 ? kArenaUnitBytes : 0;
  const u32 keys = kArenaUnitBytes + more_keys;
  const u32 runs = (units * kArenaUnitBytes - keys) / 10 - 4;
  const u32 home = keys + ((runs * at) >> (kRegionBlockShift - 3));
  __builtin_prefetch(span + more_keys);
  __builtin_prefetch(span + home - 12);
  __builtin_prefetch(span + home + 20);
}
[[nodiscard]] inline u32 units_of(u64 entry) {
  return is_fan_out(entry) ? kFanOutUnits : leaf_of(entry)->own_units();
}
// The last 8 bytes of an entry's span.
[[nodiscard]] inline u64& link_of(u64 entry) {
  return *reinterpret_cast<u64*>(span_of(entry) + units_of(entry) * kArenaUnitBytes - 8);
}

// Runs of one region while a leaf is made: ascending, neighbours joined.
class alignas(8) Scratch {
 public:
  // Null without memory.
  [[nodiscard]] static Scratch* make(Host& host, u32 capacity);
  static void release(Host& host, Scratch* scratch);
  [[nodiscard]] static constexpr std::size_t bytes(u32 capacity) {
    return sizeof(Scratch) + capacity * sizeof(Entry);
  }

  void clear() { count_ = masks_ = 0; }
  // Behind all others. Joined with the last one when it goes on where that ends.
  void append(const Entry& entry);
  void append(const Leaf& leaf);
  // The runs of `leaf` (may be null) with [with.start, with.end()) replaced by `with`.
  void splice(const Leaf* leaf, const Entry& with);

  [[nodiscard]] u32 count() const { return count_; }
  [[nodiscard]] u32 masks() const { return masks_; }
  [[nodiscard]] u32 capacity() const { return capacity_; }
  [[nodiscard]] const Entry& operator[](u32 i) const {
    DMR_ASSERT(i < count_);
    return entries()[i];
  }

 private:
  explicit Scratch(u32 capacity) : capacity_(capacity) {}
  [[nodiscard]] Entry* entries() { return reinterpret_cast<Entry*>(this + 1); }
  [[nodiscard]] const Entry* entries() const { return reinterpret_cast<const Entry*>(this + 1); }

  u32 capacity_;
  u32 count_ = 0;
  u32 masks_ = 0;
};

// Runs `first` to `first + runs - 1` of a Scratch, of which `masks` carry a mask.
struct Slice {
  u32 first = 0;
  u32 runs = 0;
  u32 masks = 0;
};
// The runs from number `from` on that overlap [low, high).
[[nodiscard]] Slice slice(const Scratch& scratch, u32 from, u32 low, u32 high);
// Makes them a leaf at `memory`, clipped to [low, high).
Leaf* pack(const Scratch& scratch, const Slice& slice, u32 low, u32 high, void* memory);

// Units that a FanOut and its leaves take, at most, for so many runs and masks.
[[nodiscard]] constexpr u32 conversion_units(u32 runs, u32 masks) {
  // A leaf below the FanOut takes at most 12 bytes a run, 16 a mask, 62 of padded keys and 24
  // beside, rounded up to a unit; and each of the 31 inner borders may cut a run in two.
  const u32 bytes = kFanOutLeaves * (62 + 24 + kArenaUnitBytes - 1) +
                    12 * (runs + kFanOutLeaves - 1) + 16 * masks;
  return kFanOutUnits + (bytes + kArenaUnitBytes - 1) / kArenaUnitBytes;
}
inline constexpr u32 kCollapseUnits = Leaf::units(kCollapseRuns, kCollapseRuns);

}  // namespace dmr

// SPDX-License-Identifier: GPL-2.0-or-later
// Free blocks of the spares: three bitmaps a spare, with counts for each 4096 blocks.
#include "core/space/spare_allocator.h"

#include <atomic>
#include <bit>
#include <new>

#include "core/base/assert.h"
#include "core/base/bits.h"
#include "core/base/bugs.h"

namespace dmr {

namespace {

constexpr u64 kChunkBlocks = 4096;
constexpr u64 kMaxBadRange = u64{1} << 31;
constexpr SpareAllocator::Counters kNoCounters;

constexpr u64 words_of(u64 blocks) { return (blocks + 63) / 64; }
constexpr u64 chunks_of(u64 blocks) { return (blocks + kChunkBlocks - 1) / kChunkBlocks; }

bool test_bit(const u64* map, u64 bit) { return ((map[bit / 64] >> (bit % 64)) & 1U) != 0; }

// The bits of word `bit / 64` from `bit` on that lie before `end`.
u64 bits_before(u64 bit, u64 end) {
  const u64 from = ~u64{0} << (bit % 64);
  const u64 word_end = (bit / 64 + 1) * 64;
  return word_end <= end ? from : from & ~(~u64{0} << (end % 64));
}

// The first bit in [at, end) that equals `value`, or `end`.
u64 find_bit(const u64* map, u64 at, u64 end, bool value) {
  while (at < end) {
    const u64 word = value ? map[at / 64] : ~map[at / 64];
    const u64 found = word & bits_before(at, end);
    if (found != 0) return at / 64 * 64 + static_cast<u64>(std::countr_zero(found));
    at = (at / 64 + 1) * 64;
  }
  return end;
}

u64 smaller(u64 a, u64 b) { return a < b ? a : b; }

}  // namespace

Status SpareAllocator::add_member(Host& host, Member member, const SpareLayout& layout) {
  Spare& own = spare(member);
  DMR_ASSERT(own.taken == nullptr && layout.spare_blocks > 0);
  const u64 words = words_of(layout.spare_blocks);
  const u64 chunks = chunks_of(layout.spare_blocks);
  own.blocks = layout.spare_blocks;
  own.taken = static_cast<u64*>(host.allocate(2 * words * sizeof(u64), 64));
  own.bad = static_cast<u64*>(host.allocate(words * sizeof(u64), 64));
  void* const memory = host.allocate(chunks * sizeof(Chunk), 64);
  own.chunks = static_cast<Chunk*>(memory);
  if (own.taken == nullptr || own.bad == nullptr || memory == nullptr) {
    release_memory(host, own);
    return Status::no_memory;
  }
  own.distrusted = own.taken + words;
  for (u64 i = 0; i < chunks; ++i) {
    new (own.chunks + i) Chunk;
    const u64 left = own.blocks - i * kChunkBlocks;
    own.chunks[i].free = static_cast<u16>(smaller(left, kChunkBlocks));
  }
  own.counters.total = own.counters.free = own.blocks;
  for (u32 i = 0; i < 3; ++i) {
    own.metadata[i] = layout.metadata[i];
    const SpareBlock begin = layout.metadata[i].begin;
    const SpareBlock end = layout.metadata[i].end;
    DMR_ASSERT(begin <= end && end.value <= own.blocks);
    // Ranges of a small spare may share a block at their borders.
    for (u64 at = begin.value; at < end.value; ++at) {
      if (test_bit(own.taken, at)) continue;
      take(own, at, 1);
      --own.counters.total;
    }
  }
  DMR_ASSERT(own.counters.free == layout.data_blocks);
  own.open = true;
  return Status::ok;
}

void SpareAllocator::release_memory(Host& host, Spare& own) {
  const u64 words = words_of(own.blocks);
  if (own.taken != nullptr) host.release(own.taken, 2 * words * sizeof(u64));
  if (own.bad != nullptr) host.release(own.bad, words * sizeof(u64));
  if (own.chunks != nullptr) host.release(own.chunks, chunks_of(own.blocks) * sizeof(Chunk));
  own = Spare{};
}

void SpareAllocator::remove_member(Host& host, Member member) {
  release_memory(host, spare(member));
}

void SpareAllocator::close(Host& host) {
  for (Spare& own : spares_) release_memory(host, own);
}

void SpareAllocator::set_open(Member member, bool open) {
  DMR_ASSERT(spare(member).taken != nullptr);
  spare(member).open = open;
}

SpareAllocator::Spare& SpareAllocator::spare(Member member) {
  DMR_ASSERT(member != kMain && member <= kMaxSpares);
  return spares_[member - 1];
}

const SpareAllocator::Spare& SpareAllocator::spare(Member member) const {
  DMR_ASSERT(member != kMain && member <= kMaxSpares);
  return spares_[member - 1];
}

bool SpareAllocator::is_data(const Spare& own, SpareBlock begin, u64 blocks) {
  if (blocks == 0 || begin.value >= own.blocks || blocks > own.blocks - begin.value) return false;
  for (const SpareRange& range : own.metadata) {
    if (range.overlaps(begin, blocks)) return false;
  }
  return true;
}

bool SpareAllocator::all_free(const Spare& own, u64 begin, u64 blocks) {
  return find_bit(own.taken, begin, begin + blocks, true) == begin + blocks;
}

// The first free block in [from, to), or `to`. Full chunks are skipped.
u64 SpareAllocator::find_free(const Spare& own, u64 from, u64 to) {
  while (from < to) {
    const u64 chunk = from / kChunkBlocks;
    const u64 end = smaller((chunk + 1) * kChunkBlocks, to);
    if (own.chunks[chunk].free > 0) {
      const u64 found = find_bit(own.taken, from, end, false);
      if (found < end) return found;
    }
    from = end;
  }
  return to;
}

// Marks free blocks taken. What they become is the caller's to count.
void SpareAllocator::take(Spare& own, u64 begin, u64 blocks) {
  const u64 end = begin + blocks;
  DMR_ASSERT(all_free(own, begin, blocks));
  for (u64 at = begin; at < end;) {
    const u64 bits = bits_before(at, end);
    own.taken[at / 64] |= bits;
    Chunk& chunk = own.chunks[at / kChunkBlocks];  // a word lies in one chunk
    chunk.free = static_cast<u16>(chunk.free - bit_count(bits));
    at = (at / 64 + 1) * 64;
  }
  own.counters.free -= blocks;
}

// The spare of the last allocation, unless another one has much more room.
Member SpareAllocator::choose() const {
  Member best = kMain;
  u64 most = 0;
  for (Member member = 1; member <= kMaxSpares; ++member) {
    const Spare& own = spare(member);
    if (!own.open || own.counters.free == 0) continue;
    const u64 here = own.counters.free;
    const u64 weight = member == last_ ? here + here / 8 + 64 : here;
    if (weight > most) {
      most = weight;
      best = member;
    }
  }
  return best;
}

Result<SpareExtent> SpareAllocator::allocate(u32 wanted) {
  const Member member = choose();
  if (member == kMain) return Status::no_space;
  last_ = member;
  return allocate_on(member, wanted);
}

Result<SpareExtent> SpareAllocator::allocate_on(Member member, u32 wanted) {
  DMR_ASSERT(wanted > 0);
  Spare& own = spare(member);
  if (own.counters.free == 0) return Status::no_space;
  u64 begin = find_free(own, own.at, own.blocks);
  if (begin == own.blocks) begin = find_free(own, 0, own.at);
  DMR_ASSERT(begin < own.blocks && !test_bit(own.taken, begin));
  const u64 end = find_bit(own.taken, begin, smaller(begin + wanted, own.blocks), true);
  take(own, begin, end - begin);
  own.counters.used += end - begin;
  own.at = end < own.blocks ? end : 0;
  return SpareExtent{member, SpareBlock(begin), static_cast<u32>(end - begin)};
}

Result<SpareExtent> SpareAllocator::allocate_from(Member member, SpareBlock from) {
  Spare& own = spare(member);
  if (own.counters.free == 0) return Status::no_space;
  DMR_ASSERT(from.value < own.blocks);
  u64 begin = find_free(own, from.value, own.blocks);
  if (begin == own.blocks) begin = find_free(own, 0, from.value);
  DMR_ASSERT(begin < own.blocks && !test_bit(own.taken, begin));
  take(own, begin, 1);
  ++own.counters.used;
  return SpareExtent{member, SpareBlock(begin), 1};
}

bool SpareAllocator::mark_used(Member member, SpareBlock begin, u64 blocks) {
  Spare& own = spare(member);
  if (own.taken == nullptr || !is_data(own, begin, blocks)) return false;
  if (!all_free(own, begin.value, blocks)) return false;
  take(own, begin.value, blocks);
  own.counters.used += blocks;
  return true;
}

bool SpareAllocator::set_bad(Member member, SpareBlock begin, u64 blocks) {
  Spare& own = spare(member);
  if (own.taken == nullptr || !is_data(own, begin, blocks)) return false;
  for (u64 at = begin.value; at < begin.value + blocks; ++at) {
    const u64 bit = u64{1} << (at % 64);
    if ((own.bad[at / 64] & bit) != 0) continue;
    if ((own.taken[at / 64] & bit) == 0) {
      take(own, at, 1);
    } else {
      DMR_ASSERT(own.counters.used > 0);
      --own.counters.used;
    }
    own.bad[at / 64] |= bit;
    ++own.chunks[at / kChunkBlocks].bad;
    ++own.counters.bad;
  }
  return true;
}

void SpareAllocator::release(Member member, SpareBlock begin, u64 blocks) {
  Spare& own = spare(member);
  DMR_ASSERT(own.taken != nullptr && is_data(own, begin, blocks));
  const u64 end = begin.value + blocks;
  DMR_ASSERT(find_bit(own.taken, begin.value, end, false) == end);  // a second release
  DMR_ASSERT(find_bit(own.bad, begin.value, end, true) == end);
  DMR_ASSERT(own.counters.used >= blocks);
  for (u64 at = begin.value; at < end;) {
    const std::atomic_ref<u64> distrusted(own.distrusted[at / 64]);
    u64 kept = distrusted.load(std::memory_order_acquire);
    if (DMR_BUG(refused_block_reused) || DMR_BUG(late_home_reused)) kept = 0;
    const u64 bits = bits_before(at, end) & ~kept;
    const u32 count = bit_count(bits);
    own.taken[at / 64] &= ~bits;
    Chunk& chunk = own.chunks[at / kChunkBlocks];
    chunk.free = static_cast<u16>(chunk.free + count);
    own.counters.used -= count;
    own.counters.free += count;
    at = (at / 64 + 1) * 64;
  }
}

void SpareAllocator::distrust(Member member, SpareBlock begin, u64 blocks) {
  Spare& own = spare(member);
  DMR_ASSERT(own.taken != nullptr && is_data(own, begin, blocks));
  const u64 end = begin.value + blocks;
  for (u64 at = begin.value; at < end; at = (at / 64 + 1) * 64) {
    std::atomic_ref<u64>(own.distrusted[at / 64])
        .fetch_or(bits_before(at, end), std::memory_order_release);
  }
}

bool SpareAllocator::next_bad(Cursor& cursor, BadRange& out) const {
  for (; cursor.member <= kMaxSpares; ++cursor.member, cursor.next = SpareBlock(0)) {
    const Spare& own = spare(cursor.member);
    u64 at = cursor.next.value;
    while (at < own.blocks) {
      const u64 chunk = at / kChunkBlocks;
      const u64 chunk_end = smaller((chunk + 1) * kChunkBlocks, own.blocks);
      const u64 begin =
          own.chunks[chunk].bad > 0 ? find_bit(own.bad, at, chunk_end, true) : chunk_end;
      if (begin < chunk_end) {
        const u64 limit = smaller(begin + kMaxBadRange, own.blocks);
        const u64 end = find_bit(own.bad, begin, limit, false);
        out = {cursor.member, SpareBlock(begin), end - begin};
        cursor.next = SpareBlock(end);
        return true;
      }
      at = chunk_end;
    }
  }
  return false;
}

const SpareAllocator::Counters& SpareAllocator::counters(Member member) const {
  return member == kMain ? kNoCounters : spare(member).counters;
}

u64 SpareAllocator::free_blocks() const {
  u64 sum = 0;
  for (const Spare& own : spares_) {
    if (own.open) sum += own.counters.free;
  }
  return sum;
}

}  // namespace dmr

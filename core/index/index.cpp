// SPDX-License-Identifier: GPL-2.0-or-later
// The index's memory, and what the executor asks of it.
#include "core/index/index.h"

#include <bit>
#include <new>

#include "core/index/leaf.h"

namespace dmr {

namespace {

// One set() in a leaf makes two runs more; a collapse gathers kCollapseRuns.
constexpr u32 kScratchRuns = kLeafRuns + 8;
// How many stored runs next() joins at most: lengths stay below 2^32 blocks.
constexpr u32 kJoinedRuns = 1024;

// Zeroed memory is not yet an array of atomics.
std::atomic<u64>* make_words(Host& host, u64 words) {
  void* memory = host.allocate(words * sizeof(u64), kArenaUnitBytes);
  if (memory == nullptr) return nullptr;
  auto* const word = static_cast<std::atomic<u64>*>(memory);
  for (u64 i = 0; i < words; ++i) new (word + i) std::atomic<u64>(0);
  return word;
}

u64 summary_words(u64 regions) { return (regions + 63) / 64; }

}  // namespace

Status Index::open(Host& host, const Geometry& geometry) {
  DMR_ASSERT(host_ == nullptr && geometry.volume_sectors > 0);
  host_ = &host;
  geometry_ = geometry;
  regions_ = geometry.regions();
  region_sector_shift_ = kRegionBlockShift + geometry.block_shift;
  arena_.open(host);
  grace_.done = on_grace;
  grace_.context = this;
  summary_ = make_words(host, summary_words(regions_));
  void* const slots = host.allocate(regions_ * sizeof(Slot), kArenaUnitBytes);
  directory_ = static_cast<Slot*>(slots);
  for (u64 i = 0; slots != nullptr && i < regions_; ++i) new (directory_ + i) Slot{};
  scratch_ = Scratch::make(host, kScratchRuns);
  if (summary_ == nullptr || directory_ == nullptr || scratch_ == nullptr) {
    release_memory();
    return Status::no_memory;
  }
  return Status::ok;
}

void Index::close() {
  if (host_ == nullptr) return;
  DMR_ASSERT(quiet() && !loading_ && !any_hold());
  // Only what is still mapped may be allocated: a leaf that was lost on the way would show here.
  for (u64 region = next_touched(0); region < regions_; region = next_touched(region + 1)) {
    loading_ = true;  // free at once
    retire_all(directory_[region].entry.exchange(0, std::memory_order_relaxed));
    loading_ = false;
  }
  arena_.close();
  counters_ = {};
  release_memory();
}

void Index::release_memory() {
  if (summary_ != nullptr) host_->release(summary_, summary_words(regions_) * sizeof(u64));
  if (directory_ != nullptr) host_->release(directory_, regions_ * sizeof(Slot));
  Scratch::release(*host_, scratch_);
  summary_ = nullptr;
  directory_ = nullptr;
  scratch_ = nullptr;
  regions_ = 0;
  host_ = nullptr;
}

u64 Index::bytes_held() const {
  return sizeof(*this) + summary_words(regions_) * sizeof(u64) + regions_ * sizeof(Slot) +
         Scratch::bytes(kScratchRuns) + arena_.pages() * kIndexPageBytes;
}

u64 Index::bytes_used() const {
  return bytes_held() - (arena_.pages() - arena_.used_pages()) * kIndexPageBytes;
}

u32 Index::blocks_in(u64 region) const {
  const u64 left = geometry_.blocks() - (region << kRegionBlockShift);
  return left < kRegionBlocks ? static_cast<u32>(left) : kRegionBlocks;
}

// The first region from `region` on whose summary bit is set, or regions_.
u64 Index::next_touched(u64 region) const {
  if (region >= regions_) return regions_;
  const u64 words = summary_words(regions_);
  u64 word = region / 64;
  u64 bits = summary_[word].load(std::memory_order_acquire) & (~u64{0} << (region % 64));
  while (bits == 0) {
    if (++word == words) return regions_;
    bits = summary_[word].load(std::memory_order_acquire);
  }
  return word * 64 + static_cast<u64>(std::countr_zero(bits));
}

Run Index::lookup(Block b) const {
  DMR_ASSERT(b.value < geometry_.blocks());
  const u64 region = region_of(b);
  const Found found =
      find(directory_[region].entry.load(std::memory_order_acquire), region, block_in_region(b));
  return {Block((region << kRegionBlockShift) + found.begin), found.end - found.begin,
          unpack_home(found.home, found.mask)};
}

// The stored run with the lowest blocks at or after `from`, clipped to them.
bool Index::next_stored(Block from, Run& out) const {
  if (from.value >= geometry_.blocks()) return false;
  u32 at = block_in_region(from);
  for (u64 region = region_of(from); region < regions_; at = 0) {
    const u64 next = next_touched(region);
    if (next >= regions_) return false;
    if (next != region) at = 0;
    region = next;
    const u64 entry = directory_[region].entry.load(std::memory_order_acquire);
    // A gap ends at a run, or at a border of which a region has few: this loop is short.
    while (entry != 0 && at < blocks_in(region)) {
      const Found found = find(entry, region, at);
      if (found.home != 0) {
        out.begin = Block((region << kRegionBlockShift) + at);
        out.length = found.end - at;
        out.home = unpack_home(home_behind(found.home, at - found.begin), found.mask);
        return true;
      }
      at = found.end;
    }
    ++region;
  }
  return false;
}

bool Index::next(Cursor& cursor, Run& out) const {
  if (!next_stored(cursor.next, out)) return false;
  for (u32 joined = 1; joined < kJoinedRuns && out.home.lost != LostKind::some; ++joined) {
    Run behind;
    if (!next_stored(out.begin + out.length, behind)) break;
    if (behind.begin != out.begin + out.length) break;
    if (pack_home(behind.home) != home_behind(pack_home(out.home), out.length)) break;
    out.length += behind.length;
  }
  cursor.next = out.begin + out.length;
  return true;
}

// A summary bit is only ever changed here, by the executor.
void Index::set_touched(u64 region) {
  std::atomic<u64>& word = summary_[region / 64];
  word.store(word.load(std::memory_order_relaxed) | (u64{1} << (region % 64)),
             std::memory_order_release);
}

// Clears the summary bit of a region that has neither leaf nor hold (see the class's comment).
void Index::settle(u64 region) {
  if (directory_[region].entry.load(std::memory_order_relaxed) != 0 || held_region(region)) return;
  std::atomic<u64>& word = summary_[region / 64];
  word.store(word.load(std::memory_order_relaxed) & ~(u64{1} << (region % 64)),
             std::memory_order_release);
}

bool Index::held_region(u64 region) const {
  const u32 limit = hold_limit_.load(std::memory_order_relaxed);
  for (u32 i = 0; i < limit; ++i) {
    const u64 word = holds_[i].load(std::memory_order_relaxed);
    if (word == 0) continue;
    const Block begin(word >> kHoldShift);
    if (region_of(begin) <= region && region <= region_of(begin + ((word & kMaxHoldBlocks) - 1))) {
      return true;
    }
  }
  return false;
}

Result<HoldId> Index::hold(Block begin, u32 blocks) {
  DMR_ASSERT(blocks > 0 && blocks <= kMaxHoldBlocks);
  DMR_ASSERT(begin.value < geometry_.blocks() && blocks <= geometry_.blocks() - begin.value);
  u32 id = 0;
  while (id < kMaxHolds && holds_[id].load(std::memory_order_relaxed) != 0) ++id;
  if (id == kMaxHolds) return Status::again;
  for (u64 region = region_of(begin); region <= region_of(begin + (blocks - 1)); ++region) {
    set_touched(region);
  }
  holds_[id].store((begin.value << kHoldShift) | blocks, std::memory_order_release);
  if (id >= hold_limit_.load(std::memory_order_relaxed)) {
    hold_limit_.store(id + 1, std::memory_order_release);
  }
  return static_cast<HoldId>(id);
}

void Index::release(HoldId id) {
  DMR_ASSERT(id < kMaxHolds);
  const u64 word = holds_[id].load(std::memory_order_relaxed);
  DMR_ASSERT(word != 0);
  holds_[id].store(0, std::memory_order_release);
  u32 limit = hold_limit_.load(std::memory_order_relaxed);
  while (limit > 0 && holds_[limit - 1].load(std::memory_order_relaxed) == 0) --limit;
  hold_limit_.store(limit, std::memory_order_release);
  const Block begin(word >> kHoldShift);
  const u64 last = region_of(begin + ((word & kMaxHoldBlocks) - 1));
  for (u64 region = region_of(begin); region <= last; ++region) settle(region);
}

}  // namespace dmr

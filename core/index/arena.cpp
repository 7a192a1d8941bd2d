// SPDX-License-Identifier: GPL-2.0-or-later
// The arena: a bitmap of units in each page, pages filed by their longest run of free units. The
// page with the tightest fit is taken first, so that almost empty pages get a chance to empty.
#include "core/index/arena.h"

#include <bit>
#include <new>

#include "core/base/assert.h"

namespace dmr {

// Bit u of `used`: unit u is taken. Unit 0 is this header.
struct Arena::Page {
  u64 used[kPageUnits / 64];
  Page* next;
  Page* previous;
  u32 largest;  // the bin that it is filed in
  u32 used_units;
  u64 magic;
};

namespace {

constexpr u64 kPageMagic = 0x6D65'6E61'7265'6164U;

// The first bit at or after `from` that equals `value`, or `bits`.
u32 find_bit(const u64* map, u32 bits, u32 from, bool value) {
  u32 word = from / 64;
  if (from >= bits) return bits;
  u64 rest = (value ? map[word] : ~map[word]) >> (from % 64);
  if (rest != 0) return from + static_cast<u32>(std::countr_zero(rest));
  for (++word; word < bits / 64; ++word) {
    rest = value ? map[word] : ~map[word];
    if (rest != 0) return word * 64 + static_cast<u32>(std::countr_zero(rest));
  }
  return bits;
}

// Flips bits [begin, begin + count).
void flip_bits(u64* map, u32 begin, u32 count) {
  while (count > 0) {
    const u32 offset = begin % 64;
    const u32 here = count < 64 - offset ? count : 64 - offset;
    const u64 ones = here == 64 ? ~u64{0} : (u64{1} << here) - 1;
    map[begin / 64] ^= ones << offset;
    begin += here;
    count -= here;
  }
}

}  // namespace

Arena::Page* Arena::page_of(void* span) {
  const auto address = reinterpret_cast<std::uintptr_t>(span);
  Page* page = reinterpret_cast<Page*>(address & ~std::uintptr_t{kIndexPageBytes - 1});
  DMR_ASSERT(page->magic == kPageMagic);
  return page;
}

// The tightest run of free units that holds `units`, and the longest run of the page.
Arena::Scan Arena::scan(const Page& page, u32 units) {
  Scan result{kPageUnits, kPageUnits + 1, 0};
  u32 at = 1;
  while (at < kPageUnits) {
    const u32 begin = find_bit(page.used, kPageUnits, at, false);
    if (begin == kPageUnits) break;
    const u32 end = find_bit(page.used, kPageUnits, begin, true);
    const u32 size = end - begin;
    if (size > result.largest) result.largest = size;
    if (size >= units && size < result.best_size) {
      result.best = begin;
      result.best_size = size;
    }
    at = end;
  }
  return result;
}

void Arena::file(Page& page, u32 largest) {
  DMR_ASSERT(largest < kPageUnits);
  page.largest = largest;
  page.previous = nullptr;
  page.next = bins_[largest];
  if (page.next != nullptr) page.next->previous = &page;
  bins_[largest] = &page;
  filled_[largest / 64] |= u64{1} << (largest % 64);
  certain_units_ += certain_of(largest);
}

void Arena::unfile(Page& page) {
  const u32 bin = page.largest;
  if (page.next != nullptr) page.next->previous = page.previous;
  if (page.previous != nullptr) {
    page.previous->next = page.next;
  } else {
    DMR_ASSERT(bins_[bin] == &page);
    bins_[bin] = page.next;
    if (page.next == nullptr) filled_[bin / 64] &= ~(u64{1} << (bin % 64));
  }
  certain_units_ -= certain_of(bin);
}

void Arena::give_page(void* memory) {
  DMR_ASSERT(host_ != nullptr && memory != nullptr);
  DMR_ASSERT(reinterpret_cast<std::uintptr_t>(memory) % kIndexPageBytes == 0);
  static_assert(sizeof(Page) <= kArenaUnitBytes);
  Page* page = new (memory) Page{};
  page->used[0] = 1;
  page->magic = kPageMagic;
  ++pages_;
  file(*page, kFreshUnits);
  host_->poison(static_cast<std::byte*>(memory) + kArenaUnitBytes,
                kIndexPageBytes - kArenaUnitBytes);
}

void* Arena::allocate(u32 units) {
  DMR_ASSERT(units > 0 && units <= kMaxSpanUnits);
  const u32 bin = find_bit(filled_, kPageUnits, units, true);
  if (bin == kPageUnits) return nullptr;
  Page& page = *bins_[bin];
  unfile(page);
  const Scan found = scan(page, units);
  DMR_ASSERT(found.best < kPageUnits && found.largest == bin);
  flip_bits(page.used, found.best, units);
  if (page.used_units == 0) ++used_pages_;
  page.used_units += units;
  used_units_ += units;
  // Only a span out of the longest run can change how long the longest is.
  file(page, found.best_size == bin ? scan(page, 1).largest : bin);
  std::byte* span = reinterpret_cast<std::byte*>(&page) + found.best * kArenaUnitBytes;
  host_->unpoison(span, units * kArenaUnitBytes);
  return span;
}

void Arena::give_back(void* span, u32 units) {
  Page& page = *page_of(span);
  const u32 begin = static_cast<u32>((reinterpret_cast<std::uintptr_t>(span) % kIndexPageBytes) /
                                     kArenaUnitBytes);
  DMR_ASSERT(begin > 0 && units > 0 && begin + units <= kPageUnits);
  DMR_ASSERT(find_bit(page.used, kPageUnits, begin, false) >= begin + units);
  DMR_ASSERT(page.used_units >= units && used_units_ >= units);
  host_->poison(span, units * kArenaUnitBytes);
  unfile(page);
  flip_bits(page.used, begin, units);
  page.used_units -= units;
  used_units_ -= units;
  if (page.used_units == 0) --used_pages_;
  file(page, scan(page, 1).largest);
}

void Arena::close() {
  DMR_ASSERT(used_units_ == 0 && used_pages_ == 0);
  abandon();
}

void Arena::abandon() {
  for (Page*& bin : bins_) {
    while (bin != nullptr) {
      Page* page = bin;
      unfile(*page);
      --pages_;
      host_->unpoison(page, kIndexPageBytes);
      page->magic = 0;
      host_->release(page, kIndexPageBytes);
    }
  }
  DMR_ASSERT(pages_ == 0 && certain_units_ == 0);
  used_units_ = 0;
  used_pages_ = 0;
}

}  // namespace dmr

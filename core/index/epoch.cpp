// SPDX-License-Identifier: GPL-2.0-or-later
// The executor's side of the I/O epochs. Each hash goes idle -> grace -> counting -> idle.
#include "core/index/epoch.h"

#include <bit>

#include "core/base/assert.h"

namespace dmr {

void Epochs::open(const Geometry& geometry) {
  DMR_ASSERT(idle());
  region_shift_ = kRegionBlockShift + geometry.block_shift;
  for (Hash& hash : hashes_) {
    hash.owner = this;
    hash.grace.done = on_grace;
    hash.grace.context = &hash;
  }
}

u32 Epochs::hashes_of(Block begin, u64 blocks) {
  DMR_ASSERT(blocks > 0);
  const u64 first = region_of(begin);
  const u64 last = region_of(begin + (blocks - 1));
  u32 set = 0;
  constexpr u32 kAll = (1U << kEpochHashes) - 1;
  // A long range soon has every hash; each pass may add none, but few ranges are long.
  for (u64 region = first; region <= last && set != kAll; ++region) set |= 1U << hash_of(region);
  return set;
}

u32 Epochs::old_slot(u32 hash) const {
  const u32 phase = (phases_.load(std::memory_order_relaxed) >> hash) & 1U;
  return hash * 2 + (phase ^ 1U);
}

void Epochs::begin_drain(Host& host, Drain& drain) {
  DMR_ASSERT(drain.hashes != 0 && drain.hashes < (1U << kEpochHashes) && drain.done != nullptr);
  drain.waiting = drain.hashes;
  drain.flipped = 0;
  drains_.push_back(drain);
  for (u32 rest = drain.hashes; rest != 0; rest &= rest - 1) {
    const u32 hash = static_cast<u32>(std::countr_zero(rest));
    if (drained(hash)) flip(host, hash);
  }
}

// Serves every drain that waits for this hash.
void Epochs::flip(Host& host, u32 hash) {
  Hash& own = hashes_[hash];
  DMR_ASSERT(own.state == State::idle);
  const u32 bit = 1U << hash;
  u32 served = 0;
  for (Drain* drain = drains_.front(); drain != nullptr; drain = drain->next) {
    if ((drain->waiting & bit) == 0) continue;
    drain->waiting &= ~bit;
    drain->flipped |= bit;
    ++served;
  }
  DMR_ASSERT(served > 0);
  own.state = State::grace;
  own.host = &host;
  ++busy_;
  phases_.store(phases_.load(std::memory_order_relaxed) ^ bit, std::memory_order_release);
  pending_.store(pending_.load(std::memory_order_relaxed) | (1U << old_slot(hash)),
                 std::memory_order_release);
  host.after_grace(own.grace);
}

void Epochs::on_grace(GraceWork& work) {
  Hash& own = *static_cast<Hash*>(work.context);
  DMR_ASSERT(own.state == State::grace);
  own.state = State::counting;
  Epochs& epochs = *own.owner;
  epochs.check(*own.host, static_cast<u32>(&own - epochs.hashes_));
}

void Epochs::check(Host& host, u32 hash) {
  DMR_ASSERT(hashes_[hash].state == State::counting);
  const i64 left = host.epoch_in_flight(old_slot(hash));
  DMR_ASSERT(left >= 0);
  if (left == 0) finish(host, hash);
}

// The old phase of the hash is empty. The drains that are complete are taken out before the first
// is told: what it does next may begin another drain.
void Epochs::finish(Host& host, u32 hash) {
  Hash& own = hashes_[hash];
  own.state = State::idle;
  --busy_;
  pending_.store(pending_.load(std::memory_order_relaxed) & ~(1U << old_slot(hash)),
                 std::memory_order_release);
  const u32 bit = 1U << hash;
  Fifo<Drain> complete;
  bool again = false;
  Drain* drain = drains_.front();
  while (drain != nullptr) {
    Drain* const next = drain->next;
    drain->flipped &= ~bit;
    if ((drain->waiting & bit) != 0) again = true;
    if ((drain->waiting | drain->flipped) == 0) {
      const bool removed = drains_.remove(*drain);
      DMR_ASSERT(removed);
      complete.push_back(*drain);
    }
    drain = next;
  }
  if (again) flip(host, hash);
  while (Drain* done = complete.pop_front()) done->done(*done);
}

void Epochs::poll(Host& host) {
  for (u32 hash = 0; hash < kEpochHashes; ++hash) {
    if (hashes_[hash].state == State::counting) check(host, hash);
  }
}

}  // namespace dmr

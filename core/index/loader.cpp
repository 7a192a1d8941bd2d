// SPDX-License-Identifier: GPL-2.0-or-later
// Bulk load: the runs of one region are gathered, then packed once.
#include "core/index/index.h"
#include "core/index/leaf.h"

namespace dmr {

Status Loader::open() {
  DMR_ASSERT(scratch_ == nullptr && index_.loading_ && index_.counters_.runs == 0);
  scratch_ = Scratch::make(*index_.host_, kRegionBlocks);
  return scratch_ != nullptr ? Status::ok : Status::no_memory;
}

void Loader::close() {
  if (scratch_ == nullptr) return;
  Scratch::release(*index_.host_, scratch_);
  scratch_ = nullptr;
}

// Upper bound of what the gathered runs and one more will take.
u64 Loader::gathered_units() const {
  const u32 runs = scratch_->count() + 1;
  const u32 masks = scratch_->masks() + 1;
  return runs <= kLeafRuns ? Leaf::units(runs, masks) : conversion_units(runs, masks);
}

Status Loader::add(const Run& run) {
  DMR_ASSERT(scratch_ != nullptr);
  const u64 blocks = index_.geometry_.blocks();
  if (run.length == 0 || run.begin < next_ || run.begin.value >= blocks ||
      run.length > blocks - run.begin.value) {
    return Status::invalid;
  }
  const u64 end = run.begin.value + run.length;
  const u64 regions = region_of(Block(end - 1)) - region_of(run.begin) + 1;
  if (const Status status = index_.ensure(gathered_units() + regions); status != Status::ok) {
    return status;
  }
  next_ = Block(end);
  Home home = index_.normalised(run.begin, run.length, run.home);
  if (home.is_plain()) return Status::ok;
  for (u64 at = run.begin.value; at < end;) {
    const u64 region = at >> kRegionBlockShift;
    if (region != region_) flush();
    region_ = region;
    const u64 base = region << kRegionBlockShift;
    const u64 to = base + kRegionBlocks < end ? base + kRegionBlocks : end;
    scratch_->append(
        {static_cast<u16>(at - base), static_cast<u16>(to - at), pack_home(home), home.mask});
    if (home.member != kMain) home.spare = home.spare + (to - at);
    at = to;
  }
  return Status::ok;
}

Status Loader::finish() {
  DMR_ASSERT(scratch_ != nullptr);
  if (const Status status = index_.ensure(gathered_units()); status != Status::ok) return status;
  flush();
  return Status::ok;
}

void Loader::flush() {
  if (scratch_->count() == 0) return;
  DMR_ASSERT(index_.directory_[region_].entry.load(std::memory_order_relaxed) == 0);
  const u64 entry = index_.build_region(*scratch_);
  index_.account(region_, entry, true);
  index_.publish(region_, entry);
  scratch_->clear();
}

}  // namespace dmr

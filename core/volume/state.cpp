// SPDX-License-Identifier: GPL-2.0-or-later
// Bookkeeping that all parts of a volume share: errors by class, homes of single blocks, records.
#include "core/volume/state.h"

#include "core/base/bugs.h"

namespace dmr {

void VolumeState::spare_write_failed(Member member, Sector sector, u32 sectors, IoStatus status) {
  if (member == kMain || !may_arrive_late(status)) return;
  const u64 first = sector.value >> geometry.block_shift;
  const u64 last = (sector.value + sectors - 1) >> geometry.block_shift;
  spares.distrust(member, SpareBlock(first), last - first + 1);
}

ErrorClass VolumeState::observe(const DeviceIo& io) {
  DMR_ASSERT(io.member < members);
  const Direction direction = io.op == IoOp::read ? Direction::read : Direction::write;
  const bool writes = is_write(io.op);
  if (writes) spare_write_failed(io.member, io.sector, io.sectors, io.status);
  const ErrorClass error = classify(io.status, io.elapsed_ns, config.device_timeout_ns);
  if (DMR_BUG(error_class_ignored) && error != ErrorClass::none) return ErrorClass::medium;
  ++counters.errors[io.member][static_cast<u32>(direction)][static_cast<u32>(error)];
  if (error == ErrorClass::none) {
    breakers[io.member].succeeded(direction, host.now_ns());
    // Counted when it has completed, so that a flush which was sent before does not cover it.
    if (io.member != kMain && writes) {
      flush[io.member].written.fetch_add(1, std::memory_order_release);
    }
  } else if (io.op == IoOp::flush && !DMR_BUG(flush_error_swallowed)) {
    // It may have lost writes of users that were acknowledged: their next FLUSH must not succeed.
    flush.refuse(io.member);
  }
  return error;
}

void VolumeState::note_exhaustion() {
  ++counters.exhaustions;
  if (!spare_exhausted_told) tell(EventKind::spare_exhausted, kMain, Sector(0), 0);
  spare_exhausted_told = true;
}

void VolumeState::turn_read_only() {
  if (failed_read_only) return;
  failed_read_only = true;
  writable.store(false, std::memory_order_release);
  tell(EventKind::metadata_failed, kMain, Sector(0), 0);
}

Home home_of(const VolumeState& state, Block block) {
  const Run run = state.index.lookup(block);
  DMR_ASSERT(run.begin <= block && block.value < run.begin.value + run.length);
  Home home = run.home;
  if (home.member != kMain) home.spare = home.spare + (block - run.begin);
  return home;
}

IoPlace place_of(const VolumeState& state, const Home& home, Block block, u32 first_sector,
                 u32 sectors) {
  DMR_ASSERT(sectors > 0 && first_sector + sectors <= state.geometry.sectors_in(block));
  if (home.member == kMain) {
    return {kMain, state.geometry.first_sector(block) + first_sector, sectors};
  }
  return {home.member, state.geometry.spare_sector(home.spare) + first_sector, sectors};
}

u32 readable_sectors(const VolumeState& state, Sector at, Sector end, IoPlace& place) {
  const Block block = state.geometry.block_of(at);
  const Run run = state.index.lookup(block);
  if (run.home.lost != LostKind::none || !state.readable(run.home.member)) return 0;
  const Sector run_end = state.geometry.first_sector(run.begin + run.length);
  u64 sectors = (run_end < end ? run_end : end) - at;
  if (sectors > kBufferSectors) sectors = kBufferSectors;
  const u32 count = static_cast<u32>(sectors);
  if (run.home.member == kMain) {
    place = {kMain, at, count};
  } else {
    const Sector begin = state.geometry.spare_sector(run.home.spare + (block - run.begin));
    place = {run.home.member, begin + state.geometry.sector_in_block(at), count};
  }
  return count;
}

LostMask lost_in(const VolumeState& state, const Home& home, Block block) {
  switch (home.lost) {
    case LostKind::none:
      return {};
    case LostKind::all:
      return LostMask::all(state.geometry.sectors_in(block));
    case LostKind::some:
      return home.mask;
  }
  return {};
}

format::Record mapping_record(Block block, u32 length, const Home& home) {
  format::Record record{};
  record.block = block.value;
  record.home = home.member == kMain ? 0 : home.spare.value;
  record.length = length;
  record.type = static_cast<u8>(format::RecordType::mapping);
  record.member = home.member;
  if (home.lost == LostKind::all) record.flags = format::kRecordLostAll;
  if (home.lost == LostKind::some) {
    DMR_ASSERT(length == 1);
    record.lost_low = home.mask.low;
    record.lost_high = home.mask.high;
  }
  return record;
}

format::Record bad_spare_record(Member member, SpareBlock block, u32 length) {
  format::Record record{};
  record.block = block.value;
  record.length = length;
  record.type = static_cast<u8>(format::RecordType::bad_spare);
  record.member = member;
  return record;
}

Home home_in(const format::Record& record) {
  Home home;
  home.member = record.member;
  if (home.member != kMain) home.spare = SpareBlock(record.home);
  home.mask = LostMask{record.lost_low, record.lost_high};
  if ((record.flags & format::kRecordLostAll) != 0) {
    home.lost = LostKind::all;
  } else if (!home.mask.none()) {
    home.lost = LostKind::some;
  }
  return home;
}

namespace {
// By how many records a checkpoint grows with this one, at most.
u64 added_records(const VolumeState& state, const format::Record& record) {
  if (record.type == static_cast<u8>(format::RecordType::bad_spare)) return record.length;
  const Run old = state.index.lookup(Block(record.block));
  const u64 end = record.block + record.length;
  const u64 old_end = old.begin.value + old.length;
  if (old.home.is_plain()) return end <= old_end ? 1 : 2;
  if (old.begin.value == record.block && old_end == end) return 0;
  return home_in(record).is_plain() ? 1 : 2;  // it may cut a run in two
}
}  // namespace

// What no checkpoint could hold any more must not be committed: with the journal full nothing
// could be, and the next opening would fail. A block that is lost on main costs a record and no
// spare block, so that there is no end to them; they leave room for what the spares can still take.
bool fits_checkpoint(const VolumeState& state, const CommitEntry& entry, u64& added) {
  u64 more = 0;
  bool grows_without_spare = false;
  for (u32 i = 0; i < entry.count; ++i) {
    const u64 records = added_records(state, entry.records[i]);
    const Home home = home_in(entry.records[i]);
    const bool lost_on_main = home.member == kMain && !home.is_plain();
    grows_without_spare = grows_without_spare || (lost_on_main && records > 0);
    more += records;
  }
  if (more == 0) return true;
  const Index::Counters& map = state.index.counters();
  u64 bad = 0;
  u64 usable = 0;
  for (Member m = 1; m < state.members; ++m) {
    const SpareAllocator::Counters& spare = state.spares.counters(m);
    bad += spare.bad;
    usable += spare.total - spare.bad;
  }
  u64 needed = map.runs + bad + added + more;
  if (grows_without_spare && usable > map.remapped_blocks) needed += usable - map.remapped_blocks;
  if (needed > state.store.record_room()) return false;
  added += more;
  return true;
}

}  // namespace dmr

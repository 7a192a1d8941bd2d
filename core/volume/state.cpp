// SPDX-License-Identifier: GPL-2.0-or-later
// Bookkeeping that all parts of a volume share: errors by class, homes of single blocks, records.
#include "core/volume/state.h"

#include "core/base/bugs.h"

namespace dmr {

ErrorClass VolumeState::observe(const DeviceIo& io) {
  DMR_ASSERT(io.member < members);
  const Direction direction = io.op == IoOp::read ? Direction::read : Direction::write;
  const ErrorClass error = classify(io.status, io.elapsed_ns, config.device_timeout_ns);
  if (DMR_BUG(error_class_ignored) && error != ErrorClass::none) return ErrorClass::medium;
  ++counters.errors[io.member][static_cast<u32>(direction)][static_cast<u32>(error)];
  if (error == ErrorClass::none) {
    breakers[io.member].succeeded(direction, host.now_ns());
    // Counted when it has completed, so that a flush which was sent before does not cover it.
    if (io.member != kMain && (io.op == IoOp::write || io.op == IoOp::write_zeroes)) {
      flush[io.member].written.fetch_add(1, std::memory_order_release);
    }
  } else if (io.op == IoOp::flush && !DMR_BUG(flush_error_swallowed)) {
    // It may have lost writes of users that were acknowledged: their next FLUSH must not succeed.
    flush.refuse(io.member);
  }
  return error;
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

}  // namespace dmr

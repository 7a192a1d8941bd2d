// SPDX-License-Identifier: GPL-2.0-or-later
// What the oracle may ask about the volume, and the audit of its map.
#include <utility>

#include <fmt/format.h>

#include "core/format/validate.h"
#include "sim/machine.h"

namespace dmr::sim {

bool Machine::home_at(Sector sector, Run& run) {
  if (volume_ == nullptr) return false;
  const Block block = volume_->geometry().block_of(sector);
  Index::Cursor cursor;
  while (volume_->next_run(cursor, run)) {
    if (run.begin <= block && block < run.begin + run.length) return true;
    if (block < run.begin) return false;
  }
  return false;
}

bool Machine::is_lost(Sector sector) {
  Run run;
  if (!home_at(sector, run)) return false;
  if (run.home.lost == LostKind::all) return true;
  return run.home.lost == LostKind::some &&
         run.home.mask.test(volume_->geometry().sector_in_block(sector));
}

bool Machine::home_is_gone(Sector sector) {
  Run run;
  if (!home_at(sector, run) || run.home.member == kMain) return false;
  const auto state = volume_->stats().member[run.home.member].state;
  return state != format::MemberState::live && state != format::MemberState::failed;
}

bool Machine::can_redirect() {
  if (volume_ == nullptr) return false;
  const VolumeStats stats = volume_->stats();
  if (!stats.writable) return false;
  for (u32 m = 1; m < stats.members; ++m) {
    if (stats.member[m].state == format::MemberState::live && stats.member[m].free_blocks > 0) {
      return true;
    }
  }
  return false;
}

bool Machine::much_is_bad(Member member) const {
  const u64 bad = u64{disks[member]->fault_count()} * shape_.block_sectors;
  return bad * 10 > disks[member]->sectors();
}

bool Machine::breaker_open_with_reason() {
  if (volume_ == nullptr) return false;
  const VolumeStats stats = volume_->stats();
  for (Member m = 0; m < disks.size(); ++m) {
    if (stats.member[m].breaker_open && much_is_bad(m)) return true;
  }
  return false;
}

Sector Machine::sector_at(Member member, Sector device_sector) {
  const Sector nobody(oracle.sectors());
  if (volume_ == nullptr) return nobody;
  Run run;
  const Geometry& geometry = volume_->geometry();
  if (member == kMain) {
    if (device_sector.value >= oracle.sectors()) return nobody;
    return home_at(device_sector, run) && run.home.member != kMain ? nobody : device_sector;
  }
  Index::Cursor cursor;
  while (volume_->next_run(cursor, run)) {
    if (run.home.member != member) continue;
    const Sector begin = geometry.spare_sector(run.home.spare);
    const u64 sectors = run.length << geometry.block_shift;
    if (device_sector < begin || device_sector - begin >= sectors) continue;
    const Sector sector = geometry.first_sector(run.begin) + (device_sector - begin);
    return sector < nobody ? sector : nobody;
  }
  return nobody;
}

// A write that the device or its cable has failed may still get there, as long as nobody has opened
// the set anew. Not where the same block lives still: else no engine could ever write there again.
void Machine::arrive_late(const DeviceIo& io) {
  if (!may_arrive_late(io.status) || io.member == kMain || volume_ == nullptr || !open_ended_)
    return;
  if (!world.random().chance(300)) return;
  const auto layout = format::layout_of(volume_->superblock(), io.member);
  if (!layout) return;
  const SpareBlock first(io.sector.value / layout->block_sectors);
  const SpareBlock last((io.sector.value + io.sectors - 1) / layout->block_sectors);
  if (!layout->is_data(first, last - first + 1)) return;
  struct Late {
    Data data;
    Sector owner;
  };
  std::vector<Late> late;
  for (u32 i = 0; i < io.sectors; ++i) {
    late.push_back({sector_of(io, i), sector_at(io.member, io.sector + i)});
  }
  const auto arrive = [this, late = std::move(late), member = io.member, sector = io.sector,
                       opens = counters_.opens] {
    if (opens != counters_.opens || volume_ == nullptr || !open_ended_) return;
    for (u32 i = 0; i < late.size(); ++i) {
      const Sector at = sector + i;
      // What its own block has there by now may be newer, and nobody could help that.
      const bool owned = late[i].owner < Sector(oracle.sectors());
      if (owned && sector_at(member, at) == late[i].owner) continue;
      const u64 id = (u64{1} << 63U) | ++late_writes_;
      world.note("disk {}: a failed write of {} arrives after all", member, at.value);
      disks[member]->write_at_power_cut(id, at, 1, [&late, i](u32) { return late[i].data; });
      disks[member]->write_completed(id, at, 1, false);
    }
  };
  world.after(world.random().range(1, 2 * kSecond_ns), Lane::rest, arrive);
}

// It was read back right before: nothing there has refused to be read for longer than a read takes.
void Machine::check_new_home_on_main(const Event& event) {
  if (event.kind == EventKind::recovered && event.member != kMain) return;
  const u64 long_ns = kSecond_ns / 10 + 2 * host.troubles.slow_ns;
  for (u64 i = 0; i < event.sectors; ++i) {
    const Sector at = event.sector + i;
    if (at.value >= oracle.sectors() || !disks[kMain]->refuses_reads(at, long_ns)) continue;
    if (is_lost(at)) continue;
    oracle.fail(Rule::lost_means_lost,
                fmt::format("sector {} went back to a place that cannot be read", at.value));
  }
}

void Machine::audit_home(const Run& run, std::vector<std::vector<bool>>& owned) {
  const Member member = run.home.member;
  if (member == kMain) return;
  const auto layout = format::layout_of(volume_->superblock(), member);
  if (!layout || !layout->is_data(run.home.spare, run.length)) {
    oracle.fail(Rule::one_home_per_block,
                fmt::format("block {}+{} has its home {} on member {}, which is not for data",
                            run.begin.value, run.length, run.home.spare.value, member));
    return;
  }
  for (u64 i = 0; i < run.length; ++i) {
    const u64 at = run.home.spare.value + i;
    if (owned[member][at]) {
      oracle.fail(Rule::one_home_per_block,
                  fmt::format("spare block {} of member {} has two owners", at, member));
    }
    owned[member][at] = true;
  }
}

void Machine::audit() {
  if (volume_ == nullptr || oracle.broken()) return;
  const Geometry& geometry = volume_->geometry();
  std::vector<bool> lost(oracle.sectors(), false);
  std::vector<bool> remapped(oracle.sectors(), false);
  std::vector<std::vector<bool>> owned;
  for (const auto& disk : disks) owned.emplace_back(disk->sectors(), false);
  Index::Cursor cursor;
  Run run;
  while (volume_->next_run(cursor, run)) {
    audit_home(run, owned);
    const u64 begin = geometry.first_sector(run.begin).value;
    const u64 end = std::min(begin + (run.length << geometry.block_shift), oracle.sectors());
    for (u64 s = begin; s < end; ++s) {
      remapped[s] = run.home.member != kMain;
      lost[s] = run.home.lost == LostKind::all ||
                (run.home.lost == LostKind::some &&
                 run.home.mask.test(geometry.sector_in_block(Sector(s))));
    }
  }
  for (u64 b = 0; b < geometry.blocks(); ++b) {
    const u64 begin = geometry.first_sector(Block(b)).value;
    const u64 end = begin + geometry.sectors_in(Block(b));
    bool failed = !remapped[begin];
    for (u64 s = begin; s < end; ++s) failed = failed || oracle.moved_with_reason(Sector(s));
    for (u64 s = begin; s < end; ++s) oracle.audit_sector(Sector(s), lost[s]);
    if (!failed) {
      oracle.fail(Rule::only_medium_errors_remap,
                  fmt::format("block {} was moved although main showed no error of the medium "
                              "there",
                              b));
    }
  }
}

}  // namespace dmr::sim

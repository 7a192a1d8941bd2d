// SPDX-License-Identifier: GPL-2.0-or-later
// What breaks in a scenario.
#include <algorithm>

#include <fmt/format.h>

#include "core/format/validate.h"
#include "sim/scenario.h"

namespace dmr::sim {

namespace {

// Distances in sectors from one uncorrectable sector of a disk to its next, in sixteenths of those
// that are at most 4096 (46 % of 1,606 distances on 1,181 disks; the others are another cluster
// here). Measured from the error logs in https://github.com/bsdhw/SMART (CC-BY-4.0).
constexpr u64 kClusterDistances[] = {1, 1, 1, 1, 1, 1, 1, 2, 6, 8, 16, 37, 128, 288, 1258, 2520};

}  // namespace

void Scenario::add_fault(SimDisk& disk, Sector sector) {
  Fault fault;
  fault.on_write = dice_.chance(profile_.on_write);
  fault.on_read = !fault.on_write || dice_.coin();
  fault.healed_by_write = !fault.on_write && dice_.coin();
  fault.grows = dice_.chance(100);
  fault.status = dice_.coin() ? IoStatus::medium : IoStatus::unspecified;
  if (dice_.chance(profile_.transient)) fault.times = static_cast<u32>(dice_.range(1, 6));
  ++totals_.bad_sectors;
  if (fault.times != kForever) ++totals_.transient_sectors;
  if (fault.grows) ++totals_.growing_sectors;
  disk.set_fault(sector, fault);
  machine_->world.note("fault: sector {} read {} write {} times {}", sector.value, fault.on_read,
                       fault.on_write, fault.times);
}

void Scenario::break_main() {
  SimDisk& disk = *machine_->disks[kMain];
  const u64 reach = dice_.coin() ? std::min<u64>(disk.sectors(), 96) : disk.sectors();
  u64 at = dice_.below(reach);
  add_fault(disk, Sector(at));
  if (!dice_.chance(profile_.cluster)) return;
  for (u64 n = dice_.range(1, 40); n > 0; --n) {
    at += kClusterDistances[dice_.below(std::size(kClusterDistances))];
    if (at >= disk.sectors()) break;
    add_fault(disk, Sector(at));
  }
}

// A latent error that nobody met before: more and more of them as the disk gets old, in clusters.
void Scenario::age() {
  SimDisk& disk = *machine_->disks[kMain];
  u64 at = dice_.below(disk.sectors());
  for (u64 n = dice_.range(1, 12); n > 0 && at < disk.sectors(); --n) {
    add_fault(disk, Sector(at));
    at += kClusterDistances[dice_.below(std::size(kClusterDistances))];
  }
}

void Scenario::break_spare() {
  if (!machine_->is_open()) return;
  const auto member = static_cast<Member>(dice_.range(1, machine_->disks.size() - 1));
  SimDisk& disk = *machine_->disks[member];
  const auto layout = format::layout_of(machine_->volume().superblock(), member);
  if (!layout) return;
  const u64 block = dice_.below(layout->spare_blocks);
  if (!layout->is_data(SpareBlock(block), 1)) return;
  const u32 block_sectors = layout->block_sectors;
  add_fault(disk, Sector(block * block_sectors + dice_.below(block_sectors)));
}

void Scenario::break_metadata() {
  if (!machine_->is_open()) return;
  const auto member = static_cast<Member>(dice_.range(1, machine_->disks.size() - 1));
  const MetadataMap map(machine_->disks);
  const std::vector<MetaBlock> blocks = map.blocks(member);
  if (blocks.empty()) return;
  Fault fault;
  fault.on_write = dice_.chance(profile_.on_write);
  fault.on_read = !fault.on_write || dice_.coin();
  fault.healed_by_write = !fault.on_write && dice_.coin();
  if (dice_.coin()) fault.times = static_cast<u32>(dice_.range(1, 4));
  const Sector at = blocks[dice_.below(blocks.size())].at + dice_.below(kMetaSectors);
  machine_->disks[member]->set_fault(at, fault);
  machine_->world.note("fault: metadata sector {} of member {}", at.value, member);
  metadata_touched_ = true;
  ++totals_.bad_metadata_sectors;
}

void Scenario::fall_ill(bool spare) {
  const u64 member = spare ? dice_.range(1, machine_->disks.size() - 1) : 0;
  Ailment& ailment = machine_->disks[member]->ailment;
  const IoStatus kinds[] = {IoStatus::transport, IoStatus::timeout, IoStatus::offline,
                            IoStatus::unspecified};
  ailment.status = kinds[dice_.below(std::size(kinds))];
  ailment.flush_only = dice_.chance(profile_.flush_refused * 40);
  ailment.cache_kept = dice_.coin();
  // An unspecified error now and then cannot be told from a bad place: it comes always or never.
  const bool always = ailment.status == IoStatus::unspecified || dice_.coin();
  ailment.chance_of_1000 = always ? 1000 : static_cast<u32>(dice_.range(50, 600));
  ++totals_.device_outages;
  machine_->world.note("disk {} falls ill: status {}, {} of 1000, flushes only {}", member,
                       static_cast<u64>(ailment.status), ailment.chance_of_1000,
                       ailment.flush_only);
}

void Scenario::recover() {
  commits_refused_ = metadata_refused_ = false;
  for (auto& disk : machine_->disks) disk->ailment = Ailment{};
}

}  // namespace dmr::sim

// SPDX-License-Identifier: GPL-2.0-or-later
// What breaks in a scenario.
#include <algorithm>

#include <fmt/format.h>

#include "core/format/codec.h"
#include "core/format/validate.h"
#include "sim/scenario.h"

namespace dmr::sim {

void Scenario::add_fault(SimDisk& disk, Sector sector) {
  Fault fault;
  fault.on_write = dice_.chance(profile_.on_write);
  fault.on_read = !fault.on_write || dice_.coin();
  fault.healed_by_write = !fault.on_write && dice_.coin();
  fault.grows = dice_.chance(100);
  fault.status = dice_.coin() ? IoStatus::medium : IoStatus::unspecified;
  if (dice_.chance(profile_.transient)) fault.times = static_cast<u32>(dice_.range(1, 6));
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
    at += dice_.chance(700) ? 1 : dice_.range(1, 30);
    if (at >= disk.sectors()) break;
    add_fault(disk, Sector(at));
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
  const auto layout = format::layout_of(machine_->volume().superblock(), member);
  if (!layout) return;
  const SpareRange& range = layout->metadata[dice_.below(3)];
  const u64 first = range.begin.value * layout->block_sectors;
  const u64 last = std::min(range.end.value * layout->block_sectors, layout->device_sectors) - 1;
  add_fault(*machine_->disks[member], Sector(dice_.range(first, last)));
  metadata_touched_ = true;
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
  machine_->world.note("disk {} falls ill: status {}, {} of 1000, flushes only {}", member,
                       static_cast<u64>(ailment.status), ailment.chance_of_1000,
                       ailment.flush_only);
}

void Scenario::recover() {
  for (auto& disk : machine_->disks) disk->ailment = Ailment{};
}

namespace {

void read_block(const SimDisk& disk, Sector at, format::JournalBlock& block) {
  auto* bytes = reinterpret_cast<std::byte*>(&block);
  for (u32 i = 0; i < kMetaSectors; ++i) {
    unpack(disk.durable(at + i), SectorBytes(bytes + std::size_t{i} * kSectorBytes, kSectorBytes));
  }
}

}  // namespace

// The newest journal block's sequence. What comes right behind it may be torn without a word.
u64 Scenario::newest_sequence() const {
  u64 newest = 0;
  for (std::size_t m = 1; m < machine_->disks.size(); ++m) {
    const SimDisk& disk = *machine_->disks[m];
    for (u32 area = 0; area < kAreas; ++area) {
      const auto super = SpareLayout::superblock_sector(disk.sectors(), area);
      for (u32 i = 1; super && i <= SpareLayout::default_journal_slots(disk.sectors()); ++i) {
        format::JournalBlock block;
        read_block(disk, *super + u64{kMetaSectors} * i, block);
        const bool intact =
            format::block_crc(format::bytes_of(block), format::Kind::journal) == block.header.crc;
        if (intact) newest = std::max<u64>(newest, block.header.sequence);
      }
    }
  }
  return newest;
}

// One bit of one superblock copy or journal slot.
void Scenario::flip_bit() {
  const auto member = static_cast<Member>(dice_.range(1, machine_->disks.size() - 1));
  SimDisk& disk = *machine_->disks[member];
  const auto place = SpareLayout::superblock_sector(disk.sectors(), dice_.below32(3));
  const auto front = SpareLayout::superblock_sector(disk.sectors(), dice_.below32(2));
  if (!place || !front) return;
  Sector at = *place;
  if (dice_.chance(700)) {
    // A journal area lies right behind the first two copies.
    const u32 slots = SpareLayout::default_journal_slots(disk.sectors());
    const u64 slot = dice_.below(slots);
    if (slot == (newest_sequence() + 1) % slots) return;
    at = *front + u64{kMetaSectors} * (1 + slot);
  }
  const u64 bit = dice_.below(u64{kMetaBytes} * 8);
  disk.flip_bit(at + bit / (kSectorBytes * 8), static_cast<u32>(bit % (kSectorBytes * 8)));
  machine_->world.note("bit {} of the metadata at {} of member {} flips", bit, at.value, member);
  flipped_ = true;
  metadata_touched_ = true;
  ++totals_.bit_flips;
}

// A flipped bit must not go unseen; a power cut alone must not look like damage.
void Scenario::check_findings(bool after_power_cut) {
  if (flipped_ && machine_->findings().empty()) {
    machine_->oracle.fail(Rule::damage_is_noticed, "a flipped bit was not noticed");
  }
  flipped_ = false;
  if (metadata_touched_) return;
  for (const Finding& finding : machine_->findings()) {
    const bool harmless = finding.kind == FindingKind::superblock_stale ||
                          finding.kind == FindingKind::superblock_torn ||
                          finding.kind == FindingKind::superblock_damaged ||
                          finding.kind == FindingKind::member_stale;
    if (after_power_cut && harmless && !finding.fatal) continue;
    // A write that the device failed may have torn what it was to replace.
    const bool failed_write = machine_->disks[finding.member]->counters().device_errors > 0;
    if (failed_write && !finding.fatal) continue;
    machine_->oracle.fail(
        Rule::damage_is_noticed,
        fmt::format("finding {} on member {} at {} without any damage",
                    static_cast<u32>(finding.kind), finding.member, finding.address.value));
  }
}

}  // namespace dmr::sim

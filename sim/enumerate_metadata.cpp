// SPDX-License-Identifier: GPL-2.0-or-later
// Torn metadata, bad metadata, and power cuts during the recovery from a power cut.
#include <algorithm>
#include <array>
#include <set>

#include <fmt/format.h>

#include "sim/enumerate_internal.h"
#include "sim/metadata.h"

namespace dmr::sim {

namespace {

using SectorContent = std::array<std::byte, kSectorBytes>;

SectorContent content_of(const Data& data) {
  SectorContent bytes;
  unpack(data, bytes);
  return bytes;
}

bool is_metadata(const SpareLayout& layout, Sector sector) {
  const u64 block = sector.value / layout.block_sectors;
  return std::any_of(std::begin(layout.metadata), std::end(layout.metadata),
                     [block](const SpareRange& range) {
                       return range.begin.value <= block && block < range.end.value;
                     });
}

// What a power cut has left open: sectors of metadata with more than one content, and the rest.
struct OpenSectors {
  std::vector<const OffState::Open*> metadata;
  std::vector<const OffState::Open*> others;
  u64 images = 1;  // different contents of the metadata
  u64 masks = 1;   // ways to tear it: of each block under way any of its sectors

  OpenSectors(const OffState& state, const MetadataMap& map) {
    for (const OffState::Open& open : state.open) {
      const bool meta = open.member != kMain && map.knows(open.member) &&
                        is_metadata(map.layout(open.member), open.sector);
      if (!meta) {
        others.push_back(&open);
        continue;
      }
      masks *= open.candidates.size();
      std::set<SectorContent> contents;
      for (const Data& data : open.candidates) contents.insert(content_of(data));
      if (contents.size() < 2) continue;
      metadata.push_back(&open);
      images *= open.candidates.size();
    }
  }
};

// Image number `n` of the metadata; data is old or new by chance.
void tear(Life& life, const OffState& state, const OpenSectors& open, u64 n, Random& dice) {
  life.restore(state);
  for (const OffState::Open* one : open.metadata) {
    const u64 choices = one->candidates.size();
    life.machine.disks[one->member]->overwrite(one->sector, one->candidates[n % choices]);
    n /= choices;
  }
  for (const OffState::Open* one : open.others) {
    const u64 choice = dice.below(one->candidates.size());
    life.machine.disks[one->member]->overwrite(one->sector, one->candidates[choice]);
  }
}

// Calls `visit` at each event of the workload at which other writes of metadata are under way than
// at the event before it, with the power gone.
template <class Visit>
void at_each_transaction(Enumeration& all, u64 seed, u32 spares, const Visit& visit) {
  const u64 events = count_events(all, seed, spares);
  std::vector<std::pair<Member, SectorContent>> before;
  for (u64 at = 1; at <= events && all.ok(); ++at) {
    Life life(seed, spares);
    life.machine.stop_after(at);
    (void)life.course();
    life.machine.stop_after(0);
    const OffState state = life.power_off();
    const MetadataMap map(life.machine.disks);
    const OpenSectors open(state, map);
    std::vector<std::pair<Member, SectorContent>> now;
    for (const OffState::Open* one : open.metadata) {
      for (const Data& data : one->candidates) now.emplace_back(one->member, content_of(data));
    }
    if (now.empty() || now == before) continue;
    before = std::move(now);
    ++all.points;
    visit(life, state, open, at);
  }
}

// A power cut leaves no more than a superblock that is torn or old.
void expect_no_damage(Life& life) {
  for (const Finding& finding : life.machine.findings()) {
    if (MetadataMap(life.machine.disks).is_torn_copy(finding)) continue;
    const bool harmless = finding.kind == FindingKind::superblock_stale ||
                          finding.kind == FindingKind::superblock_torn ||
                          finding.kind == FindingKind::superblock_damaged;
    if (harmless && !finding.fatal) continue;
    life.machine.oracle.fail(
        Rule::damage_is_noticed,
        fmt::format("a torn write is told as damage: finding {}", static_cast<u32>(finding.kind)));
  }
}

}  // namespace

Enumeration enumerate_torn_metadata(u64 seed, u32 spares) {
  Enumeration all;
  Random dice(seed);
  constexpr u64 kMostImages = 4096;
  at_each_transaction(
      all, seed, spares, [&](Life& life, const OffState& state, const OpenSectors& open, u64 at) {
        DMR_ASSERT(open.images <= kMostImages);
        all.masks += open.masks;
        for (u64 n = 0; n < open.images && all.ok(); ++n) {
          tear(life, state, open, n, dice);
          life.open_and_check("it was only a torn write");
          expect_no_damage(life);
          take(all, life, fmt::format("event {}, torn in way {} of {}", at, n, open.images));
        }
      });
  return all;
}

Enumeration enumerate_recovery_cuts(u64 seed, u32 spares) {
  Enumeration all;
  Random dice(seed);
  const auto visit = [&](Life& life, const OffState& state, const OpenSectors& open, u64 at) {
    const std::array<u64, 3> images = {0, open.images - 1, dice.below(open.images)};
    for (const u64 image : images) {
      bool opened = false;
      for (u64 cut = 1; !opened && all.ok(); ++cut) {
        tear(life, state, open, image, dice);
        opened = !life.machine.open_and_cut(cut);
        if (opened) {
          life.check_again();
        } else {
          life.open_and_check("power went twice, and no more");
        }
        take(all, life, fmt::format("event {}, image {}, opening cut after {}", at, image, cut));
      }
    }
  };
  at_each_transaction(all, seed, spares, visit);
  return all;
}

std::string_view name_of(BadBlock kind) {
  switch (kind) {
    case BadBlock::read_error:
      return "read error";
    case BadBlock::write_error:
      return "write error";
    case BadBlock::lost_write:
      return "silent write loss";
    case BadBlock::bit_flip:
      return "bit flip";
    case BadBlock::stale:
      return "stale content";
  }
  return "unknown";
}

namespace {

std::vector<MetaBlock> all_blocks(const Machine& machine) {
  const MetadataMap map(machine.disks);
  std::vector<MetaBlock> all;
  for (Member m = 1; m < machine.disks.size(); ++m) {
    const std::vector<MetaBlock> blocks = map.blocks(m);
    all.insert(all.end(), blocks.begin(), blocks.end());
  }
  return all;
}

std::string place_text(const MetaBlock& block, BadBlock kind) {
  return fmt::format("{} at {} of member {} (kind {}, area {}, index {})", name_of(kind),
                     block.at.value, block.member, static_cast<u32>(block.kind), block.area,
                     block.index);
}

// Both ways to be off: closed well, and cut in the middle with the journal needed.
OffState off_in_the_middle(Life& life, u64 events) {
  life.machine.stop_after(events);
  (void)life.work();
  life.machine.stop_after(0);
  OffState state = life.power_off();
  // Everything got there: what is bad afterwards is the enumeration's own doing.
  for (const OffState::Open& open : state.open) {
    const SimDisk& disk = *life.machine.disks[open.member];
    DMR_ASSERT(open.sector.value < disk.sectors());
    state.disks[open.member].cells[open.sector.value] = open.candidates.back();
  }
  state.open.clear();
  return state;
}

void spoil(Life& life, const MetaBlock& block, BadBlock kind, const SimDisk::Image& earlier,
           Random& dice) {
  SimDisk& disk = *life.machine.disks[block.member];
  const Sector one = block.at + dice.below(kMetaSectors);
  switch (kind) {
    case BadBlock::read_error:
      disk.set_fault(one, Fault{});
      break;
    case BadBlock::bit_flip:
      disk.flip_bit(one, dice.below32(kSectorBytes * 8));
      break;
    case BadBlock::stale:
      for (u32 i = 0; i < kMetaSectors; ++i) {
        disk.overwrite(block.at + i, earlier.cells[(block.at + i).value]);
      }
      break;
    case BadBlock::write_error:
    case BadBlock::lost_write:
      DMR_ASSERT(false);
  }
}

// From one moment at which the set is off: each block in turn is bad.
void spoil_each(Enumeration& all, Life& life, const OffState& state, BadBlock kind,
                const OffState& earlier, Random& dice, const char* when) {
  life.restore(state);
  if (!MetadataMap(life.machine.disks).is_whole()) return;
  for (const MetaBlock& block : all_blocks(life.machine)) {
    if (!all.ok()) return;
    ++all.points;
    life.restore(state);
    const bool counts = kind != BadBlock::stale && MetadataMap(life.machine.disks).counts(block);
    spoil(life, block, kind, earlier.disks[block.member], dice);
    life.open_and_check("one block was bad");
    if (counts && !life.machine.oracle.broken() && life.machine.findings().empty()) {
      life.machine.oracle.fail(Rule::damage_is_noticed, "the bad block was not noticed");
    }
    life.open_and_check("one block had been bad");
    for (u32 i = 0; i < kMetaSectors; ++i) life.machine.disks[block.member]->heal(block.at + i);
    take(all, life, fmt::format("{}: {}", when, place_text(block, kind)));
  }
}

// A spare that is alone and no longer takes one of its two checkpoints cannot be written safely.
// Then the set opens for reading only.
void open_somehow(Life& life) {
  Machine& m = life.machine;
  if (m.oracle.broken()) return;
  Status status = m.open();
  if (status == Status::io_error && m.disks.size() == 2) status = m.open(true);
  if (status != Status::ok) {
    m.oracle.fail(Rule::damage_is_noticed,
                  fmt::format("refused with status {}", static_cast<u32>(status)));
    return;
  }
  life.check_again();
}

// Bad from the first commit on.
void work_with_each(Enumeration& all, u64 seed, u32 spares, BadBlock kind, Random& dice) {
  std::vector<MetaBlock> blocks;
  {
    Life life(seed, spares);
    (void)life.work();
    (void)life.machine.close();
    blocks = all_blocks(life.machine);
  }
  for (const MetaBlock& block : blocks) {
    if (!all.ok()) return;
    ++all.points;
    Life life(seed, spares);
    if (kind == BadBlock::write_error) {
      const Fault fault{.on_read = false, .on_write = true};
      life.machine.disks[block.member]->set_fault(block.at + dice.below(kMetaSectors), fault);
    } else {
      life.machine.host.on_metadata_write = [block](const DeviceIo& io) {
        const bool hit =
            io.member == block.member && io.sector <= block.at && block.at - io.sector < io.sectors;
        MetadataFate fate;
        if (hit) fate.kind = MetadataFate::Kind::lost;
        return fate;
      };
    }
    (void)life.work();
    life.check_again();
    if (kind == BadBlock::write_error) {
      open_somehow(life);
    } else {
      life.open_and_check("one block takes no write");
    }
    take(all, life, place_text(block, kind));
  }
}

}  // namespace

Enumeration enumerate_bad_metadata(u64 seed, u32 spares, BadBlock kind) {
  Enumeration all;
  Random dice(seed);
  if (kind == BadBlock::write_error || kind == BadBlock::lost_write) {
    work_with_each(all, seed, spares, kind, dice);
    return all;
  }
  const u64 events = count_events(all, seed, spares);
  Life life(seed, spares);
  const OffState fresh = life.off_state();
  const OffState cut_early = off_in_the_middle(life, events / 2);
  spoil_each(all, life, cut_early, kind, fresh, dice, "after half of it");
  Life other(seed, spares);
  const OffState cut_late = off_in_the_middle(other, events * 9 / 10);
  spoil_each(all, other, cut_late, kind, cut_early, dice, "after most of it");
  Life closed(seed, spares);
  (void)closed.work();
  (void)closed.machine.close();
  spoil_each(all, closed, closed.off_state(), kind, cut_early, dice, "after a stop");
  return all;
}

Enumeration enumerate_long_journal(u64 seed) {
  Enumeration all;
  Random dice(seed);
  constexpr u32 kCommits = 100;  // three times round
  for (u32 commits = 1; commits <= kCommits && all.ok(); commits += commits < 30 ? 5 : 1) {
    Life life(seed, 1);
    (void)life.storm(commits);
    if (life.machine.oracle.broken()) {
      take(all, life, fmt::format("{} commits", commits));
      return all;
    }
    const OffState state = off_in_the_middle(life, 1);
    life.restore(state);
    const MetadataMap map(life.machine.disks);
    if (!map.is_whole()) continue;
    ++all.points;
    for (u8 area = 0; area < kAreas; ++area) {
      life.restore(state);
      life.machine.disks[1]->flip_bit(map.layout(1).checkpoint_block(area, 0),
                                      dice.below32(kSectorBytes * 8));
      life.open_and_check("the other checkpoint is good");
      take(all, life, fmt::format("{} commits, checkpoint {} damaged", commits, area));
    }
    life.restore(state);
    const std::vector<MetaBlock> copies = map.gap_candidates(dice.next());
    if (copies.empty()) continue;
    for (const MetaBlock& copy : copies) {
      life.machine.disks[1]->flip_bit(copy.at, dice.below32(kSectorBytes * 8));
    }
    if (life.machine.open() != Status::damaged) {
      life.machine.oracle.fail(Rule::damage_is_noticed, "opened with a gap in the journal");
    }
    take(all, life, fmt::format("{} commits, a gap", commits));
  }
  return all;
}

Enumeration enumerate_bad_spare_blocks(u64 seed) {
  Enumeration all;
  constexpr u32 kBlocks = 16;
  const SpareLayout layout = [seed] {
    const Life life(seed, 1);
    return MetadataMap(life.machine.disks).layout(1);
  }();
  for (u64 block = 0; all.points < kBlocks && all.ok(); ++block) {
    if (!layout.is_data(SpareBlock(block), 1)) continue;
    ++all.points;
    Life life(seed, 1);
    Machine& m = life.machine;
    SimDisk& spare = *m.disks[1];
    spare.set_fault(Sector(block * layout.block_sectors), {.on_read = false, .on_write = true});
    (void)life.redirect(0, kBlocks);
    const u64 refusals = spare.counters().media_errors;
    if (!m.oracle.broken() && (refusals == 0 || m.volume().stats().member[1].bad_blocks != 1)) {
      m.oracle.fail(Rule::writes_survive, "a spare block that refused data is not recorded as bad");
    }
    life.check_again();
    if (!m.oracle.broken() && m.open() == Status::ok) (void)life.redirect(kBlocks, 2 * kBlocks);
    if (spare.counters().media_errors != refusals) {
      m.oracle.fail(Rule::writes_survive, "a spare block that refused data was tried again");
    }
    life.check_again();
    take(all, life, fmt::format("spare block {} refuses data", block));
  }
  return all;
}

}  // namespace dmr::sim

// SPDX-License-Identifier: GPL-2.0-or-later
// Makes the sets, and edits them.
#include "tests/fuzz/images.h"

#include <tuple>

#include "core/format/validate.h"
#include "core/testing/volume_fixture.h"

namespace dmr::fuzz {
namespace {

constexpr u64 kMainSectors = 1024;
constexpr u64 kSpareSectors = 2048;

void add_places(BaseSet& set, Member member, const SpareLayout& layout) {
  const auto add = [&](format::Kind kind, u8 area, Sector sector, u64 group) {
    set.places.push_back({member, kind, area, sector, group});
  };
  for (u8 i = 0; i < kSuperblockCopies; ++i) {
    add(format::Kind::superblock, i, layout.superblock[i], 1);
  }
  constexpr u64 kSlots = 20;  // more are never written to here
  for (u8 area = 0; area < kAreas; ++area) {
    for (u64 slot = 0; slot < kSlots; ++slot) {
      add(format::Kind::journal, area, layout.journal_slot(area, slot), 100 + slot);
    }
    for (u64 i = 0; i < 2; ++i) {
      const auto kind = i == 0 ? format::Kind::checkpoint_header : format::Kind::checkpoint_body;
      add(kind, area, layout.checkpoint_block(area, i), 10 + 2 * area + i);
    }
  }
  auto& ranges = set.metadata[member];
  const auto add_range = [&](Sector begin, u64 blocks) {
    ranges.emplace_back(begin.value, begin.value + blocks * kMetaSectors);
  };
  for (const Sector sector : layout.superblock) add_range(sector, 1);
  for (u32 area = 0; area < kAreas; ++area) {
    add_range(layout.journal[area], layout.journal_slots);
    add_range(layout.checkpoint[area], layout.checkpoint_blocks);
  }
}

// What the image holds now, as a fresh look at it says.
std::vector<format::Mapping> look(std::vector<Disk> disks) {
  ImageHost host(disks);
  const Loaded loaded = host.load();
  expect(loaded.status == Status::ok && loaded.findings.all.empty(), "a base image is whole");
  return loaded.map.mappings();
}

struct Shape {
  u32 spares = 1;
  u32 block_sectors = 8;
  u32 checkpoint_at = 4;  // after how many commits; twice, so that both areas hold something
};

BaseSet make(const Shape& shape) {
  testing::VolumeFixture fixture(kMainSectors, kSpareSectors, shape.spares, shape.block_sectors);
  expect(fixture.open() == Status::ok, "a new set opens");
  BaseSet set;
  set.metadata.resize(1 + shape.spares);
  for (Member m = 1; m <= shape.spares; ++m) add_places(set, m, fixture.volume->layout(m));
  const auto images = [&] {
    std::vector<Disk> disks;
    for (const testing::MemoryDisk& disk : fixture.disks) disks.push_back(disk.bytes);
    return disks;
  };
  const u32 block = shape.block_sectors;
  set.history.push_back(look(images()));
  for (u32 step = 0; step < 3 * shape.checkpoint_at; ++step) {
    const u64 sector = u64{step} * 5 * block % (kMainSectors - 8 * block);
    fixture.disks[kMain].bad_write.insert(sector + step % block);
    if (step % 3 == 0) fixture.disks[kMain].bad_read.insert(sector + block);
    if (step % 3 == 0) (void)fixture.read(sector, 2 * block);
    expect(fixture.write(sector, block + step % 2, 1).status == Status::ok, "a write is taken");
    set.history.push_back(look(images()));
    if (step % shape.checkpoint_at == shape.checkpoint_at - 1 && step < 2 * shape.checkpoint_at) {
      (void)fixture.run_command(CommandKind::checkpoint, {});
    }
  }
  set.disks = images();
  return set;
}

}  // namespace

const std::vector<BaseSet>& base_sets() {
  static const std::vector<BaseSet> sets = [] {
    std::vector<BaseSet> made;
    made.push_back(make({.spares = 1, .block_sectors = 8, .checkpoint_at = 4}));
    made.push_back(make({.spares = 2, .block_sectors = 8, .checkpoint_at = 3}));
    made.push_back(make({.spares = 1, .block_sectors = 1, .checkpoint_at = 2}));
    return made;
  }();
  return sets;
}

namespace {

// Runs are cut where records were; what they say together is what counts.
std::vector<format::Mapping> joined(const std::vector<format::Mapping>& map) {
  std::vector<format::Mapping> runs;
  for (const format::Mapping& one : map) {
    if (!runs.empty()) {
      format::Mapping& last = runs.back();
      const bool goes_on = last.block + last.length == one.block && last.member == one.member &&
                           last.lost_all == one.lost_all && last.lost.none() && one.lost.none() &&
                           (one.member == kMain || last.home + last.length == one.home);
      if (goes_on) {
        last.length += one.length;
        continue;
      }
    }
    runs.push_back(one);
  }
  return runs;
}

}  // namespace

bool same(const std::vector<format::Mapping>& a, const std::vector<format::Mapping>& b) {
  const auto x = joined(a);
  const auto y = joined(b);
  return std::equal(x.begin(), x.end(), y.begin(), y.end(), [](const auto& one, const auto& other) {
    return std::tie(one.block, one.length, one.member, one.home, one.lost_all, one.lost) ==
           std::tie(other.block, other.length, other.member, other.home, other.lost_all,
                    other.lost);
  });
}

struct EditedSet::Change {
  u16 offset = 0;
  u8 width = 1;  // bytes
  u64 value = 0;
  bool add = false;     // to what is there
  bool sealed = false;  // with a good checksum afterwards
};

format::MetaBytes EditedSet::at(const MetaPlace& place) {
  for (u64 i = 0; i < kMetaSectors; ++i) edited_.emplace_back(place.member, place.sector.value + i);
  return format::MetaBytes(disks[place.member].data() + place.sector.value * kSectorBytes,
                           kMetaBytes);
}

void EditedSet::reseal(const MetaPlace& place) {
  only_damaged_ = false;
  const format::MetaBytes bytes = at(place);
  format::BlockHeader header;
  std::memcpy(&header, bytes.data(), sizeof header);
  header.crc = format::block_crc(bytes, place.kind);
  std::memcpy(bytes.data(), &header, sizeof header);
}

void EditedSet::poke(const MetaPlace& place, const Change& change) {
  std::byte* const from = at(place).data() + change.offset;
  const std::size_t width = std::min<std::size_t>(change.width, kMetaBytes - change.offset);
  u64 value = 0;
  std::memcpy(&value, from, width);
  value = change.add ? value + change.value : change.value;
  std::memcpy(from, &value, width);
}

void EditedSet::apply(const MetaPlace& place, const Change& change) {
  poke(place, change);
  if (change.sealed) reseal(place);
}

// A block that lies where another belongs: as it is, or with the address of the new place.
void EditedSet::copy_from(const MetaPlace& place, const MetaPlace& source, bool addressed) {
  only_damaged_ = false;
  const format::MetaBytes from = at(source);
  const format::MetaBytes to = at(place);
  if (from.data() == to.data()) return;
  std::memcpy(to.data(), from.data(), kMetaBytes);
  if (!addressed) return;
  format::BlockHeader header;
  std::memcpy(&header, to.data(), sizeof header);
  header.member = place.member;
  header.area = place.area;
  header.address = place.sector.value;
  std::memcpy(to.data(), &header, sizeof header);
  reseal(place);
}

// Makes the journal of each area one chain again: each block names the block before it.
void EditedSet::join_journal() {
  only_damaged_ = false;
  std::map<u64, u32> chained;  // sequence -> CRC as a successor names it
  const auto chain_crc = [](format::JournalBlock block) {
    block.header.crc = 0;
    block.header.member = 0;
    block.header.area = 0;
    block.header.address = 0;
    return format::block_crc(format::bytes_of(block), format::Kind::journal);
  };
  std::map<u64, std::vector<const MetaPlace*>> by_sequence;
  for (const MetaPlace& place : base_.places) {
    if (place.kind != format::Kind::journal) continue;
    format::BlockHeader header;
    std::memcpy(&header, at(place).data(), sizeof header);
    if (header.sequence != 0) by_sequence[header.sequence].push_back(&place);
  }
  for (const auto& [sequence, places] : by_sequence) {
    for (const MetaPlace* place : places) {
      auto& block = *reinterpret_cast<format::JournalBlock*>(at(*place).data());
      const auto before = chained.find(block.previous_sequence);
      if (before != chained.end()) block.previous_crc = before->second;
      chained.try_emplace(sequence, chain_crc(block));
      reseal(*place);
    }
  }
}

// The header says again what the body is like.
void EditedSet::join_checkpoint(Member member, u8 area) {
  for (const MetaPlace& place : base_.places) {
    if (place.kind != format::Kind::checkpoint_header || place.member != member ||
        place.area != area) {
      continue;
    }
    auto& header = *reinterpret_cast<format::CheckpointHeader*>(at(place).data());
    const MetaPlace& body_place = *(&place + 1);
    auto& body = *reinterpret_cast<format::CheckpointBody*>(at(body_place).data());
    body.header.sequence = header.header.sequence;
    body.header.open_epoch = header.header.open_epoch;
    reseal(body_place);
    header.records = body.records;
    header.body_blocks = 1;
    header.body_crc = format::add_body_crc(0, body);
    reseal(place);
  }
}

void EditedSet::edit(Input& input) {
  enum Kind : u8 {
    flip,
    poke_field,
    poke_record,
    zero,
    misplace,
    move,
    forget_how_to_read,
    chain,
    checkpoint,
    kKinds
  };
  const auto choice = input.take<u8>();
  const auto kind = static_cast<Kind>(choice % 128 % kKinds);
  const bool all_copies = choice >= 128;
  const MetaPlace& place = base_.places[input.take<u8>() % base_.places.size()];
  Change change;
  const auto shape = input.take<u8>();
  change.width = static_cast<u8>(1U << (shape & 3U));
  change.add = (shape & 4U) != 0;
  change.sealed = kind == poke_field || kind == poke_record;
  if (kind == poke_record) {
    // The first record of journal and checkpoint blocks lies behind their heads of fixed size.
    constexpr u16 kHeadBytes[] = {0, 0, 128, 64, 96};
    const auto record = input.take<u8>() % 4U;
    change.offset = static_cast<u16>(kHeadBytes[static_cast<u16>(place.kind)] +
                                     record * sizeof(format::Record) + (shape >> 3U) % 6 * 8);
  } else {
    change.offset = static_cast<u16>(input.take<u16>() % kMetaBytes);
  }
  change.value = (shape & 0x80U) != 0 ? input.take<u64>() : input.take<u8>();
  const MetaPlace& source = base_.places[change.value % base_.places.size()];
  if (kind == chain) return join_journal();
  if (kind == checkpoint) return join_checkpoint(place.member, place.area % kAreas);
  for (const MetaPlace& one : base_.places) {
    const bool chosen = &one == &place || (all_copies && one.group == place.group);
    if (!chosen) continue;
    if (kind == zero) std::memset(at(one).data(), 0, kMetaBytes);
    if (kind == misplace || kind == move) copy_from(one, source, kind == move);
    if (kind == forget_how_to_read) host.unreadable.emplace_back(one.member, one.sector.value);
    if (kind == flip || kind == poke_field || kind == poke_record) apply(one, change);
  }
}

void EditedSet::put_back() {
  const auto restore = [&](const std::vector<std::pair<Member, u64>>& sectors) {
    for (const auto& [member, sector] : sectors) {
      std::memcpy(disks[member].data() + sector * kSectorBytes,
                  base_.disks[member].data() + sector * kSectorBytes, kSectorBytes);
    }
  };
  restore(edited_);
  restore(host.written);
  edited_.clear();
  host.written.clear();
  host.unreadable.clear();
  host.events.clear();
  host.deadlines.clear();
  only_damaged_ = true;
}

int EditedSet::age_of(const std::vector<format::Mapping>& map) const {
  for (std::size_t back = 0; back < base_.history.size(); ++back) {
    const auto& then = base_.history[base_.history.size() - 1 - back];
    if (same(then, map)) return static_cast<int>(back);
  }
  return -1;
}

std::vector<std::unique_ptr<EditedSet>> edited_sets() {
  std::vector<std::unique_ptr<EditedSet>> made;
  for (const BaseSet& base : base_sets()) made.push_back(std::make_unique<EditedSet>(base));
  return made;
}

std::vector<Bytes> image_seeds() {
  const auto hex = [](std::initializer_list<unsigned> values) {
    Bytes seed;
    for (const unsigned value : values) seed.push_back(static_cast<std::byte>(value));
    return seed;
  };
  return {
      hex({0}),                                      // untouched
      hex({1, 0, 0, 0, 100, 0, 1}),                  // a byte of a superblock
      hex({0, 128, 3, 0, 100, 0, 1}),                // of both copies of a journal block
      hex({2, 3, 5, 0, 0, 0, 0, 128 + 3, 43, 0}),    // zeroed blocks
      hex({0, 129, 8, 0, 64, 0, 9, 7, 0, 0}),        // a field of the journal, chain made good
      hex({1, 130, 44, 4, 1, 3, 8, 24, 0, 0}),       // a record of a checkpoint, sealed
      hex({0, 4, 10, 0, 0, 0, 12, 5, 11, 0, 0, 0}),  // blocks in wrong places
      hex({2, 6, 0, 0, 0, 0, 0, 134, 5, 0, 0, 0}),   // places that cannot be read
  };
}

}  // namespace dmr::fuzz

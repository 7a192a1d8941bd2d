// SPDX-License-Identifier: GPL-2.0-or-later
// Fuzz target: opening sets whose metadata was edited. Whatever is on the spares: loading ends,
// writes nothing and answers a map or a refusal; damage that a checksum gives away never yields a
// state that there was not; after a repair that says it worked nothing is wrong any more; and what
// the running volume does is what the map says.
#include "tests/fuzz/images.h"

namespace dmr::fuzz {
namespace {

constexpr u32 kMaxEdits = 12;

// The position of a map in the history of its set; negative when it never was.
int age_of(const BaseSet& base, const std::vector<format::Mapping>& map) {
  for (std::size_t back = 0; back < base.history.size(); ++back) {
    if (same(base.history[base.history.size() - 1 - back], map)) return static_cast<int>(back);
  }
  return -1;
}

void check_damage(const EditedSet& set, const Loaded& loaded) {
  if (loaded.status != Status::ok) {
    expect(loaded.status != Status::again && loaded.status != Status::closed,
           "a refusal has a reason");
    return;
  }
  const int age = age_of(set.base(), loaded.map.mappings());
  expect(age >= 0, "damage yields a state that there was");
  expect(age <= 1, "damage to more than the tail is no reason to go back");
}

// Loading once more after a repair that said it worked.
void check_repaired(EditedSet& set, const Loaded& before) {
  const Loaded after = set.host.load();
  expect(after.status == Status::ok, "a repaired set loads");
  expect(after.findings.all.empty(), "a repaired set is clean");
  expect(same(after.map.mappings(), before.map.mappings()), "a repair changes no mapping");
}

void check_store(EditedSet& set) {
  Status repaired = Status::closed;
  const Loaded loaded = set.host.load(true, &repaired);
  if (set.only_damaged()) check_damage(set, loaded);
  if (loaded.status == Status::ok && repaired == Status::ok) check_repaired(set, loaded);
}

Home home_of(const std::vector<format::Mapping>& map, Block block) {
  Home home;
  for (const format::Mapping& one : map) {
    if (block < one.block || block.value >= one.block.value + one.length) continue;
    home.member = one.member;
    if (one.member != kMain) home.spare = one.home + (block - one.block);
    home.lost = one.lost_all ? LostKind::all : one.lost.none() ? LostKind::none : LostKind::some;
    home.mask = one.lost;
  }
  return home;
}

// Every sector goes where the map says.
void check_routes(const Volume& volume, const std::vector<format::Mapping>& map) {
  const Geometry& geometry = volume.geometry();
  for (Block b{}; b.value < geometry.blocks(); b = b + 1) {
    const Home home = home_of(map, b);
    for (u32 i = 0; i < geometry.sectors_in(b); ++i) {
      const Sector sector = geometry.first_sector(b) + i;
      const Route route = volume.route(sector, 1, false);
      const bool lost =
          home.lost == LostKind::all || (home.lost == LostKind::some && home.mask.test(i));
      if (lost) {
        expect(route.kind == RouteKind::lost, "a lost sector stays lost");
      } else if (route.kind == RouteKind::device) {
        const Sector there = home.member == kMain ? sector : geometry.spare_sector(home.spare) + i;
        expect(route.member == home.member && route.sector == there,
               "a sector is looked for where the map says");
      } else {
        expect(route.kind == RouteKind::gone && home.member != kMain,
               "a sector that is not lost has a place");
      }
    }
  }
}

void check_volume(EditedSet& set) {
  const Loaded loaded = set.host.load();
  set.host.allowed = Writes::metadata;
  const Volume* volume = set.host.open();
  if (volume == nullptr) {
    set.host.allowed = Writes::none;
    return;
  }
  expect(loaded.status == Status::ok, "what does not load does not open");
  expect(!loaded.map.shared_block(), "a spare block with two owners is refused");
  check_routes(*volume, loaded.map.mappings());
  const bool writable = volume->writable();
  set.host.close();
  set.host.allowed = Writes::none;
  if (writable) check_repaired(set, loaded);
}

}  // namespace

void run_one(std::span<const std::byte> bytes) {
  static std::vector<std::unique_ptr<EditedSet>> sets = [] {
    std::vector<std::unique_ptr<EditedSet>> made;
    for (const BaseSet& base : base_sets()) made.push_back(std::make_unique<EditedSet>(base));
    return made;
  }();
  for (void (*check)(EditedSet&) : {check_store, check_volume}) {
    Input input(bytes);
    EditedSet& set = *sets[input.take<u8>() % sets.size()];
    for (u32 i = 0; i < kMaxEdits && !input.empty(); ++i) set.edit(input);
    check(set);
    set.put_back();
  }
}

std::vector<Bytes> seeds() {
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

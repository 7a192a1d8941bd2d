// SPDX-License-Identifier: GPL-2.0-or-later
// Fuzz target: opening sets whose metadata was edited. Whatever is on the spares: loading ends,
// writes nothing and answers a map or a refusal; damage that a checksum gives away never yields a
// state that there was not; after a repair that says it worked nothing is wrong any more; and what
// the running volume does is what the map says.
#include "tests/fuzz/images.h"

namespace dmr::fuzz {
namespace {

constexpr u32 kMaxEdits = 12;

void check_damage(const EditedSet& set, const Loaded& loaded) {
  if (loaded.status != Status::ok) {
    expect(loaded.status != Status::again && loaded.status != Status::closed,
           "a refusal has a reason");
    return;
  }
  const int age = set.age_of(loaded.map.mappings());
  expect(age >= 0, "damage yields a state that there was");
  expect(age <= 1, "damage to more than the tail is no reason to go back");
}

// Loading once more after a repair that said it worked.
void check_repaired(EditedSet& set, const Loaded& before) {
  const Loaded after = set.host.load();
  expect(after.status == Status::ok, "a repaired set loads");
  for (const Finding& finding : after.findings.all) {
    // What the set says of itself stays; it is no damage.
    expect(finding.kind == FindingKind::restored_older, "a repaired set is clean");
  }
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
  static std::vector<std::unique_ptr<EditedSet>> sets = edited_sets();
  for (void (*check)(EditedSet&) : {check_store, check_volume}) {
    Input input(bytes);
    EditedSet& set = *sets[input.take<u8>() % sets.size()];
    for (u32 i = 0; i < kMaxEdits && !input.empty(); ++i) set.edit(input);
    check(set);
    set.put_back();
  }
}

std::vector<Bytes> seeds() { return image_seeds(); }

}  // namespace dmr::fuzz

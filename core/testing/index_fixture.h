// SPDX-License-Identifier: GPL-2.0-or-later
// An index on a fake host, and a model of it: one home for each block in a std::map.
#pragma once

#include <map>
#include <optional>
#include <random>

#include "core/index/index.h"
#include "core/testing/fake_host.h"

namespace dmr::testing {

struct IndexFixture {
  explicit IndexFixture(u64 volume_sectors, u32 block_sectors) {
    geometry = Geometry::make(volume_sectors, block_sectors).value();
    host.give_page = [this](void* page) { index.give_page(page); };
    DMR_ASSERT(index.open(host, geometry) == Status::ok);
  }
  ~IndexFixture() {
    host.end_all_grace();
    index.close();
    DMR_ASSERT(host.bytes_held == 0);
  }
  IndexFixture(const IndexFixture&) = delete;
  IndexFixture& operator=(const IndexFixture&) = delete;

  FakeHost host;
  Geometry geometry;
  Index index;
};

[[nodiscard]] inline Home on_spare(Member member, u64 spare) {
  return {member, LostKind::none, SpareBlock(spare), {}};
}
[[nodiscard]] inline Home lost_in_place() { return {kMain, LostKind::all, SpareBlock(0), {}}; }
[[nodiscard]] inline Home home_behind(Home home, u64 blocks) {
  if (home.member != kMain) home.spare = home.spare + blocks;
  return home;
}

// What an index must answer, block by block and sector by sector.
class Model {
 public:
  explicit Model(const Geometry& geometry) : geometry_(geometry) {}

  void set(u64 begin, u64 length, Home home) {
    if (home.lost == LostKind::some) {
      if (home.mask.none()) home.lost = LostKind::none;
      if (home.mask == LostMask::all(geometry_.sectors_in(Block(begin)))) home.lost = LostKind::all;
      if (home.lost != LostKind::some) home.mask = {};
    }
    for (u64 i = 0; i < length; ++i) {
      if (home.is_plain()) {
        homes_.erase(begin + i);
      } else {
        homes_[begin + i] = home_behind(home, i);
      }
    }
  }
  [[nodiscard]] Home at(u64 block) const {
    const auto found = homes_.find(block);
    return found != homes_.end() ? found->second : Home{};
  }
  [[nodiscard]] bool lost(u64 sector) const {
    const Home home = at(geometry_.block_of(Sector(sector)).value);
    if (home.lost == LostKind::some)
      return home.mask.test(geometry_.sector_in_block(Sector(sector)));
    return home.lost == LostKind::all;
  }
  // One sector's piece, holds aside.
  [[nodiscard]] Route route(u64 sector) const {
    if (lost(sector)) return {RouteKind::lost, kMain, 1, Sector(sector)};
    const Home home = at(geometry_.block_of(Sector(sector)).value);
    if (home.member == kMain) return {RouteKind::device, kMain, 1, Sector(sector)};
    const u64 offset = geometry_.sector_in_block(Sector(sector));
    return {RouteKind::device, home.member, 1, geometry_.spare_sector(home.spare) + offset};
  }
  // The first piece of an extent when nothing is held.
  [[nodiscard]] Route route(u64 sector, u32 sectors) const {
    Route piece = route(sector);
    const u64 region_sectors = u64{kRegionBlocks} * geometry_.block_sectors;
    for (; piece.sectors < sectors; ++piece.sectors) {
      const u64 at = sector + piece.sectors;
      const Route more = route(at);
      if (at % region_sectors == 0 || more.kind != piece.kind || more.member != piece.member ||
          more.sector != piece.sector + piece.sectors) {
        break;
      }
    }
    return piece;
  }
  [[nodiscard]] Index::Counters counters() const {
    Index::Counters sum;
    for (const auto& [block, home] : homes_) {
      if (home.member != kMain) ++sum.remapped_blocks;
      for (u32 i = 0; i < geometry_.sectors_in(Block(block)); ++i) {
        if (lost(geometry_.first_sector(Block(block)).value + i)) ++sum.lost_sectors;
      }
    }
    return sum;
  }
  [[nodiscard]] const std::map<u64, Home>& homes() const { return homes_; }

 private:
  Geometry geometry_;
  std::map<u64, Home> homes_;
};

}  // namespace dmr::testing

// SPDX-License-Identifier: GPL-2.0-or-later
// The oracle's other half: faults, power cuts and the comparison with the map.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "sim/oracle.h"

namespace dmr::sim {

void Oracle::media_error(Member disk, Sector sector, IoOp op, const Data& latent) {
  world_.note("disk {}: bad sector {} met by a {}", disk, sector.value, static_cast<u64>(op));
  if (disk == kMain && sector.value < sectors()) states_[sector.value].main_failed = true;
  if (op != IoOp::read) {
    if (disk != kMain) spare_refusals_.push_back(world_.stamp());
    return;
  }
  // The data under the bad place says whose loss it may become.
  Sector whose = sector_of_token(latent.token);
  const bool named = latent.uniform() && latent.token != 0 && whose.value < sectors();
  if (!named) whose = view_ != nullptr ? view_->sector_at(disk, sector) : Sector(sectors());
  if (whose.value >= sectors()) return;
  State& state = states_[whose.value];
  const bool current =
      !named || std::any_of(state.versions.begin(), state.versions.end(),
                            [&](const Version& v) { return v.value == latent.token; });
  if (!current) return;
  ++state.read_failures;
  state.failed_value = latent.token;
}

void Oracle::device_error(Member disk, IoOp op, IoStatus status, Sector sector, u32 sectors) {
  world_.note("disk {}: op {} fails with status {}", disk, static_cast<u64>(op),
              static_cast<u64>(status));
  last_device_error_ = world_.stamp();
  device_error_ns_ = world_.now_ns();
  if (op == IoOp::flush) {
    ++flush_errors_owed_;
    if (untold_since_ns_ == 0) untold_since_ns_ = world_.now_ns();
    flush_refused_ = world_.stamp();  // whoever sent it: the cache may be gone
  }
  // Together with one failure of the medium it is as good as two.
  for (u32 i = 0; status == IoStatus::unspecified && op == IoOp::read && i < sectors; ++i) {
    const Sector at = sector + i;
    const Sector whose = disk == kMain || view_ == nullptr ? at : view_->sector_at(disk, at);
    if (whose.value >= this->sectors()) continue;
    State& state = states_[whose.value];
    if (state.outage_failures > 0 && state.outage_disk == disk &&
        state.outage_answers != answers_[disk]) {
      state.failed_around_answer = true;
    }
    ++state.outage_failures;
    state.outage_disk = disk;
    state.outage_answers = answers_[disk];
  }
  // Right after a success an unspecified failure of the device cannot be told from a bad place: a
  // write may be redirected because of it. It must not make anything lost, though.
  if (disk != kMain || status != IoStatus::unspecified || op == IoOp::flush) return;
  for (u64 s = sector.value; s < sector.value + sectors; ++s) states_[s].main_failed = true;
}

void Oracle::mark(Sector begin, u64 count) {
  for (u64 s = begin.value; s < begin.value + count && s < sectors(); ++s) {
    states_[s].marked = true;
  }
}

void Oracle::power_cut() {
  const u64 now = world_.stamp();
  active_reads_.clear();
  for (State& state : states_) {
    prune(state);
    if (state.versions.size() == 1) {
      state.versions[0].high = now;
      state.versions[0].durable = true;
      state.versions[0].acknowledged = true;
      continue;
    }
    // Any of them may be there now. The first read tells which, and it stays.
    for (Version& version : state.versions) {
      version.low = 0;
      version.read_low = 0;
      version.high = now;
      version.durable = true;
      version.acknowledged = true;
    }
  }
  for (const u32 at : unflushed_) states_[at].listed = false;
  unflushed_.clear();
}

// What was acknowledged after such a write had failed must not be undone by it.
void Oracle::closed() {
  const u64 now = world_.stamp();
  for (State& state : states_) {
    for (Version& version : state.versions) {
      if (!is_undecided(version)) continue;
      const bool written_over =
          std::any_of(state.versions.begin(), state.versions.end(), [&](const Version& other) {
            return other.acknowledged && !other.discard && other.begun > version.high;
          });
      if (!written_over) version.high = now;
    }
  }
}

void Oracle::audit_sector(Sector sector, bool lost) {
  State& state = states_[sector.value];
  if (lost && state.lost == Lost::no && !may_be_lost(state)) {
    fail(last_device_error_ != 0 && state.read_failures == 0 ? Rule::only_medium_errors_remap
                                                             : Rule::lost_means_lost,
         "a good sector became lost; " + describe(sector));
    return;
  }
  if (!lost && state.lost == Lost::yes) {
    fail(Rule::lost_means_lost, "a lost mark vanished without a write; " + describe(sector));
    return;
  }
  if (lost) {
    state.lost = Lost::yes;
    for (Version& version : state.versions) version.gone = true;
  }
  if (!lost && state.lost == Lost::perhaps) state.lost = Lost::no;
}

}  // namespace dmr::sim

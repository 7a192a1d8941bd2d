// SPDX-License-Identifier: GPL-2.0-or-later
// A scrub finds every place that cannot be read, wherever the block lives; and whatever happens in
// the middle of it, the volume is right afterwards.
#include <array>
#include <vector>

#include <fmt/format.h>

#include "sim/enumerate_internal.h"

namespace dmr::sim {

namespace {

// Bad places after the workload, in one read of the scrub and in several, at the volume's end, and
// one that comes again at a later try.
constexpr std::array<u64, 6> kUnreadable = {100, 101, 127, 300, 303, 511};
constexpr u64 kWeak = 260;

// The workload, and then the bad places; of one moved block the place on its spare.
std::vector<Sector> work_and_break(Life& life) {
  Machine& m = life.machine;
  std::vector<Sector> unreadable;
  if (!life.work()) {
    m.oracle.fail(Rule::nothing_hangs, "the workload stopped");
    return unreadable;
  }
  for (const u64 sector : kUnreadable) {
    m.disks[kMain]->set_fault(Sector(sector), Fault{});
    unreadable.emplace_back(sector);
  }
  m.disks[kMain]->set_fault(Sector(kWeak), Fault{.times = 4});
  const Geometry& geometry = m.volume().geometry();
  Index::Cursor cursor;
  Run run;
  while (m.volume().next_run(cursor, run)) {
    if (run.home.member == kMain || run.home.lost != LostKind::none) continue;
    m.disks[run.home.member]->set_fault(geometry.spare_sector(run.home.spare) + 3, Fault{});
    unreadable.push_back(geometry.first_sector(run.begin) + 3);
    break;
  }
  return unreadable;
}

// Orders a pass, or the rest of one, and waits until it ends or is paused, and for what it leaves
// to be done behind it.
void run_scrub(Machine& m) {
  m.scrub(ScrubAction::start);
  if (!m.run_until([&] { return m.host.quiet(); }, "the order")) return;
  const auto at_rest = [&] {
    const VolumeStats stats = m.volume().stats();
    return stats.scrub.state != ScrubState::running && stats.weak_blocks == 0 &&
           stats.work_items.in_use == 0;
  };
  if (!m.run_until(at_rest, "a scrub")) return;
  (void)m.run_command(CommandKind::mark, {});  // behind the last move
  (void)m.drain();
}

void expect_found(Machine& m, const std::vector<Sector>& unreadable) {
  for (const Sector sector : unreadable) {
    if (m.oracle.broken() || m.is_lost(sector)) continue;
    m.oracle.fail(Rule::lost_means_lost,
                  fmt::format("the scrub went over sector {}, which cannot be read", sector.value));
  }
}

struct ScrubCost {
  u64 events = 0;
  u64 ios = 0;
};

ScrubCost scrub_untroubled(Enumeration& all, u64 seed, u32 spares) {
  Life life(seed, spares);
  Machine& m = life.machine;
  const std::vector<Sector> unreadable = work_and_break(life);
  const ScrubCost before{m.world.events_run(), m.host.ios()};
  if (!m.oracle.broken()) run_scrub(m);
  const ScrubCost whole{m.world.events_run() - before.events, m.host.ios() - before.ios};
  expect_found(m, unreadable);
  if (!m.oracle.broken() && m.volume().route(Sector(kWeak), 1, false).member == kMain) {
    m.oracle.fail(Rule::lost_means_lost, "the scrub left a weak block where it is");
  }
  life.check_again();
  take(all, life, "a scrub with nothing done to it");
  return whole;
}

void cut_each(Enumeration& all, u64 seed, u32 spares, u64 events, u64 stride) {
  const std::array<const Chooser*, 3> kept = {&kKeepNothing, &kKeepAll, nullptr};
  for (u64 at = 1; at <= events && all.ok(); at += stride) {
    ++all.points;
    Life life(seed, spares);
    Machine& m = life.machine;
    (void)work_and_break(life);
    m.stop_after(at);
    run_scrub(m);
    m.stop_after(0);
    if (!m.oracle.broken()) m.power_cut(kept[all.points % kept.size()]);
    life.open_and_check("it was only a power cut in the middle of a scrub");
    take(all, life, fmt::format("power cut after event {} of a scrub", at));
  }
}

// One call fails, or it and the two behind it. An outage may pause the scrub: it is told to go on.
void fail_each(Enumeration& all, u64 seed, u32 spares, u64 ios, u64 stride) {
  constexpr std::array kStatuses = {IoStatus::medium, IoStatus::unspecified, IoStatus::transport};
  for (u64 at = 1; at <= ios && all.ok(); at += stride) {
    ++all.points;
    for (u32 kind = 0; kind < 2 * kStatuses.size() && all.ok(); ++kind) {
      Life life(seed, spares);
      Machine& m = life.machine;
      const std::vector<Sector> unreadable = work_and_break(life);
      HostTroubles& troubles = m.host.troubles;
      troubles.io_fails_at = m.host.ios() + at;
      troubles.io_fails_count = kind < kStatuses.size() ? 1 : 3;
      troubles.io_status = kStatuses[kind % kStatuses.size()];
      run_scrub(m);
      troubles = HostTroubles{};
      if (!m.oracle.broken()) run_scrub(m);
      if (m.volume().writable()) expect_found(m, unreadable);
      life.check_again();
      take(all, life, fmt::format("I/O {} of a scrub fails, kind {}", at, kind));
    }
  }
}

}  // namespace

Enumeration enumerate_scrubs(u64 seed, u32 spares, u64 stride) {
  Enumeration all;
  const ScrubCost whole = scrub_untroubled(all, seed, spares);
  cut_each(all, seed, spares, whole.events, stride);
  fail_each(all, seed, spares, whole.ios, stride);
  return all;
}

}  // namespace dmr::sim

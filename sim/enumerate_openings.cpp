// SPDX-License-Identifier: GPL-2.0-or-later
// What an opening sends fails in turn, and the power is cut during such an opening: the next one
// must go well, however the set had been left.
#include <array>

#include <fmt/format.h>

#include "sim/enumerate_internal.h"

namespace dmr::sim {

namespace {

// How the set was left: stopped; without power at three moments; stopped after all flushes from
// some moment on were refused, so that much of what can be read goes with the power.
constexpr u32 kCuts = 3;
constexpr u32 kRefusals = 6;
constexpr u32 kWays = 1 + kCuts + kRefusals;
// And in as many ways as the workload has flushes: that one is refused, and the third after it.
// When the first is that of a commit, the second is behind the header of the checkpoint that
// cancels it.
constexpr u64 kCancelled = 3;

struct Measure {
  u64 events = 0;   // of the workload
  u64 flushes = 0;  // in it
};

Measure measure(u64 seed, u32 spares) {
  Life life(seed, spares);
  const Measure before{life.machine.world.events_run(), life.machine.host.flushes()};
  (void)life.work();
  (void)life.machine.close();
  return {life.machine.world.events_run() - before.events,
          life.machine.host.flushes() - before.flushes};
}

void leave(Life& life, u32 way, const Measure& whole) {
  Machine& m = life.machine;
  if (way >= 1 && way <= kCuts) {
    m.stop_after(whole.events * way / (kCuts + 1));
    (void)life.work();
    m.stop_after(0);
    m.power_cut();
    return;
  }
  if (way > kCuts) {
    for (auto& disk : m.disks) disk->ailment.cache_kept = false;
    HostTroubles& troubles = m.host.troubles;
    const bool stays = way < kWays;
    const u64 from = stays ? whole.flushes - 2 * (way - kCuts - 1) : way - kWays + 1;
    troubles.flush_refused_at = m.host.flushes() + from;
    if (!stays) troubles.flush_refused_again_at = troubles.flush_refused_at + kCancelled;
    troubles.flushes_stay_refused = stays;
  }
  (void)life.work();
  if (m.is_open()) (void)m.close();
  m.host.troubles = HostTroubles{};
}

// What goes wrong in the opening.
struct Blow {
  bool flush = false;      // the n-th flush is refused, or else the n-th I/O fails
  bool all_after = false;  // and those behind it, or else only `count`
  bool cache_kept = true;
  u64 count = 1;
  IoStatus status = IoStatus::medium;
};

constexpr std::array kBlows = {
    Blow{.count = 1, .status = IoStatus::transport},
    Blow{.count = 2, .status = IoStatus::medium},
    Blow{.count = ~u64{0}, .status = IoStatus::offline},
    Blow{.flush = true},
    Blow{.flush = true, .cache_kept = false},
    Blow{.flush = true, .all_after = true},
    Blow{.flush = true, .all_after = true, .cache_kept = false},
};

// The number that it begins at.
u64 strike(Machine& m, const Blow& blow, u64 at) {
  for (auto& disk : m.disks) disk->ailment.cache_kept = blow.cache_kept;
  HostTroubles& troubles = m.host.troubles;
  if (blow.flush) {
    troubles.flushes_stay_refused = blow.all_after;
    return troubles.flush_refused_at = m.host.flushes() + at;
  }
  troubles.io_fails_count = blow.count;
  troubles.io_status = blow.status;
  return troubles.io_fails_at = m.host.ios() + at;
}

struct Struck {
  bool reached = false;  // something failed
  u64 events = 0;        // that the opening took
};

// The power is cut after so many events of the opening; 0: after it, and after a checkpoint when
// it went well. The caches then keep nothing, or some of what they held.
Struck open_and_lose(Life& life, const Blow& blow, u64 at, u64 events) {
  Machine& m = life.machine;
  const u64 first = strike(m, blow, at);
  const u64 before = m.world.events_run();
  if (events > 0) m.stop_after(events);
  const Status status = m.open();
  Struck struck;
  struck.events = m.world.events_run() - before;
  struck.reached = (blow.flush ? m.host.flushes() : m.host.ios()) >= first;
  m.stop_after(0);
  m.host.troubles = HostTroubles{};
  if (m.oracle.broken()) return struck;
  if (status == Status::ok) (void)m.run_command(CommandKind::checkpoint, {});
  if (m.oracle.broken()) return struck;
  m.power_cut((at + events) % 2 == 0 ? &kKeepNothing : nullptr);
  life.open_and_check("only I/O of an opening failed before a power cut");
  return struck;
}

// One blow at each I/O or flush of the opening, until the opening has no more of them.
void strike_each(Enumeration& all, Life& life, const OffState& left, u32 way, const Blow& blow,
                 u64 stride) {
  bool reached = true;
  for (u64 at = 1; reached && all.ok(); ++at) {
    u64 length = 1;
    for (u64 events = 0; events < length && all.ok();
         events += events == 0 ? 1 + at % stride : stride) {
      life.replay(left);
      const Struck struck = open_and_lose(life, blow, at, events);
      if (events == 0) {
        length = struck.events;
        reached = struck.reached;
        all.points += reached ? 1 : 0;
      }
      take(all, life,
           fmt::format("left in way {}, blow {} at {}, power cut after {} events of {}", way,
                       &blow - kBlows.data(), at, events, length));
      if (!reached) break;
    }
  }
}

}  // namespace

Enumeration enumerate_failing_openings(u64 seed, u32 spares, u64 stride) {
  Enumeration all;
  const Measure whole = measure(seed, spares);
  for (u32 way = 0; way < kWays + whole.flushes; ++way) {
    Life life(seed, spares);
    leave(life, way, whole);
    const OffState left = life.off_state();
    if (way < kWays) {
      for (const Blow& blow : kBlows) strike_each(all, life, left, way, blow, stride);
      continue;
    }
    for (const u32 blow : {1U, 3U}) {
      strike_each(all, life, left, way, kBlows[blow], 4 * stride);
    }
  }
  return all;
}

}  // namespace dmr::sim

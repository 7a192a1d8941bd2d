// SPDX-License-Identifier: GPL-2.0-or-later
// Every flush in turn is refused, with users' flushes beside the engine's own, and what lay in the
// cache is gone.
#include <deque>

#include <fmt/format.h>

#include "sim/enumerate_internal.h"

namespace dmr::sim {

namespace {

constexpr u32 kRounds = 12;
constexpr u32 kFlushes = 4;  // of users, in each round
constexpr u64 kSpread_ns = 400'000;

void start(Machine& machine, std::deque<UserRequest>& requests, const Ticket& ticket) {
  UserRequest& request = requests.emplace_back();
  request.ticket = ticket;
  machine.queue.start(request);
}

// Writes that lie in the caches of main and of the spare; then a move or a checkpoint, and flushes
// at any time during it.
void play_round(Life& life, std::deque<UserRequest>& requests, u32 round) {
  constexpr CommandKind kKinds[] = {CommandKind::mark, CommandKind::checkpoint, CommandKind::forget,
                                    CommandKind::checkpoint};
  Machine& m = life.machine;
  for (const u64 sector : {u64{400} + round, u64{8} + round % 8}) {
    Ticket write;
    write.op = IoOp::write;
    write.sector = Sector(sector);
    write.sectors = 1;
    start(m, requests, write);
  }
  if (!m.drain()) return;
  Ticket flush;
  flush.op = IoOp::flush;
  const Ticket fua{.op = IoOp::write, .fua = true, .sector = Sector(432 + round), .sectors = 1};
  for (u32 i = 0; i < kFlushes; ++i) {
    m.world.after(m.world.random().below(kSpread_ns), Lane::rest,
                  [&m, &requests, flush] { start(m, requests, flush); });
    m.world.after(m.world.random().below(kSpread_ns), Lane::rest,
                  [&m, &requests, fua] { start(m, requests, fua); });
  }
  const SectorRange moved{Sector(240 + u64{16} * (round / 4)), 8};
  const CommandKind kind = kKinds[round % 4];
  const bool whole = kind == CommandKind::checkpoint;
  (void)m.run_command(kind, {&moved, whole ? 0U : 1U});
  const u64 end_ns = m.world.now_ns() + kSpread_ns;
  (void)m.run_until([&m, end_ns] { return m.world.idle() || m.world.now_ns() > end_ns; }, "time");
  (void)m.drain();
}

void play(Life& life, std::deque<UserRequest>& requests) {
  if (!life.redirect(0, 4)) return;
  for (u32 round = 0; round < kRounds && !life.machine.oracle.broken(); ++round) {
    play_round(life, requests, round);
  }
}

// A spare may be about to be retired, so that its superblocks differ; no checkpoint is under way.
void lose_power_and_check(Life& life) {
  Machine& m = life.machine;
  if (m.oracle.broken()) return;
  m.power_cut(&kKeepNothing);
  life.open_and_check("only a flush was refused");
  for (const Finding& finding : m.findings()) {
    if (finding.kind != FindingKind::checkpoint_damaged) continue;
    m.oracle.fail(Rule::damage_is_noticed,
                  "a refused flush has left a checkpoint without its body");
  }
}

// The whole workload and a stop; all flushes from this one on are refused, 0: none is. Returns how
// many there were.
u64 leave(Life& life, u64 at) {
  Machine& m = life.machine;
  const u64 before = m.host.flushes();
  m.host.troubles.flush_refused_at = at == 0 ? 0 : before + at;
  m.host.troubles.flushes_stay_refused = true;
  for (auto& disk : m.disks) disk->ailment.cache_kept = false;
  (void)life.work();
  if (!m.oracle.broken()) (void)m.close();
  m.host.troubles = HostTroubles{};
  return m.host.flushes() - before;
}

// True when the power was cut before what it was to be cut in had ended. 0 events: behind the end.
bool restart_and_cut(Life& life, u64 events) {
  Machine& m = life.machine;
  if (m.oracle.broken()) return false;
  if (m.open() != Status::ok) {
    m.oracle.fail(Rule::damage_is_noticed, "cannot be opened, although only a flush was refused");
    return false;
  }
  if (events == 0) {
    (void)life.work();
  } else {
    m.stop_after(events);
    (void)m.run_command(CommandKind::checkpoint, {});
  }
  const bool stopped = m.stopped();
  m.stop_after(0);
  if (m.oracle.broken()) return false;
  m.power_cut(&kKeepNothing);
  life.open_and_check("only a flush was refused, and then the power cut");
  return stopped;
}

}  // namespace

Enumeration enumerate_restarts_after_refusals(u64 seed, u32 spares) {
  Enumeration all;
  const u64 without_fua = seed - seed % 2;  // disks that have none of their own
  Life whole(without_fua, spares);
  all.points = leave(whole, 0);
  for (u64 at = 1; at <= all.points && all.ok(); ++at) {
    Life life(without_fua, spares);
    (void)leave(life, at);
    const OffState left = life.off_state();
    bool goes_on = true;
    for (u64 events = 0; goes_on && all.ok(); ++events) {
      life.replay(left);
      goes_on = restart_and_cut(life, events) || events == 0;
      take(all, life, fmt::format("flush {} of {} is refused, {} events", at, all.points, events));
    }
  }
  return all;
}

Enumeration enumerate_refused_flushes(u64 seed, u32 spares, u32 timings) {
  Enumeration all;
  for (u32 timing = 0; timing < timings && all.ok(); ++timing) {
    u64 flushes = 1;  // the first case shows how many there are
    for (u64 at = 0; at <= flushes && all.ok(); ++at) {
      std::deque<UserRequest> requests;
      Life life(seed + timing, spares);
      SimHost& host = life.machine.host;
      const u64 before = host.flushes();
      host.troubles.flush_refused_at = at == 0 ? 0 : before + at;
      for (auto& disk : life.machine.disks) disk->ailment.cache_kept = false;
      play(life, requests);
      if (at == 0) flushes = host.flushes() - before;
      lose_power_and_check(life);
      take(all, life, fmt::format("timing {}, flush {} of {} is refused", timing, at, flushes));
    }
    all.points += flushes;
  }
  return all;
}

}  // namespace dmr::sim

// SPDX-License-Identifier: GPL-2.0-or-later
// Power cuts at every event, and host calls that fail one after the other.
#include "sim/enumerate.h"

#include <array>

#include <fmt/format.h>

#include "sim/enumerate_internal.h"

namespace dmr::sim {

std::string Enumeration::text() const {
  if (!ok()) {
    return fmt::format("{}: rule {} is broken: {}\n{}", where, rule_name(violation.rule),
                       violation.text, history);
  }
  if (masks == 0) return fmt::format("{} cases at {} points: no violation\n", cases, points);
  return fmt::format("{} cases for {} masks at {} points: no violation\n", cases, masks, points);
}

u64 count_events(Enumeration& all, u64 seed, u32 spares) {
  Life whole(seed, spares);
  const u64 before = whole.machine.world.events_run();
  if (!whole.course()) whole.machine.oracle.fail(Rule::nothing_hangs, "the workload stopped");
  const u64 events = whole.machine.world.events_run() - before;
  whole.check_again();
  take(all, whole, "the workload with nothing done to it");
  return events;
}

namespace {

void cut_and_check(Life& life, u64 events, u32 subset, Random& dice) {
  Machine& m = life.machine;
  m.stop_after(events);
  (void)life.course();
  m.stop_after(0);
  if (m.oracle.broken()) return;
  m.power_cut(subset == 0 ? &kKeepNothing : subset == 1 ? &kKeepAll : nullptr);
  if (subset % 2 == 1 && !m.open_and_cut(dice.below(60))) {
    life.check_again();
    return;
  }
  life.open_and_check("it was only a power cut");
}

}  // namespace

Enumeration enumerate_power_cuts(u64 seed, u32 spares, u32 subsets) {
  Enumeration all;
  Random dice(seed);
  all.points = count_events(all, seed, spares);
  for (u64 at = 1; at <= all.points && all.ok(); ++at) {
    for (u32 subset = 0; subset < subsets && all.ok(); ++subset) {
      Life life(seed, spares);
      cut_and_check(life, at, subset, dice);
      take(all, life,
           fmt::format("power cut after event {} of {}, subset {}", at, all.points, subset));
    }
  }
  return all;
}

namespace {

// The life goes on to its end, and once more: what failed must have left nothing wrong behind.
void work_and_check(Life& life) {
  Machine& m = life.machine;
  (void)life.work();
  m.host.troubles = HostTroubles{};
  m.read_back();
  if (!m.oracle.broken()) (void)m.close();
  life.open_and_check("only single calls failed");
}

// True when the n-th call was made.
bool fail_io(Enumeration& all, u64 seed, u32 spares, u64 at) {
  constexpr std::array kStatuses = {IoStatus::medium, IoStatus::unspecified, IoStatus::transport};
  bool reached = false;
  for (u32 kind = 0; kind < 2 * kStatuses.size() && all.ok(); ++kind) {
    Life life(seed, spares);
    SimHost& host = life.machine.host;
    const u64 first = host.ios() + at;
    const u64 count = kind < kStatuses.size() ? 1 : 3;
    const IoStatus status = kStatuses[kind % kStatuses.size()];
    host.troubles.io_fails_at = first;
    host.troubles.io_fails_count = count;
    host.troubles.io_status = status;
    work_and_check(life);
    reached = reached || host.ios() >= first;
    take(all, life,
         fmt::format("I/O {} and {} more fail with status {}", at, count - 1,
                     static_cast<u32>(status)));
  }
  return reached;
}

bool fail_memory(Enumeration& all, u64 seed, u32 spares, u64 at) {
  Life life(seed, spares);
  Machine& m = life.machine;
  (void)life.work();
  (void)m.close();
  const u64 first = m.host.allocations() + at;
  m.host.troubles.memory_fails_at = first;
  const Status status = m.open();
  const bool reached = m.host.allocations() >= first;
  m.host.troubles = HostTroubles{};
  if (reached != (status == Status::no_memory)) {
    m.oracle.fail(Rule::the_right_disks, fmt::format("opening without memory ended with status {}",
                                                     static_cast<u32>(status)));
  } else if (status == Status::ok) {
    life.check_again();
  } else {
    life.open_and_check("there is memory again");
  }
  take(all, life, fmt::format("allocation {} fails", at));
  return reached;
}

bool fail_late(Enumeration& all, u64 seed, u32 spares, u64 at, HostCall call) {
  Life life(seed, spares);
  SimHost& host = life.machine.host;
  const bool page = call == HostCall::page;
  const u64 first = (page ? host.pages() : host.timers()) + at;
  if (page) life.machine.oracle.expect_refusals();
  (page ? host.troubles.page_fails_at : host.troubles.timer_late_at) = first;
  work_and_check(life);
  const bool reached = (page ? host.pages() : host.timers()) >= first;
  take(all, life, fmt::format("{} {} fails", page ? "page" : "timer", at));
  return reached;
}

}  // namespace

Enumeration enumerate_failing_calls(u64 seed, u32 spares, HostCall call) {
  Enumeration all;
  for (u64 at = 1; all.ok(); ++at) {
    const bool reached = call == HostCall::io       ? fail_io(all, seed, spares, at)
                         : call == HostCall::memory ? fail_memory(all, seed, spares, at)
                                                    : fail_late(all, seed, spares, at, call);
    if (!reached) break;
    all.points = at;
  }
  return all;
}

}  // namespace dmr::sim

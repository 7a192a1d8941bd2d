// SPDX-License-Identifier: GPL-2.0-or-later
// Small workloads, exhaustively: every power cut, every host call that fails.
#include "sim/enumerate.h"

#include <array>

#include <fmt/format.h>

#include "sim/machine.h"

namespace dmr::sim {

namespace {

Shape small_shape(u32 spares) {
  Shape shape;
  shape.main_sectors = 512;
  shape.spare_sectors.assign(spares, 1700);
  return shape;
}

// One life with the same short workload: redirect, salvage, heal, mark, forget, checkpoint.
class Life {
 public:
  Life(u64 seed, u32 spares) : machine(seed, small_shape(spares)) {
    if (machine.format() != Status::ok || machine.open() != Status::ok) {
      machine.oracle.fail(Rule::the_right_disks, "a fresh set cannot be made and opened");
    }
  }

  // False when it was stopped before its end.
  bool work() {
    Fault unwritable{.on_read = false, .on_write = true, .status = IoStatus::unspecified};
    machine.disks[kMain]->set_fault(Sector(10), unwritable);
    machine.disks[kMain]->set_fault(Sector(20), Fault{});
    constexpr std::array<SectorRange, 1> kMoved = {SectorRange{Sector(40), 12}};
    return ask(IoOp::write, 6, 12) && ask(IoOp::flush) && ask(IoOp::write, 8, 3, true) &&
           ask(IoOp::read, 16, 8) && ask(IoOp::write, 0, 2) && ask(IoOp::write, 20, 1) &&
           ask(IoOp::flush) && order(CommandKind::mark, kMoved) && ask(IoOp::write, 41, 9) &&
           ask(IoOp::flush) && order(CommandKind::forget, kMoved) && ask(IoOp::read, 40, 12) &&
           ask(IoOp::write, 44, 2, true) && order(CommandKind::checkpoint, {}) &&
           ask(IoOp::write_zeroes, 9, 4) && ask(IoOp::flush) && ask(IoOp::read, 0, 64);
  }

  void check_again() {
    if (machine.oracle.broken()) return;
    machine.audit();
    machine.read_back();
    machine.audit();
    if (!machine.oracle.broken()) (void)machine.close();
  }

  Machine machine;

 private:
  [[nodiscard]] bool goes_on() { return !machine.oracle.broken() && !machine.stopped(); }

  bool ask(IoOp op, u64 sector = 0, u32 sectors = 0, bool fua = false) {
    request_ = std::make_unique<UserRequest>();
    request_->ticket = Ticket{.op = op, .fua = fua, .sector = Sector(sector), .sectors = sectors};
    machine.request(*request_);
    return goes_on();
  }

  bool order(CommandKind kind, std::span<const SectorRange> ranges) {
    (void)machine.run_command(kind, ranges);
    return goes_on();
  }

  std::unique_ptr<UserRequest> request_;  // outlives a stop in the middle
};

void take(Enumeration& all, Life& life, std::string where) {
  ++all.cases;
  if (!life.machine.oracle.broken() || !all.ok()) return;
  all.violation = life.machine.oracle.violation();
  all.where = std::move(where);
  all.history = life.machine.world.history(120);
}

void cut_and_check(Life& life, u64 events, u32 subset, Random& dice) {
  Machine& m = life.machine;
  m.stop_after(events);
  (void)life.work();
  m.stop_after(0);
  if (m.oracle.broken()) return;
  const Chooser nothing = [](Sector, u32) { return u32{0}; };
  const Chooser everything = [](Sector, u32 candidates) { return candidates - 1; };
  m.power_cut(subset == 0 ? &nothing : subset == 1 ? &everything : nullptr);
  if (subset % 2 == 1 && !m.open_and_cut(dice.below(60))) {
    life.check_again();
    return;
  }
  if (m.open() != Status::ok) {
    m.oracle.fail(Rule::damage_is_noticed, "refused after a power cut");
    return;
  }
  life.check_again();
}

}  // namespace

std::string Enumeration::text() const {
  if (ok()) return fmt::format("{} cases at {} points: no violation\n", cases, points);
  return fmt::format("{}: rule {} is broken: {}\n{}", where, rule_name(violation.rule),
                     violation.text, history);
}

Enumeration enumerate_power_cuts(u64 seed, u32 spares, u32 subsets) {
  Enumeration all;
  Random dice(seed);
  u64 events = 0;
  {
    Life whole(seed, spares);
    const u64 before = whole.machine.world.events_run();
    if (!whole.work()) whole.machine.oracle.fail(Rule::nothing_hangs, "the workload stopped");
    events = whole.machine.world.events_run() - before;
    whole.check_again();
    take(all, whole, "the workload without a power cut");
  }
  all.points = events;
  for (u64 at = 1; at <= events && all.ok(); ++at) {
    for (u32 subset = 0; subset < subsets && all.ok(); ++subset) {
      Life life(seed, spares);
      cut_and_check(life, at, subset, dice);
      take(all, life, fmt::format("power cut after event {} of {}, subset {}", at, events, subset));
    }
  }
  return all;
}

Enumeration enumerate_failures(u64 seed, u32 spares) {
  Enumeration all;
  constexpr std::array kStatuses = {IoStatus::medium, IoStatus::unspecified, IoStatus::transport};
  for (u64 at = 1; all.ok(); ++at) {
    bool reached = false;
    for (u32 kind = 0; kind < 2 * kStatuses.size() && all.ok(); ++kind) {
      Life life(seed, spares);
      SimHost& host = life.machine.host;
      host.troubles.io_fails_at = host.ios() + at;
      host.troubles.io_fails_count = kind < kStatuses.size() ? 1 : 3;
      host.troubles.io_status = kStatuses[kind % kStatuses.size()];
      (void)life.work();
      reached = reached || host.ios() >= host.troubles.io_fails_at;
      host.troubles.io_fails_at = 0;
      life.machine.read_back();
      if (!life.machine.oracle.broken()) (void)life.machine.close();
      if (!life.machine.oracle.broken() && life.machine.open() != Status::ok) {
        life.machine.oracle.fail(Rule::damage_is_noticed, "refused after failed I/O");
      }
      life.check_again();
      take(
          all, life,
          fmt::format("I/O {} and {} more fail with status {}", at,
                      host.troubles.io_fails_count - 1, static_cast<u32>(host.troubles.io_status)));
    }
    if (!reached) break;
    all.points = at;
  }
  return all;
}

}  // namespace dmr::sim

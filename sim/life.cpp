// SPDX-License-Identifier: GPL-2.0-or-later
// The workload of the enumerations.
#include "sim/life.h"

#include <array>

#include <fmt/format.h>

namespace dmr::sim {

namespace {

// Of every second seed, no disk has FUA of its own.
Shape small_shape(u64 seed, u32 spares) {
  Shape shape;
  shape.fua_by_flush = seed % 2 == 0 ? ~0U : 0U;
  shape.main_sectors = 512;
  shape.spare_sectors.assign(spares, 1700);
  return shape;
}

// Every second block, so that each needs a record: the journal block goes over several sectors.
constexpr u32 kScattered = 16;
constexpr std::array<SectorRange, kScattered> scattered() {
  std::array<SectorRange, kScattered> ranges;
  for (u32 i = 0; i < kScattered; ++i) ranges[i] = SectorRange{Sector(200 + u64{16} * i), 1};
  return ranges;
}

}  // namespace

Life::Life(u64 seed, u32 spares) : machine(seed, small_shape(seed, spares)) {
  if (machine.format() != Status::ok || machine.open() != Status::ok) {
    machine.oracle.fail(Rule::the_right_disks, "a fresh set cannot be made and opened");
  }
}

bool Life::work() {
  const Fault unwritable{.on_read = false, .on_write = true, .status = IoStatus::unspecified};
  machine.disks[kMain]->set_fault(Sector(10), unwritable);
  machine.disks[kMain]->set_fault(Sector(20), Fault{});
  static constexpr std::array<SectorRange, 1> kMoved = {SectorRange{Sector(40), 12}};
  static constexpr std::array<SectorRange, kScattered> kMany = scattered();
  return ask(IoOp::write, 6, 12) && ask(IoOp::flush) && ask(IoOp::write, 8, 3, true) &&
         ask(IoOp::read, 16, 8) && ask(IoOp::write, 0, 2) && ask(IoOp::write, 20, 1) &&
         ask(IoOp::flush) && order(CommandKind::mark, kMoved) && ask(IoOp::write, 41, 9) &&
         ask(IoOp::flush) && order(CommandKind::forget, kMoved) && ask(IoOp::read, 40, 12) &&
         order(CommandKind::mark, kMany) && ask(IoOp::write, 44, 2, true) &&
         order(CommandKind::checkpoint, {}) && ask(IoOp::write_zeroes, 9, 4) &&
         order(CommandKind::forget, kMany) && ask(IoOp::flush) && ask(IoOp::read, 0, 64);
}

bool Life::course() {
  if (!work()) return false;
  (void)machine.close();
  if (!goes_on()) return false;
  (void)machine.open();
  return goes_on() && machine.is_open();
}

bool Life::redirect(u32 first, u32 end) {
  const Fault refuses{.on_read = false, .on_write = true};
  for (u32 block = first; block < end; ++block) {
    machine.disks[kMain]->set_fault(Sector(u64{8} * block + 2), refuses);
    if (!ask(IoOp::write, u64{8} * block, 8)) return false;
  }
  return true;
}

bool Life::storm(u32 commits) {
  for (u32 i = 0; i < commits; ++i) {
    const std::array<SectorRange, 1> block = {SectorRange{Sector(16 + u64{8} * (i / 2 % 40)), 8}};
    if (!order(i % 2 == 0 ? CommandKind::mark : CommandKind::forget, block)) return false;
    if (i % 2 == 0 && !ask(IoOp::write, block[0].begin.value + 1, 3, true)) return false;
  }
  return true;
}

bool Life::ask(IoOp op, u64 sector, u32 sectors, bool fua) {
  request_ = std::make_unique<UserRequest>();
  request_->ticket = Ticket{.op = op, .fua = fua, .sector = Sector(sector), .sectors = sectors};
  machine.request(*request_);
  return goes_on();
}

bool Life::order(CommandKind kind, std::span<const SectorRange> ranges) {
  (void)machine.run_command(kind, ranges);
  return goes_on();
}

void Life::check_again() {
  if (machine.oracle.broken()) return;
  machine.audit();
  machine.read_back();
  machine.audit();
  if (!machine.oracle.broken()) (void)machine.close();
}

void Life::open_and_check(const char* why_it_must) {
  if (machine.oracle.broken()) return;
  const Status status = machine.open();
  if (status != Status::ok) {
    machine.oracle.fail(
        Rule::damage_is_noticed,
        fmt::format("refused with status {}, although {}", static_cast<u32>(status), why_it_must));
    return;
  }
  check_again();
}

OffState Life::power_off() {
  machine.power_off();
  OffState state;
  for (Member m = 0; m < machine.disks.size(); ++m) {
    SimDisk& disk = *machine.disks[m];
    for (const Sector sector : disk.unflushed()) {
      state.open.push_back({m, sector, disk.candidates(sector)});
    }
    state.disks.push_back(disk.save());
    state.disks.back().cached.clear();  // `open` has it
  }
  state.oracle.emplace(machine.oracle);
  state.random = machine.world.random();
  return state;
}

OffState Life::off_state() const {
  OffState state;
  for (const auto& disk : machine.disks) state.disks.push_back(disk->save());
  state.oracle.emplace(machine.oracle);
  state.random = machine.world.random();
  return state;
}

void Life::restore(const OffState& state) {
  if (machine.is_open()) machine.power_off();
  for (Member m = 0; m < machine.disks.size(); ++m) machine.disks[m]->restore(state.disks[m]);
  std::destroy_at(&machine.oracle);
  std::construct_at(&machine.oracle, *state.oracle);
}

void Life::replay(const OffState& state) {
  restore(state);
  machine.world.random() = state.random;
}

}  // namespace dmr::sim

// SPDX-License-Identifier: GPL-2.0-or-later
// After an opening that went well nothing of the state hangs on one place: each live spare has all
// of it by itself, and any one block of a checkpoint may be damaged. However the power had gone
// before: in the middle of a commit, or of the checkpoints that cancel one.
#include <array>

#include <fmt/format.h>

#include "sim/enumerate_internal.h"
#include "sim/metadata.h"

namespace dmr::sim {

namespace {

// How the power went: after so many events of the workload, or of what follows when all writes of
// this commit's block are refused.
struct Accident {
  u64 commit = 0;  // counted from 1; 0: none is refused
  u64 events = 0;
};
constexpr u64 kEventsAfterRefusal = 90;  // reaches beyond the checkpoints that cancel the commit

struct Course {
  u64 seed;
  u32 spares;
  u64 events;  // of the whole workload
};

// False when the workload has no such commit.
bool meet(Life& life, const Accident& accident) {
  Machine& m = life.machine;
  u64 sequence = 0;
  u64 commits = 0;
  if (accident.commit == 0) m.stop_after(accident.events);
  m.host.on_metadata_write = [&](const DeviceIo& io) {
    MetadataFate fate;
    const auto& header = *reinterpret_cast<const format::BlockHeader*>(io.buffer);
    if (header.kind != static_cast<u16>(format::Kind::journal)) return fate;
    commits += header.sequence != sequence ? 1 : 0;
    sequence = header.sequence;
    if (accident.commit == 0 || commits != accident.commit) return fate;
    if (!m.stop_is_set()) m.stop_after(accident.events);
    fate.kind = MetadataFate::Kind::refused_clean;
    fate.status = IoStatus::medium;
    return fate;
  };
  (void)life.work();
  m.host.on_metadata_write = nullptr;
  m.stop_after(0);
  return commits >= accident.commit;
}

// An opening without any trouble, one more commit, and the power is gone again.
OffState reopen(Life& life, u64 choice) {
  Machine& m = life.machine;
  const std::array<const Chooser*, 3> kept = {&kKeepNothing, &kKeepAll, nullptr};
  m.power_cut(kept[choice % kept.size()]);
  if (m.open() != Status::ok) {
    m.oracle.fail(Rule::damage_is_noticed, "refused, although only the power had gone");
  }
  if (!m.oracle.broken()) m.audit();
  if (!m.oracle.broken()) m.read_back();
  if (!m.oracle.broken()) (void)life.storm(1);
  m.power_cut(&kKeepNothing);
  return life.off_state();
}

void leave_one_spare(Enumeration& all, Life& life, const OffState& state, const std::string& when) {
  Machine& m = life.machine;
  const u32 spares = (1U << m.disks.size()) - 2;
  for (Member alone = 1; alone < m.disks.size() && all.ok(); ++alone) {
    life.restore(state);
    m.absent = spares & ~(1U << alone);
    if (m.open(false, true) != Status::ok) {
      m.oracle.fail(Rule::damage_is_noticed, "refused, although one live spare is there");
    }
    life.check_again();
    m.absent = 0;
    take(all, life, fmt::format("{}; spare {} alone", when, alone));
  }
}

void damage_each_checkpoint(Enumeration& all, Life& life, const OffState& state, Random& dice,
                            const std::string& when) {
  life.restore(state);
  const MetadataMap map(life.machine.disks);
  for (Member m = 1; m < life.machine.disks.size(); ++m) {
    for (const MetaBlock& block : map.blocks(m)) {
      const bool counts = block.kind == format::Kind::checkpoint_header ||
                          block.kind == format::Kind::checkpoint_body;
      if (!counts || !all.ok()) continue;
      life.restore(state);
      life.machine.disks[m]->flip_bit(block.at + dice.below(kMetaSectors),
                                      dice.below32(kSectorBytes * 8));
      life.open_and_check("only one block of a checkpoint is damaged");
      take(all, life,
           fmt::format("{}; checkpoint {} of spare {}, block {} damaged", when, block.area, m,
                       block.index));
    }
  }
}

// False when the workload has no such commit.
bool lose_each(Enumeration& all, const Course& course, const Accident& accident, Random& dice) {
  Life life(course.seed, course.spares);
  if (!meet(life, accident)) return false;
  ++all.points;
  const std::string when = fmt::format(
      "power cut {} events after {}", accident.events,
      accident.commit == 0 ? "the beginning" : fmt::format("commit {} failed", accident.commit));
  const OffState state = reopen(life, all.points);
  take(all, life, when);
  if (course.spares > 1) leave_one_spare(all, life, state, when);
  damage_each_checkpoint(all, life, state, dice, when);
  return all.ok();
}

}  // namespace

Enumeration enumerate_losses(u64 seed, u32 spares, u64 stride) {
  Enumeration all;
  Random dice(seed);
  const Course course{seed, spares, count_events(all, seed, spares)};
  for (u64 events = 1; events < course.events && all.ok(); events += stride) {
    (void)lose_each(all, course, {.events = events}, dice);
  }
  bool is_there = true;
  for (u64 commit = 1; is_there && all.ok(); ++commit) {
    for (u64 events = 1 + commit % stride; is_there && events < kEventsAfterRefusal;
         events += stride) {
      is_there = lose_each(all, course, {.commit = commit, .events = events}, dice);
    }
  }
  return all;
}

}  // namespace dmr::sim

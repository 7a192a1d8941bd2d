// SPDX-License-Identifier: GPL-2.0-or-later
// A small life with the same short workload each time, for enumerations; and going back to a moment
// when it was off, to try something else from there.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "sim/machine.h"

namespace dmr::sim {

// The disks and what the oracle knew, at a moment when the power was off.
struct OffState {
  // A sector whose content the power cut has left open: what may be there, the old content first.
  struct Open {
    Member member = kMain;
    Sector sector;
    std::vector<Data> candidates;
  };
  std::vector<SimDisk::Image> disks;
  std::vector<Open> open;
  std::optional<Oracle> oracle;
  Random random{0};  // of the world
};

class Life {
 public:
  // Formatted and open; the oracle is told when that fails.
  Life(u64 seed, u32 spares);

  // Redirects, salvages, heals, marks, forgets, writes checkpoints. False when it was stopped
  // before its end, or went wrong.
  bool work();
  // The same, a stop and another opening.
  bool course();
  // Writes blocks [first, end) of main, which refuses all of them.
  bool redirect(u32 first, u32 end);
  // Marks and forgets single blocks in turn, each time with a commit of its own.
  bool storm(u32 commits);

  // Everything that is stored is right, and the map is; closes at the end.
  void check_again();
  // Opens the volume, which must succeed, and checks; closes at the end.
  void open_and_check(const char* why_it_must);

  // Pulls the plug and takes down what was left open.
  [[nodiscard]] OffState power_off();
  // The same without a power cut: the volume is closed, and what its disks have cached stays there.
  [[nodiscard]] OffState off_state() const;
  void restore(const OffState& state);
  // And what follows happens as it would have then: two cases differ in nothing but what is done
  // to them.
  void replay(const OffState& state);

  Machine machine;

 private:
  [[nodiscard]] bool goes_on() { return !machine.oracle.broken() && !machine.stopped(); }
  bool ask(IoOp op, u64 sector = 0, u32 sectors = 0, bool fua = false);
  bool order(CommandKind kind, std::span<const SectorRange> ranges);

  std::unique_ptr<UserRequest> request_;  // outlives a stop in the middle
};

}  // namespace dmr::sim

// SPDX-License-Identifier: GPL-2.0-or-later
// A command on its way through the engine: the rest that a turn leaves is the next turn, until all
// is done, the time that its sender gave is over, or the volume ends.
#pragma once

#include <atomic>
#include <functional>
#include <span>
#include <vector>

#include "core/volume/volume.h"
#include "runtime/device/mailbox.h"
#include "runtime/volume/user_volume.h"

namespace dmr::runtime {

// Of one volume: how many commands it still owes an answer.
class CommandBook {
 public:
  // From now on commands end with their present turn. Returns when all have been answered.
  void end_all();

 private:
  friend class RunningCommand;
  std::atomic<bool> ending_{false};
  std::atomic<u32> open_{0};
};

class RunningCommand {
 public:
  // Belongs to itself, and lives until its answer has been given. The message starts it, on the
  // executor.
  [[nodiscard]] static Message& make(Volume& volume, CommandBook& book, CommandKind kind,
                                     std::vector<SectorRange> ranges, u64 until_ns,
                                     std::function<void(const CommandResult&)> done);

 private:
  RunningCommand(Volume& volume, CommandBook& book) : volume_(volume), book_(book) {}

  void take_turn();
  void turn_ended();

  Volume& volume_;
  CommandBook& book_;
  Message message_;
  Command command_;
  std::vector<SectorRange> ranges_;
  std::span<SectorRange> left_;  // of them
  u64 until_ns_ = 0;
  CommandResult sum_;
  std::function<void(const CommandResult&)> done_;
};

}  // namespace dmr::runtime

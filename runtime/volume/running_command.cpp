// SPDX-License-Identifier: GPL-2.0-or-later
// Turn after turn, each of them queued behind what others want; the results are added up.
#include "runtime/volume/running_command.h"

namespace dmr::runtime {

void CommandBook::end_all() {
  ending_.store(true);
  for (u32 open = open_.load(); open != 0; open = open_.load()) open_.wait(open);
}

Message& RunningCommand::make(Volume& volume, CommandBook& book, CommandKind kind,
                              std::vector<SectorRange> ranges, u64 until_ns,
                              std::function<void(const CommandResult&)> done) {
  auto* self = new RunningCommand(volume, book);
  self->command_.kind = kind;
  self->command_.context = self;
  self->command_.done = [](Command& command) {
    static_cast<RunningCommand*>(command.context)->turn_ended();
  };
  self->ranges_ = std::move(ranges);
  self->left_ = self->ranges_;
  self->until_ns_ = until_ns;
  self->done_ = std::move(done);
  self->message_.context = self;
  self->message_.run = [](Message& message) {
    static_cast<RunningCommand*>(message.context)->take_turn();
  };
  book.open_.fetch_add(1);
  return self->message_;
}

void RunningCommand::take_turn() {
  command_.ranges = left_;
  if (!book_.ending_.load()) return volume_.command(command_);
  command_.status = Status::closed;
  command_.rest = left_.empty() ? Sector{} : left_.front().begin;
  command_.bad_sector = command_.rest;
  turn_ended();
}

void RunningCommand::turn_ended() {
  sum_.blocks_changed += command_.blocks_changed;
  sum_.blocks_unchanged += command_.blocks_unchanged;
  sum_.sectors_lost += command_.sectors_lost;
  if (sum_.status == Status::ok) {
    sum_.status = command_.status;
    sum_.bad_sector = command_.bad_sector;
  }
  command_.blocks_changed = command_.blocks_unchanged = command_.sectors_lost = 0;
  if (command_.has_rest()) {
    if (book_.ending_.load() || monotonic_ns() < until_ns_) {
      left_ = ranges_from(command_.rest, left_);
      return take_turn();
    }
    sum_.rest = command_.rest;
  }
  CommandBook& book = book_;
  done_(sum_);
  delete this;
  book.open_.fetch_sub(1);
  book.open_.notify_all();
}

}  // namespace dmr::runtime

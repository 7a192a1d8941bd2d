// SPDX-License-Identifier: GPL-2.0-or-later
// Turn after turn, each of them queued behind what others want; the results are added up.
#include "runtime/volume/running_command.h"

#include "runtime/control/ranges.h"

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
  command_.ranges = ranges_;
  if (!book_.ending_.load()) return volume_.command(command_);
  command_.status = Status::closed;
  command_.rest = ranges_.empty() ? Sector{} : ranges_.front().begin;
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
  drop_before(ranges_, command_.rest);
  if (goes_on()) return take_turn();
  CommandBook& book = book_;
  done_(sum_);
  delete this;
  book.open_.fetch_sub(1);
  book.open_.notify_all();
}

bool RunningCommand::goes_on() {
  if (command_.kind == CommandKind::checkpoint || ranges_.empty()) return false;
  switch (command_.status) {
    case Status::closed:
    case Status::read_only:
    case Status::invalid:
      return false;
    default:
      break;
  }
  if (book_.ending_.load() || monotonic_ns() < until_ns_) return true;
  sum_.rest = ranges_.front().begin;
  return false;
}

}  // namespace dmr::runtime

// SPDX-License-Identifier: GPL-2.0-or-later
// Virtual time and the queue of events.
#include "sim/world.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace dmr::sim {

bool World::later(const Event& a, const Event& b) {
  if (a.time_ns != b.time_ns) return a.time_ns > b.time_ns;
  if (a.tie != b.tie) return a.tie > b.tie;
  return a.number > b.number;
}

void World::after(u64 delay_ns, Lane lane, Action action) {
  auto& queue = queues_[static_cast<u32>(lane)];
  queue.push_back(Event{now_ns_ + delay_ns, random_.next(), ++number_, std::move(action)});
  std::push_heap(queue.begin(), queue.end(), later);
}

void World::run_first(std::vector<Event>& queue) {
  std::pop_heap(queue.begin(), queue.end(), later);
  Event event = std::move(queue.back());
  queue.pop_back();
  now_ns_ = std::max(now_ns_, event.time_ns);
  ++events_run_;
  event.action();
}

bool World::step() {
  if (idle()) return false;
  const bool hot =
      queues_[1].empty() || (!queues_[0].empty() && later(queues_[1].front(), queues_[0].front()));
  run_first(queues_[hot ? 0 : 1]);
  return true;
}

void World::preempt() {
  auto& hot = queues_[static_cast<u32>(Lane::hot)];
  if (!preemption_ || preempting_ || hot.empty() || random_.below(4) != 0) return;
  preempting_ = true;
  const u64 now = now_ns_;
  for (u64 steps = random_.range(1, 4); steps > 0 && !hot.empty(); --steps) {
    if (hot.front().time_ns > now + kPreemptWindow_ns) break;
    run_first(hot);
  }
  preempting_ = false;
}

void World::forget_events() {
  queues_[0].clear();
  queues_[1].clear();
}

void World::note(const char* text, u64 a, u64 b, u64 c, u64 d) {
  Note& note = notes_[note_count_ % kHistory];
  note = Note{now_ns_, step_, text, {a, b, c, d}};
  ++note_count_;
  if (trace_ != nullptr) fmt::print(trace_, "{}", line_of(note));
}

std::string World::line_of(const Note& note) {
  std::string line =
      fmt::format("{:>5} {:>13.6f} s  ", note.step, static_cast<double>(note.time_ns) / 1e9);
  line += fmt::format(fmt::runtime(note.text), note.numbers[0], note.numbers[1], note.numbers[2],
                      note.numbers[3]);
  line += '\n';
  return line;
}

std::string World::history(u32 lines) const {
  std::string out;
  const u64 count = std::min<u64>({lines, note_count_, kHistory});
  for (u64 i = note_count_ - count; i < note_count_; ++i) out += line_of(notes_[i % kHistory]);
  return out;
}

}  // namespace dmr::sim

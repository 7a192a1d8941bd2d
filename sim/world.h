// SPDX-License-Identifier: GPL-2.0-or-later
// Virtual time, the queue of things that will happen, and the history of what did. One seed decides
// everything: same seed, same world, to the last step.
#pragma once

#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "core/base/types.h"
#include "sim/random.h"

namespace dmr::sim {

// Steps of the hot path may run between any two steps of the executor, even inside one where it
// calls its host; everything else waits its turn.
enum class Lane : u8 { hot, rest };

class World {
 public:
  using Action = std::function<void()>;

  explicit World(u64 seed) : random_(seed) {}
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  [[nodiscard]] u64 now_ns() const { return now_ns_; }
  // A number that grows with every call: orders what happens at the same time.
  u64 stamp() { return ++stamp_; }
  [[nodiscard]] Random& random() { return random_; }
  [[nodiscard]] const Random& random() const { return random_; }

  void after(u64 delay_ns, Lane lane, Action action);
  // Runs the earliest event; false when there is none.
  bool step();
  // Called where the executor is inside a call of its host: sometimes lets the hot path take steps
  // that are due soon, as another thread would.
  void preempt();
  void set_preemption(bool on) { preemption_ = on; }
  // A power cut: nothing that was under way happens any more.
  void forget_events();
  [[nodiscard]] bool idle() const { return queues_[0].empty() && queues_[1].empty(); }
  [[nodiscard]] u64 events_run() const { return events_run_; }

  // History. `text` is a literal with up to four {} for the numbers.
  void note(const char* text, u64 a = 0, u64 b = 0, u64 c = 0, u64 d = 0);
  // The last `lines` of it, one line an event, oldest first: step of the scenario, time, what.
  [[nodiscard]] std::string history(u32 lines) const;
  // From now on each line also goes there, as it happens: it outlives a run that crashes.
  void trace_to(std::FILE* file) { trace_ = file; }
  void set_step(u32 step) { step_ = step; }

 private:
  struct Event {
    u64 time_ns;
    u64 tie;  // random: events of the same time come in any order
    u64 number;
    Action action;
  };
  struct Note {
    u64 time_ns = 0;
    u32 step = 0;
    const char* text = nullptr;
    u64 numbers[4] = {};
  };
  static constexpr u32 kHistory = 2048;
  static constexpr u64 kPreemptWindow_ns = 200'000;

  [[nodiscard]] static bool later(const Event& a, const Event& b);
  [[nodiscard]] static std::string line_of(const Note& note);
  void run_first(std::vector<Event>& queue);

  Random random_;
  u64 now_ns_ = 1'000'000'000;
  u64 stamp_ = 0;
  u64 number_ = 0;
  u64 events_run_ = 0;
  std::vector<Event> queues_[2];  // heaps, by Lane
  bool preemption_ = true;
  bool preempting_ = false;
  std::vector<Note> notes_ = std::vector<Note>(kHistory);
  u64 note_count_ = 0;
  u32 step_ = 0;
  std::FILE* trace_ = nullptr;  // not ours
};

}  // namespace dmr::sim

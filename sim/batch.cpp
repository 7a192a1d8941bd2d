// SPDX-License-Identifier: GPL-2.0-or-later
// Workers draw the numbers of runs from shared memory and add up there what they met. A worker that
// dies leaves there which run it was at.
#include "sim/batch.h"

#include <sys/wait.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <ctime>
#include <fcntl.h>
#include <stdexcept>
#include <unistd.h>

#include "core/base/assert.h"
#include "sim/shared_memory.h"

namespace dmr::sim {
namespace {

constexpr u32 kMostJobs = 256;
constexpr long kTick_ns = 20'000'000;
// An interrupted run has so long to come to its end.
constexpr double kGrace_s = 5;

struct alignas(64) Worker {
  std::atomic<u64> run;  // that it is at, plus 1; 0: none
  std::atomic<bool> failed;
  std::atomic<u64> runs;
  std::atomic<u64> power_cuts;
  Totals totals;  // read when the worker has ended
};

struct Board {
  std::atomic<u64> next;
  std::atomic<bool> stop;
  std::array<Worker, kMostJobs> workers;
};

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// The assertion of a run that fails is told when it is repeated.
void be_silent() {
  const int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (nothing >= 0) (void)dup2(nothing, STDERR_FILENO);
}

[[noreturn]] void work(const BatchRequest& request, pid_t parent, Board& board, Worker& me) {
  be_silent();
  while (!board.stop) {
    const u64 run_number = board.next++;
    if (run_number >= request.runs) break;
    tie_to_parent(parent, kRunLimit_s);
    me.run = run_number + 1;
    const Report report = run(request.plan(run_number));
    if (!report.ok()) {
      me.failed = true;
      board.stop = true;
      break;
    }
    me.totals.add(report.totals);
    me.power_cuts = me.totals.power_cuts;
    me.runs = me.totals.runs;
    me.run = 0;
  }
  _exit(0);
}

class Crew {
 public:
  Crew(const BatchRequest& request, Board& board) : board_(board) {
    const pid_t parent = getpid();
    for (u32 job = 0; job < request.jobs; ++job) {
      const pid_t child = fork();
      if (child == 0) work(request, parent, board, board.workers[job]);
      if (child < 0) break;
      children_.push_back(child);
    }
    if (children_.empty()) throw std::runtime_error("no process can be started for the runs");
  }
  ~Crew() {
    for (const pid_t child : children_) {
      if (child == 0) continue;
      (void)kill(child, SIGKILL);
      (void)waitpid(child, nullptr, 0);
    }
  }
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  // Takes leave of who has ended; true while somebody works.
  bool look() {
    bool at_work = false;
    for (std::size_t i = 0; i < children_.size(); ++i) {
      if (children_[i] == 0) continue;
      int status = 0;
      if (waitpid(children_[i], &status, WNOHANG) != children_[i]) {
        at_work = true;
        continue;
      }
      children_[i] = 0;
      const bool died = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
      if (died) board_.workers[i].failed = true;
    }
    return at_work;
  }

  [[nodiscard]] std::size_t size() const { return children_.size(); }

 private:
  Board& board_;
  std::vector<pid_t> children_;  // by worker; 0: has ended
};

Progress progress_of(const Board& board, std::size_t workers, double seconds) {
  Progress sum{.seconds = seconds};
  for (std::size_t i = 0; i < workers; ++i) {
    sum.runs += board.workers[i].runs;
    sum.power_cuts += board.workers[i].power_cuts;
  }
  return sum;
}

// The earliest of them: two workers may fail at once.
std::optional<u64> failed_run(const Board& board, std::size_t workers) {
  std::optional<u64> earliest;
  for (std::size_t i = 0; i < workers; ++i) {
    const Worker& worker = board.workers[i];
    if (!worker.failed || worker.run == 0) continue;
    const u64 run_number = worker.run - 1;
    if (!earliest || run_number < *earliest) earliest = run_number;
  }
  return earliest;
}

}  // namespace

Plan BatchRequest::plan(u64 run) const {
  const u64 seed = first_seed + run;
  return {.seed = seed, .profile = profiles[seed % profiles.size()]};
}

BatchResult run_batch(const BatchRequest& request, const std::function<bool()>& interrupted,
                      const std::function<void(const Progress&)>& progress) {
  DMR_ASSERT(request.jobs > 0 && request.jobs <= kMostJobs && !request.profiles.empty());
  const auto begin = std::chrono::steady_clock::now();
  SharedMemory<Board> board;
  Crew crew(request, *board);
  BatchResult result;
  double interrupted_at = 0;
  while (crew.look()) {
    result.seconds = seconds_since(begin);
    if (!result.interrupted && interrupted()) {
      result.interrupted = true;
      interrupted_at = result.seconds;
    }
    if (result.interrupted && result.seconds > interrupted_at + kGrace_s) break;
    const bool is_over =
        request.seconds != 0 && result.seconds >= static_cast<double>(request.seconds);
    const bool has_failed = failed_run(*board, crew.size()).has_value();
    if (result.interrupted || is_over || has_failed) board->stop = true;
    progress(progress_of(*board, crew.size(), result.seconds));
    const timespec tick{.tv_sec = 0, .tv_nsec = kTick_ns};
    (void)nanosleep(&tick, nullptr);
  }
  result.seconds = seconds_since(begin);
  for (std::size_t i = 0; i < crew.size(); ++i) result.totals.add(board->workers[i].totals);
  result.failed_run = failed_run(*board, crew.size());
  return result;
}

}  // namespace dmr::sim

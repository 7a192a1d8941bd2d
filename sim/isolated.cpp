// SPDX-License-Identifier: GPL-2.0-or-later
// The child, what it hands back through shared memory, and what can still be told when it died.
#include "sim/isolated.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <unistd.h>

#include <fmt/format.h>

#include "core/base/assert.h"
#include "sim/shared_memory.h"

namespace dmr::sim {
namespace {

// Handed from the child to its parent.
struct Verdict {
  static constexpr std::size_t kMostText = 2000;
  bool complete;
  Rule rule;
  u32 last_step;
  Totals totals;
  char text[kMostText];
};

void hand_over(const Report& report, Verdict& verdict) {
  verdict.rule = report.violation.rule;
  verdict.last_step = report.last_step;
  verdict.totals = report.totals;
  const std::size_t length = std::min(report.violation.text.size(), Verdict::kMostText - 1);
  std::memcpy(verdict.text, report.violation.text.data(), length);
  verdict.text[length] = '\0';
  verdict.complete = true;
}

[[noreturn]] void play(const Plan& plan, pid_t parent, std::FILE* words, Verdict& verdict) {
  tie_to_parent(parent, kRunLimit_s);
  (void)dup2(fileno(words), STDERR_FILENO);
  // What is traced must be in the file when the run crashes.
  if (plan.trace != nullptr) (void)std::setvbuf(plan.trace, nullptr, _IOLBF, 0);
  hand_over(run(plan), verdict);
  if (plan.trace != nullptr) (void)std::fflush(plan.trace);
  _exit(0);
}

// The first line on the child's stderr: what the assertion was.
std::string first_line(std::FILE* words) {
  char line[Verdict::kMostText] = {};
  if (std::fseek(words, 0, SEEK_SET) != 0) return "";
  if (std::fgets(line, sizeof(line), words) == nullptr) return "";
  std::string text = line;
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

void tell_end(const Plan& plan, const Outcome& outcome) {
  if (plan.trace != nullptr && !outcome.ok()) fmt::print(plan.trace, "{}\n", outcome.summary());
}

}  // namespace

void tie_to_parent(pid_t parent, u32 limit_s) {
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);  // it died before the tie was there
  (void)alarm(limit_s);
}

End end_of_signal(int signal) { return signal == SIGALRM ? End::endless : End::crash; }

std::string Outcome::summary() const {
  switch (end) {
    case End::well:
      return "no rule was broken";
    case End::violation:
      return fmt::format("rule {} is broken: {}", rule_name(rule), text);
    case End::crash:
      return fmt::format("the run crashed: {}", text);
    case End::endless:
      return fmt::format("the run did not end within {} s", kRunLimit_s);
  }
  return "";
}

Outcome run_isolated(const Plan& plan) {
  SharedMemory<Verdict> verdict;
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> words(std::tmpfile(), std::fclose);
  if (words == nullptr) throw std::runtime_error("a temporary file cannot be made");
  const pid_t parent = getpid();
  if (plan.trace != nullptr) (void)std::fflush(plan.trace);
  const pid_t child = fork();
  if (child < 0) throw std::runtime_error("no process can be started for a run");
  if (child == 0) play(plan, parent, words.get(), *verdict);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  Outcome outcome;
  if (WIFSIGNALED(status)) {
    outcome.end = end_of_signal(WTERMSIG(status));
    const std::string said = first_line(words.get());
    outcome.text = fmt::format("signal {} ({}){}{}", WTERMSIG(status), strsignal(WTERMSIG(status)),
                               said.empty() ? "" : "; ", said);
    tell_end(plan, outcome);
    return outcome;
  }
  if (!verdict->complete) {
    outcome.end = End::crash;
    outcome.text =
        fmt::format("it ended with status {}; {}", WEXITSTATUS(status), first_line(words.get()));
    return outcome;
  }
  outcome.end = verdict->rule == Rule::none ? End::well : End::violation;
  outcome.rule = verdict->rule;
  outcome.text = verdict->text;
  outcome.last_step = verdict->last_step;
  outcome.totals = verdict->totals;
  tell_end(plan, outcome);
  return outcome;
}

}  // namespace dmr::sim

// SPDX-License-Identifier: GPL-2.0-or-later
// One test for each rule of the contract. The engine keeps it; with a deliberate bug that breaks it
// the simulator must say so. Each life runs in a child process: a bug may also trip an assertion of
// the engine, which counts as found.
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "core/base/bugs.h"
#include "sim/run.h"

namespace dmr::sim {
namespace {

constexpr u32 kSteps = 250;
constexpr u64 kMostRuns = 60;

enum class Outcome : u8 { kept, broken, asserted };

Outcome live(u64 seed, const Profile& profile) {
  const pid_t child = fork();
  if (child == 0) {
    (void)close(STDERR_FILENO);
    _exit(run(seed, profile, kSteps).ok() ? 0 : 1);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) return Outcome::kept;
  if (!WIFEXITED(status)) return Outcome::asserted;
  return WEXITSTATUS(status) == 0 ? Outcome::kept : Outcome::broken;
}

const Profile& profile_of(const char* name) {
  const Profile* profile = find_profile(name);
  DMR_ASSERT(profile != nullptr);
  return *profile;
}

void expect_kept(const char* name, u64 runs = 8) {
  for (u64 seed = 1; seed <= runs; ++seed) {
    const Report report = run(seed, profile_of(name), kSteps);
    EXPECT_TRUE(report.ok()) << report.text();
  }
}

void expect_found(Bug bug, const char* name) {
  deliberate_bugs[static_cast<u32>(bug)] = true;
  u64 runs = 0;
  Outcome outcome = Outcome::kept;
  while (outcome == Outcome::kept && runs < kMostRuns) outcome = live(++runs, profile_of(name));
  deliberate_bugs[static_cast<u32>(bug)] = false;
  EXPECT_NE(outcome, Outcome::kept) << "bug " << static_cast<u32>(bug) << " went unnoticed in "
                                    << runs << " runs of " << name;
  testing::Test::RecordProperty("runs_until_found", static_cast<int>(runs));
}

TEST(Contract, Rule1NeverWrongData) {
  expect_kept("marks");
  expect_found(Bug::skip_drain, "marks");
}

}  // namespace
}  // namespace dmr::sim

// SPDX-License-Identifier: GPL-2.0-or-later
// Runs in child processes: one that crashes is a finding, many make the same sums in any number of
// processes.
#include "sim/batch.h"

#include <set>
#include <string>

#include <gtest/gtest.h>

#include "sim/figures.h"

namespace dmr::sim {
namespace {

BatchRequest some_runs(u64 runs, u32 jobs) {
  BatchRequest request{.first_seed = 100, .runs = runs, .jobs = jobs};
  for (const Profile& profile : profiles()) request.profiles.push_back(&profile);
  return request;
}

bool never() { return false; }
void nothing(const Progress&) {}

std::string trace_of(const Plan& plan) {
  std::FILE* file = std::tmpfile();
  if (file == nullptr) return "";
  Plan traced = plan;
  traced.trace = file;
  EXPECT_TRUE(run(traced).ok());
  std::rewind(file);
  std::string text;
  for (int c = std::fgetc(file); c != EOF; c = std::fgetc(file)) text += static_cast<char>(c);
  (void)std::fclose(file);
  return text;
}

TEST(Batch, TheSeedDecidesProfileAndRun) {
  const BatchRequest request = some_runs(10, 1);
  const BatchRequest later{.first_seed = 103, .profiles = request.profiles};
  EXPECT_EQ(request.plan(3).seed, 103U);
  EXPECT_EQ(request.plan(3).profile, later.plan(0).profile);
}

TEST(Batch, ProcessesShareTheRunsAndChangeNothing) {
  const BatchResult one = run_batch(some_runs(24, 1), never, nothing);
  const BatchResult three = run_batch(some_runs(24, 3), never, nothing);
  EXPECT_FALSE(one.failed_run.has_value());
  EXPECT_EQ(one.totals.runs, 24U);
  for (const Figure& figure : figures()) {
    EXPECT_EQ(one.totals.*figure.value, three.totals.*figure.value) << figure.key;
  }
}

TEST(Batch, AnInterruptionKeepsWhatWasDone) {
  u64 seen = 0;
  const auto progress = [&](const Progress& now) { seen = now.runs; };
  const BatchResult result = run_batch(some_runs(~u64{0}, 2), [&] { return seen > 3; }, progress);
  EXPECT_TRUE(result.interrupted);
  EXPECT_GT(result.totals.runs, 3U);
}

TEST(Batch, TimeEndsIt) {
  BatchRequest request = some_runs(~u64{0}, 1);
  request.seconds = 1;
  const BatchResult result = run_batch(request, never, nothing);
  EXPECT_FALSE(result.interrupted);
  EXPECT_GT(result.totals.runs, 0U);
}

TEST(Batch, ARunThatCrashesIsNamed) {
  BatchRequest request = some_runs(20, 2);
  request.profiles.assign(20, request.profiles[0]);
  request.profiles[107 % 20] = nullptr;  // whoever uses it dies of it
  const BatchResult result = run_batch(request, never, nothing);
  EXPECT_EQ(result.failed_run, 7U);
  EXPECT_LT(result.totals.runs, 20U);
}

TEST(Isolated, ACrashIsAnOutcomeAndTheCallerLivesOn) {
  const Outcome outcome = run_isolated({.seed = 1});
  EXPECT_EQ(outcome.end, End::crash);
  EXPECT_NE(outcome.text, "");
  EXPECT_TRUE(outcome.same_kind(outcome));
}

TEST(Isolated, ARunCountsAsItDoesWithoutAProcessOfItsOwn) {
  const Plan plan = some_runs(1, 1).plan(4);
  const Outcome outcome = run_isolated(plan);
  EXPECT_TRUE(outcome.ok());
  EXPECT_EQ(outcome.totals.events, run(plan).totals.events);
  EXPECT_EQ(outcome.last_step, kDefaultSteps);
}

TEST(Plan, TheSameSeedGivesTheSameTraceByteForByte) {
  const Plan plan = some_runs(1, 1).plan(6);
  const std::string first = trace_of(plan);
  EXPECT_GT(first.size(), 1000U);
  EXPECT_EQ(first, trace_of(plan));
  EXPECT_NE(first, trace_of(some_runs(1, 1).plan(7)));
}

TEST(Plan, StepsThatAreLeftOutDoNotHappen) {
  const Steps only({5, 6});
  Plan plan = some_runs(1, 1).plan(0);
  const u64 all = run(plan).totals.requests;
  plan.only = &only;
  const Report report = run(plan);
  EXPECT_EQ(report.last_step, 6U);
  EXPECT_LT(report.totals.requests, all);
}

TEST(Figures, NameAllThatIsCounted) {
  std::set<std::string> keys;
  for (const Figure& figure : figures()) keys.insert(figure.key);
  EXPECT_EQ(keys.size(), figures().size());
  EXPECT_EQ(figures().size() * sizeof(u64), sizeof(Totals));
}

}  // namespace
}  // namespace dmr::sim

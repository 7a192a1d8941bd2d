// SPDX-License-Identifier: GPL-2.0-or-later
// With a deliberate bug in the engine, a failing run becomes a few steps that still fail, and a
// command that says which.
#include <string>

#include <gtest/gtest.h>

#include "core/base/bugs.h"
#include "sim/batch.h"
#include "sim/failure.h"

namespace dmr::sim {
namespace {

constexpr u64 kMostShrunkRuns = 200;

class Shrink : public testing::Test {
 protected:
  void TearDown() override { deliberate_bugs[static_cast<u32>(bug_)] = false; }

  // The first run in that profile that fails with the bug.
  void find(Bug bug, const char* profile) {
    bug_ = bug;
    deliberate_bugs[static_cast<u32>(bug)] = true;
    plan_.profile = find_profile(profile);
    for (plan_.seed = 1; plan_.seed <= kMostShrunkRuns; ++plan_.seed) {
      outcome_ = run_isolated(plan_);
      if (!outcome_.ok()) return;
    }
    FAIL() << "the bug was not found";
  }

  Bug bug_ = Bug::lost_mask_dropped;
  Plan plan_;
  Outcome outcome_;
};

bool never() { return false; }

TEST_F(Shrink, AFewStepsAreLeftAndTheyStillFail) {
  find(Bug::zeros_for_unreadable, "clustered");
  const Failure failure = explain(plan_, outcome_, {}, never);
  ASSERT_TRUE(failure.is_repeatable);
  ASSERT_TRUE(failure.steps.has_value());
  EXPECT_LE(failure.steps->list().size(), 20U);
  EXPECT_TRUE(failure.outcome.same_kind(outcome_));
  // As the printed command has it.
  const auto read = Steps::parse(failure.steps->text(), plan_.steps);
  ASSERT_TRUE(read.has_value());
  EXPECT_NE(failure.command().find(failure.steps->text()), std::string::npos);
  Plan again = plan_;
  again.only = &*read;
  EXPECT_TRUE(run_isolated(again).same_kind(outcome_));
}

TEST_F(Shrink, NoStepOfTheShortestFormCanBeLeftOut) {
  find(Bug::zeros_for_unreadable, "clustered");
  const Failure failure = explain(plan_, outcome_, {.attempts = 5000, .seconds = 600}, never);
  ASSERT_TRUE(failure.shortest);
  for (const u32 left_out : failure.steps->list()) {
    std::vector<u32> list = failure.steps->list();
    std::erase(list, left_out);
    const Steps fewer(list);
    Plan plan = plan_;
    plan.only = &fewer;
    EXPECT_FALSE(run_isolated(plan).same_kind(outcome_)) << left_out;
  }
}

TEST_F(Shrink, ItsHistoryEndsWithTheFailure) {
  find(Bug::zeros_for_unreadable, "clustered");
  const Failure failure = explain(plan_, outcome_, {}, never);
  ASSERT_FALSE(failure.history.empty());
  EXPECT_LE(failure.history.size(), Failure::kMostLines);
  EXPECT_EQ(failure.history.back(), failure.outcome.summary());
}

TEST_F(Shrink, ItKeepsItsLimits) {
  find(Bug::zeros_for_unreadable, "clustered");
  const Failure few = explain(plan_, outcome_, {.attempts = 3}, never);
  EXPECT_TRUE(few.is_repeatable);
  EXPECT_FALSE(few.shortest);
  const Shrunk none = shrink(plan_, outcome_, {}, [] { return true; });
  EXPECT_LE(none.attempts, 1U);
}

TEST_F(Shrink, ABatchEndsAtTheFailureAndNamesIt) {
  find(Bug::zeros_for_unreadable, "clustered");
  const BatchRequest request{
      .first_seed = 1, .runs = kMostShrunkRuns, .profiles = {plan_.profile}, .jobs = 1};
  const BatchResult result = run_batch(request, never, [](const Progress&) {});
  EXPECT_EQ(result.failed_run, plan_.seed - 1);
  EXPECT_EQ(result.totals.runs, plan_.seed - 1);
}

}  // namespace
}  // namespace dmr::sim

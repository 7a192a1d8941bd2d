// SPDX-License-Identifier: GPL-2.0-or-later
// The engine as it is keeps the contract where the deliberate bugs are compiled in and switched off.
#include <gtest/gtest.h>

#include "sim/run.h"

namespace dmr::sim {
namespace {

TEST(Contract, HoldsInEveryProfileWithTheBugsSwitchedOff) {
  for (const Profile& profile : profiles()) {
    const Report report = run(1, profile, 100);
    EXPECT_TRUE(report.ok()) << report.text();
  }
}

}  // namespace
}  // namespace dmr::sim

// SPDX-License-Identifier: GPL-2.0-or-later
// What people are told of a scrub: the truth, in few words.
#include "cli/status/scrub_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dmr::cli {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

json with_scrub(const char* state, u64 position, u64 passes, u64 failed = 0, u64 unreadable = 0) {
  return {{"name", "tank"},
          {"writable", true},
          {"volume_sectors", 1000},
          {"scrub",
           {{"state", state},
            {"position", position},
            {"passes", passes},
            {"skipped_sectors", 0},
            {"failed_reads", failed},
            {"unreadable_blocks", unreadable}}}};
}

TEST(ScrubText, ThePhaseIsToldFromTheFigures) {
  EXPECT_EQ(scrub_phase(with_scrub("idle", 0, 0)), ScrubPhase::never);
  EXPECT_EQ(scrub_phase(with_scrub("running", 0, 0)), ScrubPhase::running);
  EXPECT_EQ(scrub_phase(with_scrub("held", 10, 1)), ScrubPhase::held);
  EXPECT_EQ(scrub_phase(with_scrub("paused", 10, 1)), ScrubPhase::paused);
  EXPECT_EQ(scrub_phase(with_scrub("idle", 999, 3)), ScrubPhase::stopped);
  EXPECT_EQ(scrub_phase(with_scrub("idle", 0, 1)), ScrubPhase::stopped);
  EXPECT_EQ(scrub_phase(with_scrub("idle", 1000, 1)), ScrubPhase::ended);
}

TEST(ScrubText, APassIsWholeOnlyAtItsEnd) {
  EXPECT_EQ(scrub_percent(with_scrub("running", 0, 0)), "0 %");
  EXPECT_EQ(scrub_percent(with_scrub("running", 999, 0)), "99 %");
  EXPECT_EQ(scrub_percent(with_scrub("idle", 1000, 1)), "100 %");
}

TEST(ScrubText, FindingsAgreeWithTheirNouns) {
  EXPECT_EQ(scrub_findings(with_scrub("idle", 1000, 1)), "nothing: every block came at once");
  EXPECT_EQ(scrub_findings(with_scrub("paused", 5, 0)), "nothing in what was read");
  EXPECT_EQ(scrub_findings(with_scrub("paused", 5, 0, 1)), "1 block did not come at once");
  EXPECT_EQ(scrub_findings(with_scrub("held", 5, 0, 1)), "1 block did not come at once");
  EXPECT_EQ(scrub_findings(with_scrub("running", 5, 0, 1)),
            "1 block did not come at once, but came in the end");
  EXPECT_EQ(scrub_findings(with_scrub("running", 5, 0, 2, 1)),
            "2 blocks did not come at once, and 1 block could not be read whole");
  json read_only = with_scrub("running", 5, 0, 2, 2);
  read_only["writable"] = false;
  EXPECT_THAT(scrub_findings(read_only), HasSubstr("nothing of it is recorded"));
}

TEST(ScrubText, TheSummaryIsOneCalmLine) {
  EXPECT_EQ(scrub_summary(with_scrub("idle", 0, 0)), "none since the volume was started");
  EXPECT_EQ(scrub_summary(with_scrub("running", 355, 0, 3, 2)),
            "running, 35 % done; 2 new unreadable blocks so far");
  EXPECT_EQ(scrub_summary(with_scrub("held", 355, 0)), "held at 35 % until the volume is resumed");
  EXPECT_EQ(scrub_summary(with_scrub("paused", 355, 0)),
            "paused at 35 %; `dm-remap scrub tank start` goes on");
  EXPECT_EQ(scrub_summary(with_scrub("idle", 355, 0)),
            "stopped at 35 %; no new unreadable block up to there");
  EXPECT_EQ(scrub_summary(with_scrub("idle", 1000, 1, 1, 1)),
            "1 pass since the start; the last found 1 new unreadable block");
}

TEST(ScrubText, DurationsAreRounded) {
  EXPECT_EQ(duration_text(0), "0 s");
  EXPECT_EQ(duration_text(119), "119 s");
  EXPECT_EQ(duration_text(120), "2 min");
  EXPECT_EQ(duration_text(7199), "119 min");
  EXPECT_EQ(duration_text(7260), "2 h 1 min");
  EXPECT_EQ(duration_text(u64{3} * 86400 + 5), "3 days");
}

}  // namespace
}  // namespace dmr::cli

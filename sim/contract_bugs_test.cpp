// SPDX-License-Identifier: GPL-2.0-or-later
// Every deliberate bug is found: by the lives of a profile, within so many of them, or by an
// enumeration. With --gtest_filter='*DeliberateBug*' this prints the table of docs/reliability.md.
#include <cstdio>
#include <ostream>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "sim/bug_hunt.h"
#include "sim/enumerate.h"

namespace dmr::sim {
namespace {

// Finds it in several times as many lives as it takes now.
constexpr u64 kMostHuntedRuns = 1000;

using Hunt = Enumeration (*)();
struct Quarry {
  Bug bug;
  const char* name;
  const char* where;    // a profile, or what the enumeration is of
  Hunt hunt = nullptr;  // of an enumeration
  u64 missed = 0;       // so many lives, the first ones, are known to miss it, and are left out
  friend void PrintTo(const Quarry& quarry, std::ostream* out) { *out << quarry.name; }
};

Enumeration long_journal() { return enumerate_long_journal(7); }
Enumeration bad_spare_blocks() { return enumerate_bad_spare_blocks(7); }
Enumeration refused_flushes() { return enumerate_refused_flushes(7, 1, 16); }
Enumeration failing_openings() { return enumerate_failing_openings(8, 1, 13); }
Enumeration scrubs() { return enumerate_scrubs(7, 1, 1); }
Enumeration losses_of_three() { return enumerate_losses(7, 3, 3); }
Enumeration losses_of_one() { return enumerate_losses(7, 1, 3); }
Enumeration restarts_after_refusals() { return enumerate_restarts_after_refusals(8, 1); }
Enumeration flipped_bits() { return enumerate_bad_metadata(7, 1, BadBlock::bit_flip); }
Enumeration torn_metadata() { return enumerate_torn_metadata(7, 1); }

#define DMR_QUARRY(bug, ...) \
  Quarry { Bug::bug, #bug, __VA_ARGS__ }
constexpr Quarry kQuarries[] = {
    DMR_QUARRY(skip_spare_flush, "clustered"),
    DMR_QUARRY(publish_before_commit, "no-metadata"),
    DMR_QUARRY(skip_commit, "clustered"),
    DMR_QUARRY(no_second_lookup, "crowded"),
    DMR_QUARRY(skip_drain, "marks"),
    DMR_QUARRY(hold_too_late, "bad-sectors"),
    DMR_QUARRY(reuse_spare_early, "full-and-refused"),
    DMR_QUARRY(shared_spare_block, "clustered"),
    DMR_QUARRY(lost_mask_dropped, "clustered"),
    DMR_QUARRY(lost_not_cleared, "clustered"),
    DMR_QUARRY(neighbours_lost, "clustered"),
    DMR_QUARRY(zeros_for_unreadable, "clustered"),
    DMR_QUARRY(fua_dropped_on_retry, "crowded"),
    DMR_QUARRY(error_class_ignored, "flaky-transport"),
    DMR_QUARRY(no_confirmation, "flaky-transport"),
    DMR_QUARRY(return_before_flush, "marks"),
    DMR_QUARRY(skip_flush_of_spare, "marks"),
    DMR_QUARRY(flush_error_swallowed, "flaky-transport"),
    DMR_QUARRY(first_sector_route, "marks"),
    DMR_QUARRY(request_lost, "marks"),
    DMR_QUARRY(salvage_over_newer, "crowded"),
    DMR_QUARRY(stays_in_epoch, "crowded"),
    DMR_QUARRY(rest_lost_by_outage, "flaky-transport"),
    DMR_QUARRY(refused_block_reused, "late-writes"),
    DMR_QUARRY(late_home_reused, "late-writes"),
    DMR_QUARRY(healed_before_flush, "rewrite", nullptr, 1800),
    DMR_QUARRY(not_read_back, "marks"),
    DMR_QUARRY(flush_covers_later, "power-cuts"),
    DMR_QUARRY(fua_flush_swallowed, "refused-flushes"),
    DMR_QUARRY(healthy_detour, "quiet"),
    DMR_QUARRY(own_flush_uncounted, "refused flushes", refused_flushes),
    DMR_QUARRY(told_by_another_flush, "refused flushes", refused_flushes),
    DMR_QUARRY(scrub_passes_over, "cuts and failures of a scrub", scrubs),
    DMR_QUARRY(checkpoint_flush_unheard, "refused-flushes"),
    DMR_QUARRY(newest_not_distrusted, "failing openings", failing_openings),
    DMR_QUARRY(newest_not_renewed, "restarts after refusals", restarts_after_refusals),
    DMR_QUARRY(body_lost_unseen, "refused flushes", refused_flushes),
    DMR_QUARRY(single_journal_copy, "bits flipped in each metadata block", flipped_bits),
    DMR_QUARRY(journal_without_fua, "marks"),
    DMR_QUARRY(checkpoint_over_newest, "long journals", long_journal),
    DMR_QUARRY(checkpoint_header_first, "torn writes of metadata", torn_metadata),
    DMR_QUARRY(journal_past_older, "long journals", long_journal),
    DMR_QUARRY(replay_one_short, "clustered"),
    DMR_QUARRY(damage_ignored, "long journals", long_journal),
    DMR_QUARRY(zombie_commit, "full-and-refused"),
    DMR_QUARRY(bad_spare_forgotten, "spare blocks that refuse data", bad_spare_blocks),
    DMR_QUARRY(second_copy_unread, "bits flipped in each metadata block", flipped_bits),
    DMR_QUARRY(lagging_taken_for_whole, "losses after an opening", losses_of_three),
    DMR_QUARRY(passed_over_forgotten, "losses after an opening", losses_of_one),
    DMR_QUARRY(lagging_not_refreshed, "absent-spare"),
};
#undef DMR_QUARRY

class DeliberateBug : public testing::TestWithParam<Quarry> {};

// A row of the table: what found it, and how many lives or cases that took.
void tell(const Quarry& quarry, u64 count) {
  std::printf("| `%s` | %s `%s` | %llu |\n", quarry.name,
              quarry.hunt != nullptr ? "enumeration" : "profile", quarry.where,
              static_cast<unsigned long long>(count));
  (void)std::fflush(stdout);  // the child of an enumeration ends without
}

TEST_P(DeliberateBug, IsFound) {
  const Quarry& quarry = GetParam();
  if (quarry.hunt != nullptr) {
    (void)std::fflush(stdout);
    EXPECT_FALSE(goes_well_with(quarry.bug, [&] {
      const Enumeration all = quarry.hunt();
      tell(quarry, all.cases);
      return all.ok();
    }));
    return;
  }
  const Profile* profile = find_profile(quarry.where);
  ASSERT_NE(profile, nullptr);
  u64 runs = quarry.missed + 1;
  const u64 most = quarry.missed + kMostHuntedRuns;
  while (runs <= most && goes_well_with(quarry.bug, [&] { return run(runs, *profile).ok(); })) {
    ++runs;
  }
  EXPECT_LE(runs, most) << quarry.name << " went unnoticed in " << quarry.where;
  EXPECT_TRUE(run(runs, *profile).ok()) << "what was found there is no deliberate bug";
  tell(quarry, runs);
}

INSTANTIATE_TEST_SUITE_P(Sim, DeliberateBug, testing::ValuesIn(kQuarries),
                         [](const auto& test) { return std::string(test.param.name); });

// The others have tests of their own: members that part ways (contract_members_test.cpp) or are
// missing (contract_test.cpp).
TEST(DeliberateBugs, AreAllHunted) {
  std::set<Bug> hunted = {Bug::stale_member_alone, Bug::skipped_member_live,
                          Bug::divergence_ignored};
  for (const Quarry& quarry : kQuarries) hunted.insert(quarry.bug);
  EXPECT_EQ(hunted.size(), kBugs);
}

// With no bug switched on, none of the hunters cries out.
TEST(DeliberateBugs, WithoutThemNothingIsFound) {
  std::set<std::string> done;
  for (const Quarry& quarry : kQuarries) {
    if (!done.insert(quarry.where).second) continue;
    if (quarry.hunt != nullptr) {
      const Enumeration all = quarry.hunt();
      EXPECT_TRUE(all.ok()) << all.text();
      continue;
    }
    for (u64 seed = 1; seed <= 10; ++seed) {
      const Report report = run(seed, *find_profile(quarry.where));
      EXPECT_TRUE(report.ok()) << report.text();
    }
  }
}

}  // namespace
}  // namespace dmr::sim

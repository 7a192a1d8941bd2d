// SPDX-License-Identifier: GPL-2.0-or-later
// Members that part ways: what the others have recorded keeps a stale one from being taken for the
// newest. Each test fails with the deliberate bug that breaks it.
#include <gtest/gtest.h>

#include "core/base/bugs.h"
#include "sim/bug_hunt.h"
#include "sim/life.h"

namespace dmr::sim {
namespace {

// The second spare misses a commit. Without the first one it can only be opened by force; then the
// two have parted, and must not be opened together.
bool a_member_that_missed_a_commit_is_out() {
  Life life(11, 2);
  Machine& m = life.machine;
  m.host.on_metadata_write = [](const DeviceIo& io) {
    MetadataFate fate;
    if (io.member == 2) fate.kind = MetadataFate::Kind::refused_clean;
    return fate;
  };
  if (!life.redirect(0, 3)) return false;
  m.host.on_metadata_write = nullptr;
  m.power_cut();
  m.absent = 1U << 1U;
  if (m.open(false, true) != Status::ok || m.close() != Status::ok) return false;
  m.absent = 0;
  return m.open() == Status::divergent;
}

// Each of two spares is opened alone and changed.
bool members_that_were_changed_apart_are_refused() {
  Life life(12, 2);
  Machine& m = life.machine;
  if (m.close() != Status::ok) return false;
  for (u32 away = 1; away <= 2; ++away) {
    m.absent = 1U << away;
    if (m.open(false, true) != Status::ok || !life.redirect(4 * away, 4 * away + 2)) return false;
    if (m.close() != Status::ok) return false;
  }
  m.absent = 0;
  return m.open() == Status::divergent;
}

TEST(Members, OneThatMissedACommitIsRecordedAsOut) {
  EXPECT_TRUE(a_member_that_missed_a_commit_is_out());
  EXPECT_FALSE(goes_well_with(Bug::skipped_member_live, a_member_that_missed_a_commit_is_out));
}

TEST(Members, ThoseThatWereChangedApartAreRefused) {
  EXPECT_TRUE(members_that_were_changed_apart_are_refused());
  EXPECT_FALSE(
      goes_well_with(Bug::divergence_ignored, members_that_were_changed_apart_are_refused));
}

}  // namespace
}  // namespace dmr::sim

// SPDX-License-Identifier: GPL-2.0-or-later
// Disks that refuse I/O: each I/O of a workload fails once, or from then on; copies that fail alone
// and together; commits of which nobody knows whether they are on the disk.
#include <ostream>

#include <gtest/gtest.h>

#include "core/testing/store_bench.h"

namespace dmr {
namespace {

using format::MemberState;
using testing::MapModel;
using testing::MemoryDisks;
using testing::StoreBench;

using Fate = MemoryDisks::Fate;

// Writes to this place fail; `is_stored` tells whether they arrive all the same.
auto failing_writes(Member member, Sector begin, u64 sectors, bool is_stored = false) {
  return [=](const DeviceIo& io) {
    const bool hit = io.op == IoOp::write && io.member == member && io.sector < begin + sectors &&
                     begin < io.sector + io.sectors;
    return Fate{hit ? IoStatus::medium : IoStatus::ok, is_stored};
  };
}

auto failing_member(Member member) {
  return [=](const DeviceIo& io) {
    return Fate{io.member == member && io.op != IoOp::read ? IoStatus::offline : IoStatus::ok};
  };
}

struct Way {
  bool is_for_ever;  // from the n-th I/O on, on that member; else the n-th and nothing else
  bool is_stored;    // what fails is on the disk all the same
  friend void PrintTo(const Way& way, std::ostream* out) {
    *out << (way.is_for_ever ? "for ever" : "once") << (way.is_stored ? ", stored" : "");
  }
};

class NthFault : public ::testing::TestWithParam<std::tuple<u32, Way>> {
 protected:
  struct Outcome {
    bool finished = false;
    MapModel::Map acknowledged;
    MapModel::Map last;  // acknowledged, and the commit that was under way when it ended
  };

  // Opens the set and works as a volume does, until the end or until it would turn read-only.
  static Outcome work(StoreBench& bench, const MapModel::Map& before) {
    Outcome outcome;
    outcome.acknowledged = outcome.last = before;
    LoadRequest request = bench.load_request();
    request.allow_degraded = true;
    if (bench.load(request) != Status::ok) return outcome;
    EXPECT_EQ(bench.model.map, before);
    if (bench.begin() != Status::ok) return outcome;
    for (u64 i = 0; i < 6; ++i) {
      outcome.last[10 + i] = 7;
      const Result<CommitResult> result = bench.commit(10 + i, 7);
      if (!result) return outcome;
      if (*result == CommitResult::unknown) {
        if (bench.cancel() != Status::ok) return outcome;
        outcome.last = outcome.acknowledged;
        continue;
      }
      if (*result == CommitResult::single && bench.checkpoint() != Status::ok) return outcome;
      outcome.acknowledged = outcome.last;
      if (i % 3 == 2 && bench.checkpoint() != Status::ok) return outcome;
    }
    outcome.finished = true;
    return outcome;
  }

  static void expect_state(StoreBench& bench, const Outcome& outcome, u64 n) {
    bench.restart();
    ASSERT_EQ(bench.load(), Status::ok) << "fault at " << n;
    if (outcome.finished) {
      ASSERT_EQ(bench.model.map, outcome.acknowledged) << "fault at " << n;
    } else {
      ASSERT_TRUE(bench.model.map == outcome.acknowledged || bench.model.map == outcome.last)
          << "fault at " << n;
    }
    const MapModel::Map loaded = bench.model.map;
    ASSERT_EQ(bench.begin(), Status::ok) << "fault at " << n;
    ASSERT_EQ(bench.load(), Status::ok);
    ASSERT_EQ(bench.model.map, loaded) << "fault at " << n;
    ASSERT_TRUE(bench.findings.all.empty()) << "fault at " << n;
  }
};

TEST_P(NthFault, NothingAcknowledgedIsLost) {
  const auto [spares, way] = GetParam();
  StoreBench bench(spares);
  ASSERT_EQ(bench.make(), Status::ok);
  ASSERT_TRUE(bench.commit(1, 1, 40));
  ASSERT_EQ(bench.checkpoint(), Status::ok);
  ASSERT_TRUE(bench.commit(2, 2, 5));
  const MapModel::Map before = bench.model.map;
  bench.restart();
  const std::vector<MemoryDisks::Image> images = bench.disks.durable();
  u64 finished = 0;
  for (u64 n = 0;; ++n) {
    ASSERT_LT(n, 1000U);
    bench.disks.restore(images);
    u64 seen = 0;
    Member victim = kMain;
    bench.disks.fault = [&, copy = way](const DeviceIo& io) {
      if (seen++ == n) victim = io.member;
      const bool hit = copy.is_for_ever ? victim == io.member : seen == n + 1;
      return Fate{hit && io.op != IoOp::read ? IoStatus::medium : IoStatus::ok, copy.is_stored};
    };
    const Outcome outcome = work(bench, before);
    bench.disks.fault = nullptr;
    if (outcome.finished) ++finished;
    expect_state(bench, outcome, n);
    if (HasFatalFailure()) return;
    if (victim == kMain) break;  // the workload has no n-th I/O
    bench.restart();
  }
  EXPECT_GT(finished, 0U);
}

// A read that fails costs a copy and no more, unless it may hide the end of the journal.
TEST_P(NthFault, ReadThatFailsGivesNoWrongState) {
  const auto [spares, way] = GetParam();
  StoreBench bench(spares);
  ASSERT_EQ(bench.make(), Status::ok);
  for (u64 i = 0; i < 4; ++i) ASSERT_TRUE(bench.commit(i, 1 + i, 5));
  const MapModel::Map before = bench.model.map;
  bool was_hit = true;
  for (u64 n = 0; was_hit; ++n) {
    bench.restart();
    u64 seen = 0;
    bench.disks.fault = [&](const DeviceIo& io) {
      const bool hit = seen++ == n && io.op == IoOp::read;
      return Fate{hit ? IoStatus::timeout : IoStatus::ok};
    };
    const Status status = bench.load();
    was_hit = seen > n;
    if (status == Status::ok) {
      ASSERT_EQ(bench.model.map, before);
    } else {
      ASSERT_EQ(status, Status::io_error);
    }
  }
  bench.disks.fault = nullptr;
}

INSTANTIATE_TEST_SUITE_P(All, NthFault,
                         ::testing::Combine(::testing::Values(1U, 2U, 3U),
                                            ::testing::Values(Way{false, false}, Way{false, true},
                                                              Way{true, false}, Way{true, true})));

TEST(Fault, WriteThatFailsOnceIsTriedAgain) {
  StoreBench bench;
  ASSERT_EQ(bench.make(), Status::ok);
  bool failed = false;
  bench.disks.fault = [&](const DeviceIo&) {
    return Fate{std::exchange(failed, true) ? IoStatus::ok : IoStatus::timeout};
  };
  EXPECT_EQ(*bench.commit(1, 1), CommitResult::durable);
}

TEST(Fault, AloneOneCopyIsSingleAndNoneIsUnknown) {
  StoreBench bench;
  ASSERT_EQ(bench.make(), Status::ok);
  const SpareLayout layout = bench.store->layout(1);
  bench.disks.fault = failing_writes(1, layout.journal_slot(1, 1), kMetaSectors);
  EXPECT_EQ(*bench.commit(1, 1), CommitResult::single);
  EXPECT_EQ(bench.store->counters().commits_unknown, 0U);
  bench.disks.fault = [](const DeviceIo& io) {
    return Fate{io.op == IoOp::write ? IoStatus::medium : IoStatus::ok};
  };
  EXPECT_EQ(*bench.commit(2, 2), CommitResult::unknown);
  EXPECT_TRUE(bench.store->unknown_pending());
  EXPECT_EQ(bench.store->counters().commits_unknown, 1U);
  EXPECT_EQ(bench.cancel(), Status::io_error);
  EXPECT_TRUE(bench.store->unknown_pending());
  bench.disks.fault = nullptr;
  EXPECT_FALSE(bench.store->should_checkpoint());  // nothing else before it is settled
  EXPECT_EQ(bench.checkpoint(), Status::read_only);
  EXPECT_EQ(bench.commit(4, 4).status(), Status::read_only);
  EXPECT_EQ(bench.cancel(), Status::ok);
  EXPECT_FALSE(bench.store->unknown_pending());
  EXPECT_EQ(*bench.commit(3, 3), CommitResult::durable);
  const MapModel::Map expected = {{1, 1}, {3, 3}};
  EXPECT_EQ(bench.model.map, expected);
  bench.restart();
  ASSERT_EQ(bench.load(), Status::ok);
  EXPECT_EQ(bench.model.map, expected);
}

TEST(Fault, BadSlotInAreaZeroGoesToAreaOneWithoutLosingTheMember) {
  StoreBench bench(2);
  ASSERT_EQ(bench.make(), Status::ok);
  const SpareLayout layout = bench.store->layout(1);
  bench.disks.fault = failing_writes(1, layout.journal_slot(0, 1), kMetaSectors);
  EXPECT_EQ(*bench.commit(1, 1), CommitResult::durable);
  EXPECT_EQ(bench.store->state(1), MemberState::live);
  bench.disks.fault = nullptr;
  const MapModel::Map expected = bench.model.map;
  bench.restart();
  LoadRequest request = bench.load_request();
  request.device[2].present = false;
  request.allow_degraded = true;
  ASSERT_EQ(bench.load(request), Status::ok);
  EXPECT_EQ(bench.model.map, expected);
}

TEST(Fault, MemberThatRefusesBothAreasIsRetiredBeforeTheCommitCounts) {
  StoreBench bench(3);
  ASSERT_EQ(bench.make(), Status::ok);
  const u64 generation = bench.store->superblock().membership.generation;
  bench.disks.fault = failing_member(2);
  EXPECT_EQ(*bench.commit(1, 1), CommitResult::durable);
  EXPECT_EQ(bench.store->state(2), MemberState::failed);
  EXPECT_EQ(bench.store->superblock().membership.generation, generation + 1);
  EXPECT_TRUE(bench.store->should_checkpoint());
  // The next goes to the others only, and the last of them writes twice.
  bench.disks.fault = [](const DeviceIo& io) {
    return Fate{io.member != 1 && io.op != IoOp::read ? IoStatus::offline : IoStatus::ok};
  };
  EXPECT_EQ(*bench.commit(2, 2), CommitResult::durable);
  EXPECT_EQ(bench.store->state(3), MemberState::failed);
  bench.disks.fault = nullptr;
  const MapModel::Map expected = bench.model.map;
  bench.restart();
  ASSERT_EQ(bench.load(), Status::ok);
  EXPECT_EQ(bench.model.map, expected);
  EXPECT_EQ(bench.store->state(2), MemberState::failed);
  EXPECT_EQ(bench.store->state(3), MemberState::failed);
  const SpareLayout layout = bench.store->layout(1);
  for (u8 area = 0; area < kAreas; ++area) {  // either copy of the last block is enough
    bench.disks.bytes(1)[layout.journal_slot(area, 2).value * kSectorBytes + 80] ^= std::byte{4};
    ASSERT_EQ(bench.load(), Status::ok);
    EXPECT_EQ(bench.model.map, expected);
    bench.disks.bytes(1)[layout.journal_slot(area, 2).value * kSectorBytes + 80] ^= std::byte{4};
  }
}

TEST(Fault, AllMembersRefusingIsUnknownAndRetiresNobody) {
  StoreBench bench(2);
  ASSERT_EQ(bench.make(), Status::ok);
  bench.disks.fault = [](const DeviceIo& io) {
    return Fate{io.op == IoOp::write ? IoStatus::transport : IoStatus::ok};
  };
  EXPECT_EQ(*bench.commit(1, 1), CommitResult::unknown);
  EXPECT_EQ(bench.store->state(1), MemberState::live);
  EXPECT_EQ(bench.store->state(2), MemberState::live);
}

// The survivor has the block, but cannot record that the other one has not.
TEST(Fault, CommitDoesNotCountWhenTheRetirementCannotBeRecorded) {
  StoreBench bench(2);
  ASSERT_EQ(bench.make(), Status::ok);
  const SpareLayout layout = bench.store->layout(1);
  bench.disks.fault = [&](const DeviceIo& io) {
    bool hit = io.op == IoOp::write && io.member == 2;
    for (const Sector copy : layout.superblock) hit = hit || io.sector == copy;
    return Fate{hit ? IoStatus::medium : IoStatus::ok};
  };
  EXPECT_EQ(*bench.commit(1, 1), CommitResult::unknown);
  EXPECT_EQ(bench.store->state(2), MemberState::live);
  bench.disks.fault = nullptr;
  ASSERT_EQ(bench.cancel(), Status::ok);
  ASSERT_EQ(*bench.commit(2, 2), CommitResult::durable);
  const MapModel::Map expected = {{2, 2}};
  bench.restart();
  ASSERT_EQ(bench.load(), Status::ok);
  EXPECT_EQ(bench.model.map, expected);
}

// On the disk though the write failed: not before the cancellation, not after it, not when either
// checkpoint is damaged, and not behind commits that came later.
TEST(Fault, CancelledCommitIsNeverReplayed) {
  for (const u32 spares : {1U, 2U}) {
    StoreBench bench(spares);
    ASSERT_EQ(bench.make(), Status::ok);
    ASSERT_TRUE(bench.commit(1, 1));
    bench.disks.fault = [](const DeviceIo& io) {
      return Fate{io.op == IoOp::write ? IoStatus::timeout : IoStatus::ok, true};
    };
    ASSERT_EQ(*bench.commit(2, 99), CommitResult::unknown);
    bench.disks.fault = nullptr;
    ASSERT_EQ(bench.cancel(), Status::ok);
    const SpareLayout layout = bench.store->layout(1);
    for (u64 later = 0; later < 3; ++later) {
      const MapModel::Map expected = bench.model.map;
      const std::vector<MemoryDisks::Image> images = bench.disks.durable();
      StoreBench after(spares);
      for (u8 bad = 0; bad <= kAreas; ++bad) {
        after.disks.restore(images);
        for (Member m = 1; bad < kAreas && m <= spares; ++m) {
          after.disks.bytes(m)[layout.checkpoint_block(bad, 0).value * kSectorBytes + 70] ^=
              std::byte{1};
        }
        ASSERT_EQ(after.load(), Status::ok);
        EXPECT_EQ(after.model.map, expected);
        ASSERT_EQ(after.begin(), Status::ok);
        ASSERT_TRUE(after.commit(8, 8));
        const MapModel::Map more = after.model.map;
        after.restart();
        ASSERT_EQ(after.load(), Status::ok);
        EXPECT_EQ(after.model.map, more);
      }
      ASSERT_TRUE(bench.commit(20 + later, 1 + later));
    }
  }
}

// However it may have come there: a sequence that two openings used counts as the later wrote it.
TEST(Fault, BlockOfAnEarlierOpeningDoesNotOutrankALaterOne) {
  StoreBench bench(2);
  ASSERT_EQ(bench.make(), Status::ok);
  const std::size_t slot = bench.store->layout(1).journal_slot(0, 1).value * kSectorBytes;
  const std::vector<MemoryDisks::Image> images = bench.disks.durable();
  ASSERT_TRUE(bench.commit(1, 99));
  const MemoryDisks::Image earlier = bench.disks.bytes(1);
  bench.disks.restore(images);
  bench.restart();
  ASSERT_EQ(bench.load(), Status::ok);
  ASSERT_EQ(bench.begin(), Status::ok);
  ASSERT_TRUE(bench.commit(2, 2));
  const MapModel::Map expected = bench.model.map;
  std::memcpy(bench.disks.bytes(1).data() + slot, earlier.data() + slot, kMetaBytes);
  bench.restart();
  ASSERT_EQ(bench.load(), Status::ok);
  EXPECT_EQ(bench.model.map, expected);
}

// Neither readable nor writable at one start, a block that nobody acknowledged can be read again at
// the next: its mapping would undo what was written to main meanwhile.
TEST(Fault, BlockThatWasUnreadableDoesNotComeBackInItsOwnPlace) {
  StoreBench bench(2);
  ASSERT_EQ(bench.make(), Status::ok);
  const SpareLayout layout = bench.store->layout(1);
  MemoryDisks::Image never_seen;
  bench.disks.before_completion = [&] { never_seen = bench.disks.bytes(2); };
  ASSERT_TRUE(bench.commit(1, 99));
  bench.disks.before_completion = nullptr;
  bench.disks.bytes(2) = never_seen;
  bench.restart();
  bench.disks.fault = [&](const DeviceIo& io) {
    const Sector slot = layout.journal_slot(0, 1);
    const bool hit = io.member == 1 && io.sector <= slot && slot < io.sector + io.sectors;
    return Fate{hit ? IoStatus::medium : IoStatus::ok};
  };
  ASSERT_EQ(bench.load(), Status::ok);
  ASSERT_EQ(bench.begin(), Status::ok);
  EXPECT_TRUE(bench.model.map.empty());
  bench.disks.fault = nullptr;
  for (u8 bad = 0; bad <= kAreas; ++bad) {  // whichever checkpoint is read
    const std::vector<MemoryDisks::Image> images = bench.disks.durable();
    for (Member m = 1; bad < kAreas && m <= 2; ++m) {
      bench.disks.bytes(m)[layout.checkpoint_block(bad, 0).value * kSectorBytes + 70] ^=
          std::byte{1};
    }
    bench.restart();
    ASSERT_EQ(bench.load(), Status::ok);
    EXPECT_TRUE(bench.model.map.empty());
    bench.disks.restore(images);
  }
}

TEST(Fault, StartTellsOfAMemberThatItRetires) {
  StoreBench bench(2);
  ASSERT_EQ(bench.make(), Status::ok);
  bench.restart();
  ASSERT_EQ(bench.load(), Status::ok);
  bench.disks.fault = failing_member(2);
  ASSERT_EQ(bench.begin(), Status::ok);
  EXPECT_EQ(bench.store->state(2), MemberState::failed);
  ASSERT_EQ(bench.disks.events.size(), 1U);
  EXPECT_EQ(bench.disks.events[0].kind, EventKind::member_failed);
  EXPECT_EQ(bench.disks.events[0].member, 2);
}

TEST(Fault, MemberThatCannotBeBroughtUpToDateStaysOut) {
  StoreBench bench(2);
  ASSERT_EQ(bench.make(), Status::ok);
  const SpareLayout layout = bench.store->layout(2);
  bench.restart();
  LoadRequest request = bench.load_request();
  request.device[2].present = false;
  request.allow_degraded = true;
  ASSERT_EQ(bench.load(request), Status::ok);
  ASSERT_EQ(bench.begin(), Status::ok);
  ASSERT_TRUE(bench.commit(1, 1));
  const MapModel::Map expected = bench.model.map;
  const std::pair<Sector, MemberState> places[] = {
      {layout.superblock[0], MemberState::live},  // two copies are enough
      {layout.journal_slot(1, 7), MemberState::missing},
      {layout.checkpoint_block(1, 0), MemberState::missing}};
  const std::vector<MemoryDisks::Image> images = bench.disks.durable();
  for (const auto& [place, state] : places) {
    bench.disks.restore(images);
    bench.restart();
    ASSERT_EQ(bench.load(), Status::ok);
    bench.disks.fault = failing_writes(2, place, kMetaSectors);
    ASSERT_EQ(bench.begin(), Status::ok);
    EXPECT_EQ(bench.store->state(2), state);
    bench.disks.fault = nullptr;
    bench.restart();
    ASSERT_EQ(bench.load(), Status::ok);
    EXPECT_EQ(bench.model.map, expected);
    ASSERT_EQ(bench.begin(), Status::ok);
    EXPECT_EQ(bench.store->state(2), MemberState::live);
  }
}

TEST(Fault, MemberThatCannotTakeACheckpointIsRetired) {
  StoreBench bench(2);
  ASSERT_EQ(bench.make(), Status::ok);
  ASSERT_TRUE(bench.commit(1, 1));
  bench.disks.fault = [](const DeviceIo& io) {
    return Fate{io.op == IoOp::flush && io.member == 1 ? IoStatus::medium : IoStatus::ok};
  };
  ASSERT_EQ(bench.checkpoint(), Status::ok);
  EXPECT_EQ(bench.store->state(1), MemberState::failed);
  EXPECT_EQ(bench.store->state(2), MemberState::live);
}

TEST(Fault, FailedCheckpointOfTheOnlySpareLeavesTheSetGood) {
  StoreBench bench;
  ASSERT_EQ(bench.make(), Status::ok);
  ASSERT_TRUE(bench.commit(1, 1));
  const SpareLayout layout = bench.store->layout(1);
  for (const bool is_stored : {false, true}) {
    for (u8 area = 0; area < kAreas; ++area) {
      bench.disks.fault = failing_writes(1, layout.checkpoint_block(area, 0),
                                         layout.checkpoint_blocks * kMetaSectors, is_stored);
      (void)bench.checkpoint();
    }
  }
  bench.disks.fault = nullptr;
  const MapModel::Map expected = bench.model.map;
  bench.restart();
  ASSERT_EQ(bench.load(), Status::ok);
  EXPECT_EQ(bench.model.map, expected);
}

TEST(Fault, LastGoodSuperblockCopyIsNeverOverwritten) {
  StoreBench bench;
  ASSERT_EQ(bench.make(), Status::ok);
  const SpareLayout layout = bench.store->layout(1);
  bench.restart();
  for (const u32 copy : {0U, 2U}) {
    bench.disks.bytes(1)[layout.superblock[copy].value * kSectorBytes + 9] ^= std::byte{1};
  }
  ASSERT_EQ(bench.load(), Status::ok);
  bool was_written = false;
  bench.disks.fault = [&](const DeviceIo& io) {
    was_written = was_written || (io.op == IoOp::write && io.sector == layout.superblock[1]);
    const bool hit = io.sector == layout.superblock[0] || io.sector == layout.superblock[2];
    return Fate{hit ? IoStatus::medium : IoStatus::ok};
  };
  EXPECT_EQ(bench.begin(), Status::io_error);
  EXPECT_FALSE(was_written);
  bench.disks.fault = nullptr;
  EXPECT_EQ(bench.begin(), Status::ok);
}

}  // namespace
}  // namespace dmr

// SPDX-License-Identifier: GPL-2.0-or-later
// The metadata store on healthy disks: what was committed is there after the next load, through
// checkpoints and many rounds of the journal.
#include "core/log/store.h"

#include <gtest/gtest.h>

#include "core/testing/store_bench.h"

namespace dmr {
namespace {

using testing::MapModel;
using testing::MemoryDisks;
using testing::StoreBench;

void expect_same_after_load(StoreBench& bench) {
  const MapModel::Map expected = bench.model.map;
  bench.restart();
  ASSERT_EQ(bench.load(), Status::ok);
  EXPECT_EQ(bench.model.map, expected);
  EXPECT_TRUE(bench.findings.all.empty());
  EXPECT_FALSE(bench.model.out_of_order);
}

TEST(Store, NewSetLoadsEmpty) {
  for (u32 spares = 1; spares <= kMaxSpares; ++spares) {
    StoreBench bench(spares);
    ASSERT_EQ(bench.format(), Status::ok);
    ASSERT_EQ(bench.load(), Status::ok);
    EXPECT_TRUE(bench.model.map.empty());
    EXPECT_TRUE(bench.findings.all.empty());
    EXPECT_EQ(bench.store->members(), spares + 1);
    EXPECT_TRUE(bench.store->writable_allowed());
    EXPECT_EQ(bench.store->geometry().volume_sectors, StoreBench::kMainSectors);
  }
}

TEST(Store, LoadWritesNothing) {
  StoreBench bench(2);
  ASSERT_EQ(bench.make(), Status::ok);
  ASSERT_TRUE(bench.commit_as_volume(1, 2));
  bench.restart();
  const u64 writes = bench.disks.writes;
  ASSERT_EQ(bench.load(), Status::ok);
  EXPECT_EQ(bench.disks.writes, writes);
}

TEST(Store, FormatRefusesWhatNoSetCanBe) {
  StoreBench bench(2);
  const auto refused = [&](auto change) {
    FormatRequest request = bench.format_request();
    change(request);
    const u64 writes = bench.disks.writes;
    const Status status = bench.run(bench.store->format(bench.frames, request));
    EXPECT_EQ(bench.disks.writes, writes);
    return status;
  };
  EXPECT_EQ(refused([](FormatRequest& r) { r.members = 1; }), Status::invalid);
  EXPECT_EQ(refused([](FormatRequest& r) { r.members = kMaxMembers + 1; }), Status::invalid);
  EXPECT_EQ(refused([](FormatRequest& r) { r.block_sectors = 3; }), Status::invalid);
  EXPECT_EQ(refused([](FormatRequest& r) { r.device[0].sectors = 0; }), Status::invalid);
  EXPECT_EQ(refused([](FormatRequest& r) { r.device[2].present = false; }), Status::invalid);
  EXPECT_EQ(refused([](FormatRequest& r) { r.device[1].sectors = 256; }), Status::too_small);
  EXPECT_EQ(refused([](FormatRequest& r) { r.device[1].logical_block_bytes = 4096; }),
            Status::invalid);
  EXPECT_EQ(refused([](FormatRequest& r) { r.name = "a/b"; }), Status::invalid);
  const std::string long_name(format::kNameBytes, 'x');
  EXPECT_EQ(refused([&](FormatRequest& r) { r.name = long_name.c_str(); }), Status::invalid);
}

TEST(Store, CommitsComeBackAfterALoad) {
  for (const u32 spares : {1U, 2U, 3U}) {
    StoreBench bench(spares);
    ASSERT_EQ(bench.make(), Status::ok);
    for (u64 i = 0; i < 10; ++i) {
      const auto result = bench.commit(i * 3, i + 1, static_cast<u32>(1 + i * 9));
      ASSERT_TRUE(result);
      EXPECT_EQ(*result, CommitResult::durable);
    }
    EXPECT_EQ(bench.store->counters().commits, 10U);
    EXPECT_EQ(bench.store->counters().commit_records, 10U + 9U * 45U);
    expect_same_after_load(bench);
  }
}

TEST(Store, CommitIsTwoParallelWrites) {
  for (const u32 spares : {1U, 2U}) {
    StoreBench bench(spares);
    ASSERT_EQ(bench.make(), Status::ok);
    u32 rounds = 0;
    bench.disks.before_completion = [&] { ++rounds; };
    const u64 writes = bench.disks.writes;
    const u64 flushes = bench.disks.flushes;
    ASSERT_TRUE(bench.commit(1, 1));
    EXPECT_EQ(rounds, 1U);
    EXPECT_EQ(bench.disks.writes - writes, 2U);
    EXPECT_EQ(bench.disks.flushes, flushes);
  }
}

TEST(Store, JournalGoesRoundManyTimes) {
  for (const u32 spares : {1U, 2U}) {
    StoreBench bench(spares);
    ASSERT_EQ(bench.make(), Status::ok);
    const u32 slots = bench.store->layout(1).journal_slots;
    for (u64 i = 0; i < u64{7} * slots + 3; ++i) {
      ASSERT_TRUE(bench.commit_as_volume(i * 7 % 501, 1 + i % 250));
      if (i % 13 != 0) continue;
      expect_same_after_load(bench);
      ASSERT_EQ(bench.begin(), Status::ok);
    }
    expect_same_after_load(bench);
  }
}

TEST(Store, JournalRefusesToOverwriteWhatTheOlderCheckpointNeeds) {
  StoreBench bench;
  ASSERT_EQ(bench.make(), Status::ok);
  const u32 slots = bench.store->layout(1).journal_slots;
  u64 commits = 0;
  while (!bench.store->must_checkpoint()) {
    ASSERT_LE(commits, slots);
    ASSERT_TRUE(bench.commit(commits++, 1));
  }
  EXPECT_EQ(commits, slots);
  EXPECT_TRUE(bench.store->should_checkpoint());
  EXPECT_EQ(bench.commit(0, 2).status(), Status::no_space);
  const u64 checkpoints = bench.store->counters().checkpoints;
  ASSERT_EQ(bench.checkpoint(), Status::ok);
  EXPECT_EQ(bench.store->counters().checkpoints, checkpoints + 2);  // the older one needed it all
  EXPECT_FALSE(bench.store->must_checkpoint());
  EXPECT_FALSE(bench.store->should_checkpoint());
  ASSERT_TRUE(bench.commit(0, 2));
  expect_same_after_load(bench);
}

TEST(Store, CheckpointsInTimeKeepTheJournalFromFilling) {
  StoreBench bench(2);
  ASSERT_EQ(bench.make(), Status::ok);
  for (u64 i = 0; i < 200; ++i) {
    ASSERT_FALSE(bench.store->must_checkpoint());
    ASSERT_TRUE(bench.commit(i, 1));
    if (bench.store->should_checkpoint()) {
      ASSERT_EQ(bench.checkpoint(), Status::ok);
    }
  }
  EXPECT_LT(bench.store->counters().checkpoints, 30U);
}

TEST(Store, CheckpointOfManyBlocksComesBack) {
  for (const u32 spares : {1U, 2U, 5U}) {
    StoreBench bench(spares, 8192);
    ASSERT_EQ(bench.make(), Status::ok);
    for (u64 b = 0; b < 1500; ++b) bench.model.map[b] = 1 + b % 254;
    const u64 flushes = bench.disks.flushes;
    ASSERT_EQ(bench.checkpoint(), Status::ok);
    EXPECT_EQ(bench.disks.flushes - flushes, spares);
    ASSERT_TRUE(bench.commit(3, 77, 82));
    expect_same_after_load(bench);
  }
}

TEST(Store, CheckpointThatDoesNotFitIsRefusedAndTheSetStaysGood) {
  StoreBench bench;
  ASSERT_EQ(bench.make(), Status::ok);
  ASSERT_TRUE(bench.commit(1, 1));
  const MapModel::Map small = bench.model.map;
  for (u64 b = 0; b < 2040; ++b) bench.model.map[b] = 9;
  ASSERT_GT(bench.model.map.size(),
            (bench.store->layout(1).checkpoint_blocks - 1) * format::kCheckpointRecords);
  EXPECT_EQ(bench.checkpoint(), Status::no_space);
  bench.model.map = small;
  expect_same_after_load(bench);
}

TEST(Store, ExactlyFullCheckpointFits) {
  StoreBench bench;
  ASSERT_EQ(bench.make(), Status::ok);
  const u64 room = (bench.store->layout(1).checkpoint_blocks - 1) * format::kCheckpointRecords;
  for (u64 b = 0; b < room; ++b) bench.model.map[b] = 9;
  ASSERT_EQ(bench.checkpoint(), Status::ok);
  expect_same_after_load(bench);
}

TEST(Store, EachOpeningThatWritesOutranksTheOneBefore) {
  StoreBench bench(2);
  ASSERT_EQ(bench.make(), Status::ok);
  const u64 generation = bench.store->superblock().open_generation;
  const u64 membership = bench.store->superblock().membership.generation;
  bench.restart();
  ASSERT_EQ(bench.load(), Status::ok);
  EXPECT_EQ(bench.store->superblock().open_generation, generation);
  ASSERT_EQ(bench.begin(), Status::ok);
  EXPECT_EQ(bench.store->superblock().open_generation, generation + 1);
  EXPECT_EQ(bench.store->superblock().membership.generation, membership);
}

TEST(Store, CleanStartRewritesSuperblocksAndWhatIsNewest) {
  StoreBench bench(2);
  ASSERT_EQ(bench.make(), Status::ok);
  ASSERT_TRUE(bench.commit(1, 1));
  bench.restart();
  ASSERT_EQ(bench.load(), Status::ok);
  const u64 writes = bench.disks.writes;
  ASSERT_EQ(bench.begin(), Status::ok);
  // Of each spare: its superblocks, a checkpoint's header, its copy of a journal block.
  EXPECT_EQ(bench.disks.writes - writes, 2U * (kSuperblockCopies + 2));
  EXPECT_EQ(bench.store->counters().superblock_writes, 2U * kSuperblockCopies);
}

TEST(Store, NeedsNoMoreFramesThanItSays) {
  StoreBench bench(3);
  ASSERT_EQ(bench.make(), Status::ok);
  bench.disks.fault = [&](const DeviceIo& io) {
    return MemoryDisks::Fate{io.op == IoOp::write && io.member == 2 ? IoStatus::medium
                                                                    : IoStatus::ok};
  };
  ASSERT_TRUE(bench.commit(1, 1));  // retires a member: the deepest nesting
  EXPECT_EQ(bench.store->state(2), format::MemberState::failed);
  EXPECT_LE(bench.frames.high_water(), MetadataStore::kFrameBytes);
}

TEST(Store, TooFewFramesIsAValue) {
  StoreBench bench;
  ASSERT_EQ(bench.make(), Status::ok);
  alignas(64) static std::byte memory[2048];
  FrameStack small;
  small.init(bench.disks, memory, sizeof(memory));
  const auto records = StoreBench::records_of(1, 1, 1);
  const auto result = bench.run(bench.store->commit(small, records.data(), 1));
  bench.disks.unpoison(memory, sizeof(memory));
  EXPECT_EQ(result.status(), Status::again);
  EXPECT_FALSE(bench.store->unknown_pending());
  ASSERT_TRUE(bench.commit(1, 1));
}

TEST(Store, NoMemoryIsAValue) {
  MemoryDisks disks;
  Executor executor;
  MetadataStore store(disks, executor);
  disks.allocations_left = 0;
  EXPECT_EQ(store.open_memory(), Status::no_memory);
  StoreBench bench;
  ASSERT_EQ(bench.format(), Status::ok);
  bench.disks.allocations_left = 0;
  EXPECT_EQ(bench.load(), Status::no_memory);
  bench.disks.allocations_left = -1;
  EXPECT_EQ(bench.load(), Status::ok);
}

TEST(Store, RecordThatTheSinkRefusesRefusesTheSet) {
  StoreBench bench;
  ASSERT_EQ(bench.make(), Status::ok);
  ASSERT_TRUE(bench.commit(1, 1));
  bench.restart();
  bench.model.verdict = Status::damaged;
  EXPECT_EQ(bench.load(), Status::damaged);
  EXPECT_EQ(bench.findings.count(FindingKind::double_owner), 1U);
  bench.model.verdict = Status::no_memory;
  EXPECT_EQ(bench.load(), Status::no_memory);
}

}  // namespace
}  // namespace dmr

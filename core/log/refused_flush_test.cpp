// SPDX-License-Identifier: GPL-2.0-or-later
// A user's flush that a spare refuses while a checkpoint is under way, and that takes the
// checkpoint's body along: the checkpoint's own flush then goes well and says nothing.
#include <gtest/gtest.h>

#include "core/testing/store_faults.h"

namespace dmr {
namespace {

using format::MemberState;
using testing::is_checkpoint_header;
using testing::MapModel;
using testing::MemoryDisks;
using testing::StoreBench;
using testing::stranding_flush_behind;

// At the next flush of spare 1, before it gets there.
auto refused_flush_before_ours(StoreBench& bench) {
  return [&bench, is_over = false](const DeviceIo& io) mutable {
    if (io.op == IoOp::flush && io.member == 1 && !is_over) {
      is_over = true;
      FlushBook& flushes = bench.store->flushes();
      const u32 lane = flushes[1].begin();
      bench.disks.drop_cache(1);
      flushes.refuse(1);
      flushes[1].end(lane);
    }
    return MemoryDisks::Fate{};
  };
}

// The next checkpoint goes over the other one: were this one taken for good, a power cut in there
// would leave none.
TEST(RefusedFlush, CheckpointWhoseBodyMayBeGoneDoesNotCount) {
  StoreBench bench;
  ASSERT_EQ(bench.make(), Status::ok);
  ASSERT_TRUE(bench.commit(1, 1, 20));
  bench.disks.fault = refused_flush_before_ours(bench);
  EXPECT_EQ(bench.checkpoint(), Status::io_error);
  const MapModel::Map expected = bench.model.map;
  // The power goes as soon as the next one has said that it is being written.
  std::vector<MemoryDisks::Image> then;
  bench.disks.fault = [&](const DeviceIo& io) {
    if (io.op == IoOp::write && !io.fua && then.empty()) then = bench.disks.durable();
    return MemoryDisks::Fate{};
  };
  ASSERT_EQ(bench.checkpoint(), Status::ok);
  ASSERT_FALSE(then.empty());
  bench.disks.fault = nullptr;
  bench.disks.restore(then);
  bench.restart();
  ASSERT_EQ(bench.load(), Status::ok);
  EXPECT_TRUE(bench.findings.all.empty());
  EXPECT_EQ(bench.model.map, expected);
}

// Whichever flush of a checkpoint it is, of its body or behind its header.
TEST(RefusedFlush, EachOfACheckpointIsTold) {
  for (const bool native_fua : {true, false}) {
    bool refused = true;
    for (int nth = 1; refused; ++nth) {
      StoreBench bench;
      bench.native_fua = native_fua;
      ASSERT_EQ(bench.make(), Status::ok);
      ASSERT_TRUE(bench.commit(1, 1, 20));
      bench.disks.events.clear();
      refused = false;
      bench.disks.fault = [&, flushes = 0](const DeviceIo& io) mutable {
        if (io.op != IoOp::flush || ++flushes != nth) return MemoryDisks::Fate{};
        refused = true;
        return MemoryDisks::Fate{IoStatus::transport};
      };
      const Status made = bench.checkpoint();
      EXPECT_EQ(made, refused ? Status::io_error : Status::ok);
      std::vector<IoStatus> told;
      for (const Event& event : bench.disks.events) {
        if (event.kind == EventKind::flush_failed && event.member == 1) {
          told.push_back(event.status);
        }
      }
      EXPECT_EQ(told, std::vector<IoStatus>(refused ? 1 : 0, IoStatus::transport)) << nth;
      if (!refused) {
        EXPECT_GE(nth, native_fua ? 2 : 3);
      }
    }
  }
}

TEST(RefusedFlush, OfTwoSparesTheOneWhoseBodyMayBeGoneIsRetired) {
  StoreBench bench(2);
  ASSERT_EQ(bench.make(), Status::ok);
  ASSERT_TRUE(bench.commit(1, 1, 20));
  bench.disks.fault = refused_flush_before_ours(bench);
  EXPECT_EQ(bench.checkpoint(), Status::ok);
  EXPECT_EQ(bench.store->state(1), MemberState::failed);
  EXPECT_EQ(bench.store->state(2), MemberState::live);
}

// The program is started again while the power stays on: it reads a checkpoint that no flush has
// made durable. The next one goes over the older one; were the first not written again, a power cut
// in there would leave none.
TEST(RefusedFlush, ACheckpointThatCanOnlyBeReadIsWrittenAgainAtTheNextOpening) {
  StoreBench bench;
  bench.native_fua = false;
  ASSERT_EQ(bench.make(), Status::ok);
  ASSERT_TRUE(bench.commit(1, 1, 20));
  bench.disks.fault = stranding_flush_behind(bench, [](const DeviceIo& io) {
    return is_checkpoint_header(io, format::kCheckpointComplete);
  });
  EXPECT_EQ(bench.checkpoint(), Status::io_error);
  const MapModel::Map expected = bench.model.map;
  bench.disks.fault = nullptr;
  bench.restart();
  ASSERT_EQ(bench.load(), Status::ok);
  ASSERT_EQ(bench.begin(), Status::ok);
  EXPECT_EQ(bench.model.map, expected);
  std::vector<MemoryDisks::Image> then;
  bench.disks.fault = [&, flushes = 0](const DeviceIo& io) mutable {
    if (io.op == IoOp::flush) ++flushes;  // behind the header that says `writing`
    if (io.op == IoOp::write && flushes == 1 && then.empty()) then = bench.disks.durable();
    return MemoryDisks::Fate{};
  };
  ASSERT_EQ(bench.checkpoint(), Status::ok);
  ASSERT_FALSE(then.empty());
  bench.disks.fault = nullptr;
  bench.disks.restore(then);
  bench.restart();
  ASSERT_EQ(bench.load(), Status::ok);
  EXPECT_EQ(bench.model.map, expected);
}

// What is replayed once has to be there ever after: users' data is written by it.
TEST(RefusedFlush, AJournalBlockThatCanOnlyBeReadIsWrittenAgainAtTheNextOpening) {
  StoreBench bench;
  bench.native_fua = false;
  ASSERT_EQ(bench.make(), Status::ok);
  ASSERT_TRUE(bench.commit(1, 1, 20));
  bench.disks.fault = stranding_flush_behind(bench, [](const DeviceIo&) { return true; });
  EXPECT_EQ(bench.commit(50, 2).value(), CommitResult::unknown);
  bench.disks.fault = nullptr;
  bench.restart();
  ASSERT_EQ(bench.load(), Status::ok);
  ASSERT_EQ(bench.begin(), Status::ok);
  const MapModel::Map expected = bench.model.map;
  EXPECT_TRUE(expected.contains(50));
  bench.disks.restore(bench.disks.durable());
  bench.restart();
  ASSERT_EQ(bench.load(), Status::ok);
  EXPECT_EQ(bench.model.map, expected);
}

}  // namespace
}  // namespace dmr

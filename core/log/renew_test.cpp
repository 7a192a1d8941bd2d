// SPDX-License-Identifier: GPL-2.0-or-later
// What an opening writes again, when that itself goes wrong.
#include <gtest/gtest.h>

#include "core/testing/store_bench.h"

namespace dmr {
namespace {

using testing::MapModel;
using testing::MemoryDisks;
using testing::StoreBench;

bool is_header(const DeviceIo& io, u32 state) {
  const auto& header = *reinterpret_cast<const format::CheckpointHeader*>(io.buffer);
  return io.op == IoOp::write && header.header.kind == u8(format::Kind::checkpoint_header) &&
         header.state == state;
}

// The disks as they were when the next checkpoint had said that it is being written.
std::vector<MemoryDisks::Image> cut_in_a_checkpoint(StoreBench& bench, Status (*run)(StoreBench&)) {
  std::vector<MemoryDisks::Image> then;
  const auto before = bench.disks.fault;
  bench.disks.fault = [&, said = false](const DeviceIo& io) mutable {
    if (said && then.empty()) then = bench.disks.durable();
    said = said || is_header(io, format::kCheckpointWriting);
    return before ? before(io) : MemoryDisks::Fate{};
  };
  EXPECT_EQ(run(bench), Status::ok);
  bench.disks.fault = nullptr;
  EXPECT_FALSE(then.empty());
  return then;
}

class Renew : public ::testing::TestWithParam<bool> {};

// The power has gone during a checkpoint, so that one is left; the opening cannot read its header
// for once, and the power goes again. What it writes then must go over the other area, whichever
// that is.
TEST_P(Renew, TheOnlyGoodCheckpointIsNotWrittenOverBecauseItCouldNotBeReadOnce) {
  StoreBench bench;
  ASSERT_EQ(bench.make(), Status::ok);
  ASSERT_TRUE(bench.commit(1, 1, 20));
  if (GetParam()) {
    ASSERT_EQ(bench.checkpoint(), Status::ok);
  }
  const MapModel::Map expected = bench.model.map;
  bench.disks.restore(cut_in_a_checkpoint(bench, [](StoreBench& b) { return b.checkpoint(); }));
  bench.restart();
  ASSERT_EQ(bench.load(), Status::ok);
  bool failed = false;
  bench.disks.fault = [&](const DeviceIo& io) {
    if (failed || io.op != IoOp::read) return MemoryDisks::Fate{};
    failed = true;  // the first read behind load is that of the newest header
    return MemoryDisks::Fate{IoStatus::transport};
  };
  bench.disks.restore(cut_in_a_checkpoint(bench, [](StoreBench& b) { return b.begin(); }));
  EXPECT_TRUE(failed);
  bench.restart();
  ASSERT_EQ(bench.load(), Status::ok);
  EXPECT_EQ(bench.model.map, expected);
}

INSTANTIATE_TEST_SUITE_P(Areas, Renew, ::testing::Bool());

}  // namespace
}  // namespace dmr

// SPDX-License-Identifier: GPL-2.0-or-later
// How long callers wait when the disk takes its time: contract rule 10, nothing hangs for ever.
#include <algorithm>
#include <deque>

#include <gtest/gtest.h>

#include "core/testing/volume_fixture.h"
#include "core/volume/volume.h"

namespace dmr::testing {
namespace {

// Requests whose device I/O failed; nothing happens before the fixture pumps.
struct Callers {
  struct Caller {
    Request request;
    BytesPayload payload{4096};
    bool done = false;
  };
  explicit Callers(VolumeFixture& f) : fixture(f) {}

  Caller& send(IoOp op, u64 sector, IoStatus error = IoStatus::medium, bool fua = false) {
    Caller& caller = all.emplace_back();
    caller.request.op = op;
    caller.request.error = error;
    caller.request.fua = fua;
    caller.request.sector = Sector(sector);
    caller.request.sectors = 8;
    caller.request.payload = &caller.payload;
    caller.request.context = &caller;
    caller.request.done = [](Request& r) { static_cast<Caller*>(r.context)->done = true; };
    fixture.volume->submit(caller.request);
    return caller;
  }
  // The engine does what it can while no device answers and no grace period ends.
  void run() const {
    while (fixture.volume->run()) {
    }
  }
  // Time passes, and the host calls when it was asked to.
  void wait(u64 ns) const {
    fixture.now += ns;
    const auto due = [this](u64 deadline) { return deadline <= fixture.now; };
    if (std::erase_if(fixture.deadlines, due) == 0) return;
    fixture.volume->on_timer();
    run();
  }
  [[nodiscard]] u64 done() const {
    return static_cast<u64>(std::count_if(all.begin(), all.end(), [](auto& c) { return c.done; }));
  }

  VolumeFixture& fixture;
  std::deque<Caller> all;
};

TEST(Deadline, contract_10_ReadsThatWaitForTheirTurnAreAnsweredInTimeAndWritesSurvive) {
  VolumeFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  Callers callers(f);
  for (u64 i = 0; i < 40; ++i) callers.send(IoOp::read, i * 64);
  const Callers::Caller& write = callers.send(IoOp::write, 8000);
  callers.run();
  ASSERT_EQ(f.volume->stats().buffers.in_use, f.config.buffers);
  callers.wait(f.config.recover_deadline_ns - 1);
  EXPECT_EQ(callers.done(), 0U);
  callers.wait(1);
  EXPECT_EQ(callers.done(), 40U);
  EXPECT_EQ(callers.all[39].request.status, Status::io_error);
  EXPECT_EQ(callers.all[39].request.bad_sector, Sector(39 * 64));
  EXPECT_EQ(f.count(EventKind::pool_exhausted), 1U);
  EXPECT_EQ(f.volume->stats().failed_reads, 40U);
  EXPECT_FALSE(write.done);
  f.pump();
  EXPECT_TRUE(write.done);
  EXPECT_EQ(write.request.status, Status::ok);
}

// The last one is a healthy block's, which comes for the flush behind it alone.
TEST(Deadline, contract_9_AFuaWriteDoesNotWaitForSalvagesOfOthers) {
  VolumeFixture f;
  f.disks[kMain].native_fua = false;
  f.config.buffers = 1;
  ASSERT_EQ(f.open(), Status::ok);
  Callers callers(f);
  callers.send(IoOp::read, 0);
  callers.send(IoOp::read, 800);
  callers.send(IoOp::write, 8000, IoStatus::ok, true);
  callers.run();
  EXPECT_EQ(f.volume->stats().work_items.in_use, 2U);
  EXPECT_EQ(f.volume->stats().buffers.in_use, 1U);
  f.pump();
  EXPECT_EQ(callers.done(), 3U);
}

TEST(Deadline, contract_10_TheWaitForItsTurnCounts) {
  VolumeFixture f;
  f.config.work_items = 1;
  ASSERT_EQ(f.open(), Status::ok);
  Callers callers(f);
  callers.send(IoOp::read, 800);
  const Callers::Caller& second = callers.send(IoOp::read, 1600);
  bool seen = false;
  f.before_io = [&](const DeviceIo& io) {
    if (io.op != IoOp::read || io.member != kMain) return;
    if (io.sector == Sector(800)) f.now = 20 * kSecond;
    if (io.sector != Sector(1600) || seen) return;
    seen = true;
    EXPECT_FALSE(second.done);
    callers.wait(11 * kSecond);
    EXPECT_TRUE(second.done);
  };
  f.pump();
  f.before_io = nullptr;
  EXPECT_TRUE(seen);
}

TEST(Deadline, contract_10_AReadThatWasAnsweredDoesNotWaitForItsRange) {
  VolumeFixture f;
  ASSERT_EQ(f.open(), Status::ok);
  Callers callers(f);
  for (u64 i = 0; i < 3; ++i) callers.send(IoOp::read, 800);
  const Callers::Caller& write = callers.send(IoOp::write, 800);
  callers.run();
  ASSERT_EQ(f.volume->stats().work_items.in_use, 4U);
  callers.wait(f.config.recover_deadline_ns);
  EXPECT_EQ(callers.done(), 3U);
  EXPECT_EQ(f.volume->stats().work_items.in_use, 2U);  // who has the range, and the write
  f.pump();
  EXPECT_TRUE(write.done);
  EXPECT_EQ(f.volume->stats().work_items.in_use, 0U);
}

// Closing waits for those who wait; their deadline ends that, too.
TEST(Deadline, contract_10_ClosingEndsWhenTheLastWaitingReadWasAnswered) {
  VolumeFixture f;
  f.config.work_items = 1;
  ASSERT_EQ(f.open(), Status::ok);
  Callers callers(f);
  callers.send(IoOp::read, 800);
  callers.send(IoOp::read, 1600);
  callers.run();
  callers.wait(f.config.recover_deadline_ns);
  EXPECT_EQ(callers.done(), 2U);
  EXPECT_EQ(f.close(), Status::ok);
}

}  // namespace
}  // namespace dmr::testing

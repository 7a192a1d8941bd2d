// SPDX-License-Identifier: GPL-2.0-or-later
// One ring on real files: data, batches, limits, waiting and being woken.
#include "runtime/device/device_queue.h"

#include <sys/socket.h>

#include <cerrno>
#include <thread>

#include <gtest/gtest.h>

#include "runtime/device/zeros.h"
#include "runtime/testing/temp_folder.h"
#include "runtime/testing/volume_fixture.h"

namespace dmr::runtime {
namespace {

using testing::Buffer;
using testing::TempFolder;

class DeviceQueueTest : public ::testing::Test {
 protected:
  void open(const std::string& decorators = "", TempFolder::Where where = TempFolder::Where::disk,
            unsigned depth = DeviceQueue::kDefaultDepth) {
    folder = std::make_unique<TempFolder>(where);
    auto opened = Device::open(decorators + folder->file("disk", 8 << 20),
                               DeviceOptions{.allow_buffered = true});
    ASSERT_TRUE(opened) << opened.error().message;
    device = std::move(*opened);
    Device* members[] = {device.get(), nullptr};
    auto made = DeviceQueue::create(members, depth);
    ASSERT_TRUE(made) << made.error().message;
    queue = std::move(*made);
  }
  DeviceOp op(IoOp kind, u64 offset, u64 length, std::byte* data = nullptr) {
    DeviceOp result;
    result.op = kind;
    result.offset = offset;
    result.length = length;
    result.data = data;
    result.context = &completed;
    result.done = [](DeviceOp& done) { ++*static_cast<unsigned*>(done.context); };
    return result;
  }
  int run(DeviceOp one) {
    const unsigned before = completed;
    queue->start(one);
    while (completed == before) queue->run_and_wait();
    return one.error;
  }

  std::unique_ptr<TempFolder> folder;
  std::unique_ptr<Device> device;
  std::unique_ptr<DeviceQueue> queue;
  unsigned completed = 0;
};

TEST_F(DeviceQueueTest, MovesDataBothWays) {
  open();
  const Buffer out(65536, 0x3C);
  const Buffer in(65536);
  DeviceOp write = op(IoOp::write, 4096, 65536, out.data());
  write.fua = true;
  EXPECT_EQ(run(write), 0);
  EXPECT_EQ(run(op(IoOp::flush, 0, 0)), 0);
  EXPECT_EQ(run(op(IoOp::read, 4096, 65536, in.data())), 0);
  EXPECT_TRUE(in.filled_with(0x3C));
}

TEST_F(DeviceQueueTest, ABatchOnAFileInMemoryIsOneSystemCall) {
  open("", TempFolder::Where::memory);
  if (!device->in_memory()) FAIL() << "/dev/shm is no tmpfs";
  const Buffer memory(16 * 4096, 1);
  std::vector<DeviceOp> ops;
  for (u64 i = 0; i < 16; ++i) {
    ops.push_back(
        op(i % 2 == 0 ? IoOp::write : IoOp::read, i * 8192, 4096, memory.data() + i * 4096));
  }
  const u64 before = queue->system_calls();
  for (DeviceOp& one : ops) queue->start(one);
  EXPECT_EQ(queue->run(), 16U);
  EXPECT_EQ(completed, 16U);
  EXPECT_EQ(queue->system_calls() - before, 1U);
  for (const DeviceOp& one : ops) EXPECT_EQ(one.error, 0);
}

TEST_F(DeviceQueueTest, MoreThanItsDepthWaitsItsTurn) {
  open("", TempFolder::Where::disk, 4);
  const Buffer memory(64 * 4096, 9);
  std::vector<DeviceOp> ops;
  for (u64 i = 0; i < 64; ++i) {
    ops.push_back(op(IoOp::write, i * 4096, 4096, memory.data() + i * 4096));
  }
  for (DeviceOp& one : ops) queue->start(one);
  EXPECT_EQ(queue->in_flight(), 64U);
  while (completed < 64) queue->run_and_wait();
  for (const DeviceOp& one : ops) EXPECT_EQ(one.error, 0);
  const Buffer in(64 * 4096);
  EXPECT_EQ(run(op(IoOp::read, 0, 64 * 4096, in.data())), 0);
  EXPECT_TRUE(in.filled_with(9));
}

TEST_F(DeviceQueueTest, ZeroesOfAnyLengthAreWritten) {
  for (const auto where : {TempFolder::Where::disk, TempFolder::Where::memory}) {
    open("", where);
    const Buffer ones(4 << 20, 0xFF);
    const Buffer in(4 << 20);
    for (const u64 length : {u64{4096}, u64{kZeroBytes}, 3 * u64{kZeroBytes} + 4096}) {
      for (const IoOp kind : {IoOp::write_zeroes, IoOp::write}) {
        ASSERT_EQ(run(op(IoOp::write, 0, ones.size(), ones.data())), 0);
        EXPECT_EQ(run(op(kind, 8192, length)), 0);
        ASSERT_EQ(run(op(IoOp::read, 0, in.size(), in.data())), 0);
        EXPECT_TRUE(in.filled_with(0xFF, 0, 8192));
        EXPECT_TRUE(in.filled_with(0, 8192, length));
        EXPECT_TRUE(in.filled_with(0xFF, 8192 + length));
      }
    }
    queue.reset();
  }
}

TEST_F(DeviceQueueTest, DiscardLeavesNeighboursAlone) {
  open();
  const Buffer ones(65536, 0xFF);
  const Buffer in(65536);
  ASSERT_EQ(run(op(IoOp::write, 0, 65536, ones.data())), 0);
  EXPECT_EQ(run(op(IoOp::discard, 16384, 16384)), 0);
  ASSERT_EQ(run(op(IoOp::read, 0, 65536, in.data())), 0);
  EXPECT_TRUE(in.filled_with(0xFF, 0, 16384));
  EXPECT_TRUE(in.filled_with(0xFF, 32768));
}

TEST_F(DeviceQueueTest, ReadBehindTheEndIsAnError) {
  open();
  const Buffer in(8192);
  EXPECT_EQ(run(op(IoOp::read, (8 << 20) - 4096, 8192, in.data())), EIO);
}

TEST_F(DeviceQueueTest, MissingMemberAnswersNoDevice) {
  open();
  const Buffer in(4096);
  DeviceOp read = op(IoOp::read, 0, 4096, in.data());
  read.member = 1;
  EXPECT_EQ(run(read), ENODEV);
}

TEST_F(DeviceQueueTest, RegisteredMemoryIsUsedWhereDataLiesInIt) {
  open();
  const Buffer arena(1 << 20, 0x19);
  ASSERT_TRUE(queue->register_memory(arena.span()));
  const Buffer in(4096);
  EXPECT_EQ(run(op(IoOp::write, 0, 4096, arena.data() + (1 << 20) - 4096)), 0);
  EXPECT_EQ(run(op(IoOp::read, 0, 4096, in.data())), 0);
  EXPECT_TRUE(in.filled_with(0x19));
  EXPECT_EQ(run(op(IoOp::read, 4096, 4096, arena.data())), 0);
  EXPECT_TRUE(arena.filled_with(0, 0, 4096));
}

TEST_F(DeviceQueueTest, SlowAnswersComeLateButHoldUpNobody) {
  const TempFolder plans;
  const std::string plan = plans.text_file(
      "plan.json", R"({"ranges": [{"sector": 0, "error": "none", "slow_ms": 80}]})");
  open("faulty:" + plan + ":");
  const Buffer memory(8192);
  DeviceOp slow = op(IoOp::read, 0, 4096, memory.data());
  DeviceOp fast = op(IoOp::read, 4096, 4096, memory.data() + 4096);
  const u64 begin = monotonic_ns();
  queue->start(slow);
  queue->start(fast);
  EXPECT_EQ(queue->run(), 1U);
  EXPECT_LT(monotonic_ns() - begin, 80'000'000U);
  while (completed < 2) queue->run_and_wait();
  EXPECT_GE(monotonic_ns() - begin, 80'000'000U);
}

TEST_F(DeviceQueueTest, WakeEndsAWaitHoweverTheyMeet) {
  open();
  std::atomic<unsigned> woken{0};
  std::atomic<unsigned> asked{0};
  std::thread waker([&] {
    while (woken.load() < 2000) {
      asked.store(woken.load() + 1);
      queue->wake();
    }
  });
  for (unsigned i = 1; i <= 2000; ++i) {
    queue->prepare_sleep();
    if (asked.load() < i) queue->run_and_wait();
    queue->cancel_sleep();
    woken.store(i);
  }
  waker.join();
}

TEST_F(DeviceQueueTest, ReadableDescriptorEndsAWaitAndIsAskedAgain) {
  open();
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  queue->watch(pair[0]);
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(::send(pair[1], "x", 1, 0), 1);
    while (!queue->take_readable()) queue->run_and_wait();
  }
  // Not yet read: still readable, so a wait ends at once.
  while (!queue->take_readable()) queue->run_and_wait();
  queue->watch(-1);
  EXPECT_EQ(queue->run_and_wait(1'000'000), 0U);
  EXPECT_FALSE(queue->take_readable());
  ::close(pair[0]);
  ::close(pair[1]);
}

// Whoever waits without a limit would sleep over it.
TEST_F(DeviceQueueTest, AHeldReadRunsInTheFirstWaitAfterItsRelease) {
  TempFolder plans;
  const std::string plan = plans.text_file(
      "plan.json", R"({"ranges": [{"sector": 0, "error": "none", "held_ms": 60000}]})");
  open("faulty:" + plan + ":");
  Buffer first(4096);
  Buffer second(4096);
  DeviceOp held = op(IoOp::read, 0, 4096, first.data());
  DeviceOp other = op(IoOp::read, 1 << 20, 4096, second.data());
  queue->start(held);
  queue->start(other);
  while (completed == 0) queue->run_and_wait();
  // Until its next try is due.
  const u64 due = monotonic_ns() + 5'000'000;
  while (monotonic_ns() < due) std::this_thread::yield();
  ASSERT_TRUE(device->layers()->control({{"release", true}}));
  EXPECT_EQ(queue->run_and_wait(0), 1U);
  EXPECT_EQ(completed, 2U);
}

}  // namespace
}  // namespace dmr::runtime

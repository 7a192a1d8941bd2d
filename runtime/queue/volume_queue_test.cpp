// SPDX-License-Identifier: GPL-2.0-or-later
// The hot path: batches, limits, no allocation, and moves of data under load.
#include "runtime/queue/volume_queue.h"

#include <atomic>
#include <cerrno>
#include <random>
#include <thread>

#include <gtest/gtest.h>

#include "runtime/device/volatile_cache.h"
#include "runtime/testing/allocation_count.h"
#include "runtime/testing/volume_fixture.h"

namespace dmr::runtime {
namespace {

using namespace testing;
using Json = nlohmann::json;

// Requests that are all under way together.
class Load {
 public:
  Load(UserVolume& volume, std::size_t requests, u32 sectors)
      : requests_(requests), memory_(requests * sectors * kSectorBytes) {
    auto made = volume.make_queue();
    if (!made) throw std::runtime_error(made.error().message);
    queue_ = std::move(*made);
    for (std::size_t i = 0; i < requests; ++i) {
      QueueRequest& request = requests_[i];
      request.sectors = sectors;
      request.data = memory_.data() + i * sectors * kSectorBytes;
      request.context = this;
      request.done = [](QueueRequest& done) {
        auto& self = *static_cast<Load*>(done.context);
        ++self.done_;
        if (done.error != 0) ++self.failed_;
      };
      batch_.push_back(&request);
    }
  }
  void run() {
    done_ = 0;
    queue_->submit(batch_);
    while (done_ < batch_.size()) queue_->process(true);
  }
  QueueRequest& operator[](std::size_t i) { return requests_[i]; }
  [[nodiscard]] VolumeQueue& queue() { return static_cast<VolumeQueue&>(*queue_); }
  [[nodiscard]] unsigned failed() const { return failed_; }
  [[nodiscard]] std::size_t done() const { return done_; }
  std::vector<QueueRequest*>& batch() { return batch_; }

 private:
  std::unique_ptr<Queue> queue_;
  std::vector<QueueRequest> requests_;
  std::vector<QueueRequest*> batch_;
  Buffer memory_;
  std::size_t done_ = 0;
  unsigned failed_ = 0;
};

class VolumeQueueTest : public ::testing::Test {
 protected:
  void make(TempFolder::Where where = TempFolder::Where::memory, const std::string& plan = "") {
    folder = std::make_unique<TempFolder>(where);
    SetPaths specs{folder->file("main", 64 << 20), {folder->file("spare", 16 << 20)}};
    create_set(specs);
    if (!plan.empty()) {
      specs.main = "faulty:" + folder->text_file("main.json", plan) + ":" + specs.main;
    }
    auto opened = open_set(specs);
    ASSERT_TRUE(opened) << opened.error().message;
    volume = std::move(*opened);
  }

  std::unique_ptr<TempFolder> folder;
  std::unique_ptr<UserVolume> volume;
};

TEST_F(VolumeQueueTest, ABatchIsOneSystemCall) {
  make();
  Load load(*volume, 16, 8);
  for (std::size_t i = 0; i < 16; ++i) {
    load[i].sector = Sector(i * 1000 / 8 * 8);
    load[i].op = i % 2 == 0 ? IoOp::read : IoOp::write;
  }
  const u64 before = load.queue().system_calls();
  load.queue().submit(load.batch());
  EXPECT_EQ(load.done(), 16U);
  EXPECT_EQ(load.queue().system_calls() - before, 1U);
  EXPECT_EQ(load.failed(), 0U);
}

TEST_F(VolumeQueueTest, TheHotPathAllocatesNothing) {
  make();
  {
    Client client(*volume);  // some blocks on the spare, some read sections that look at leaves
    for (u64 i = 0; i < 8; ++i) ASSERT_EQ(client.fill(Sector(i * 1000 / 8 * 8), 8, 1).error, 0);
  }
  ASSERT_EQ(volume->command(CommandKind::mark, {{.begin = Sector(1000), .sectors = 8}}).status,
            Status::ok);
  Load load(*volume, 64, 8);
  std::mt19937_64 random(1);
  load.run();  // whatever is made at first use
  unsigned allocations = 0;
  const AllocationCount count;
  for (unsigned round = 0; round < 50; ++round) {
    for (std::size_t i = 0; i < 64; ++i) {
      load[i].op = i % 3 == 0 ? IoOp::write : (i % 17 == 0 ? IoOp::write_zeroes : IoOp::read);
      load[i].sector = Sector(random() % 16000 * 8);
    }
    load[0].sector = Sector(1000);
    load.run();
  }
  allocations = count.value();
  EXPECT_EQ(allocations, 0U);
  const std::unique_ptr<int> one(new int(1));
  EXPECT_EQ(count.value(), *one == 1 ? 1U : 0U);  // it does count
  EXPECT_EQ(load.failed(), 0U);
}

// Of a sector that is known to be lost the engine never hears: the queue answers by itself.
TEST_F(VolumeQueueTest, ReadsThatTheRouteItselfAnswersAreCountedAsFailed) {
  make(TempFolder::Where::memory, R"({"ranges": [{"sector": 800, "count": 8, "on": "read"}]})");
  const CommandResult marked =
      volume->command(CommandKind::mark, {{.begin = Sector(800), .sectors = 8}});
  ASSERT_EQ(marked.sectors_lost, 8U);
  Client client(*volume);
  EXPECT_EQ(client.value_of(Sector(800), 8), -2);
  EXPECT_EQ(client.value_of(Sector(800), 1), -2);
  EXPECT_EQ(client.value_of(Sector(0), 8), 0);
  EXPECT_EQ(volume->stats().failed_reads, 0U);
  EXPECT_EQ(volume->io_counters().failed_reads, 2U);
  EXPECT_EQ(volume->io_counters().failed_writes, 0U);
  EXPECT_EQ(volume->io_counters().errors, 2U);
}

// A full file system below both: nothing is marked, the client is told.
TEST_F(VolumeQueueTest, WritesThatNothingTakesAreCountedAsFailed) {
  make(TempFolder::Where::memory,
       R"({"ranges": [{"sector": 800, "count": 8, "on": "write", "error": "ENOSPC"}]})");
  Client client(*volume);
  EXPECT_EQ(client.fill(Sector(800), 8, 1).error, EIO);
  EXPECT_EQ(client.run(IoOp::write_zeroes, Sector(800), 8).error, EIO);
  EXPECT_EQ(volume->io_counters().failed_writes, 2U);
  EXPECT_EQ(volume->stats().failed_writes, 2U);
}

TEST_F(VolumeQueueTest, MoreRequestsThanPiecesAllGetTheirTurn) {
  make();
  constexpr std::size_t kRequests = 4 * VolumeQueue::kMaxPieces;
  Load load(*volume, kRequests, 8);
  for (std::size_t i = 0; i < kRequests; ++i) {
    load[i].sector = Sector(i * 64);
    load[i].op = i % 100 == 99 ? IoOp::flush : IoOp::write;
  }
  load.run();
  EXPECT_EQ(load.failed(), 0U);
  EXPECT_EQ(load.queue().in_flight(), 0U);
}

TEST_F(VolumeQueueTest, ARefusedFlushBehindAFuaWriteFailsItAndIsToldToEveryClientOnce) {
  make(TempFolder::Where::memory, "{}");
  Client writer(*volume);
  Client other(*volume);
  ASSERT_EQ(other.fill(Sector(0), 8, 1).error, 0);
  ASSERT_TRUE(faulty(*volume, kMain).control(Json{{"flush_error", "EIO"}}));
  EXPECT_EQ(writer.fill(Sector(800), 8, 2, true).error, EIO);
  ASSERT_TRUE(faulty(*volume, kMain).control(Json{{"clear", true}}));
  EXPECT_EQ(writer.fill(Sector(800), 8, 3, true).error, 0);
  EXPECT_EQ(other.flush().error, EIO);
  EXPECT_EQ(other.flush().error, 0);
  EXPECT_EQ(writer.value_of(Sector(800), 8), 3);
}

// The zeros lie in the cache of a disk that refuses the flush of somebody else: the flush that is
// to make them durable goes well, and still they may be gone.
TEST_F(VolumeQueueTest, ZerosThatAreToBeDurableFailWhenAnotherFlushWasRefusedMeanwhile) {
  make(TempFolder::Where::memory, "{}");
  FaultyLayer& main = faulty(*volume, kMain);
  std::string order;
  // Slower each time, until the flush ends before the zeroing: only then the case is there.
  for (unsigned delay_ms = 20; delay_ms < 10'000 && order != "fz"; delay_ms *= 3) {
    ASSERT_TRUE(main.control(Json{{"set",
                                   {{"ranges",
                                     {{{"sector", 800},
                                       {"count", 8},
                                       {"on", "write"},
                                       {"error", "none"},
                                       {"slow_ms", delay_ms}}}},
                                    {"flush_error", "EIO"}}}}));
    order.clear();
    Load load(*volume, 2, 8);
    load[0].op = IoOp::write_zeroes;
    load[0].then_flush = true;
    load[0].sector = Sector(800);
    load[0].context = &order;
    load[0].done = [](QueueRequest& done) { *static_cast<std::string*>(done.context) += 'z'; };
    struct Refused {
      FaultyLayer& layer;
      std::string& order;
    } refused{main, order};
    load[1].op = IoOp::flush;
    load[1].sectors = 0;
    load[1].context = &refused;
    load[1].done = [](QueueRequest& done) {
      const auto& self = *static_cast<Refused*>(done.context);
      self.order += 'f';
      EXPECT_TRUE(self.layer.control(Json{{"flush_error", "none"}}));
    };
    load.queue().submit(load.batch());
    while (load.queue().in_flight() > 0) load.queue().process(true);
    EXPECT_EQ(load[1].error, EIO);
    EXPECT_EQ(load[0].error, EIO) << order;
  }
  EXPECT_EQ(order, "fz");
}

// A volume over a cache that forgets: what was written with FUA is there, and nothing else.
TEST_F(VolumeQueueTest, AFuaWriteIsBelowTheCacheWhenItIsAnswered) {
  folder = std::make_unique<TempFolder>(TempFolder::Where::memory);
  SetPaths specs{folder->file("main", 64 << 20), {folder->file("spare", 16 << 20)}};
  create_set(specs);
  specs.main = "volatile-cache:" + specs.main;
  auto opened = open_set(specs);
  ASSERT_TRUE(opened) << opened.error().message;
  volume = std::move(*opened);
  Client client(*volume);
  ASSERT_EQ(client.fill(Sector(800), 8, 5, true).error, 0);
  ASSERT_EQ(client.fill(Sector(1600), 8, 6).error, 0);
  auto& cache =
      static_cast<VolatileCacheLayer&>(*volume->devices()[kMain]->find_layer("volatile-cache"));
  EXPECT_EQ(cache.unflushed_sectors(), 8U);
  EXPECT_EQ(cache.power_cut([](u64) { return false; }), 0);
  cache.power_on();
  EXPECT_EQ(client.value_of(Sector(800), 8), 5);
  EXPECT_EQ(client.value_of(Sector(1600), 8), 0);
}

// The commits of the refused writes wait for every flush that has begun; one that waits for their
// pieces must not be among these.
TEST_F(VolumeQueueTest, AFlushBehindRefusedWritesWithAllPiecesDoesNotHoldUpTheirCommits) {
  constexpr std::size_t kWrites = VolumeQueue::kMaxPieces + 44;
  make(TempFolder::Where::memory, R"({"ranges": [{"sector": 0, "count": 2400, "on": "write"}]})");
  Load load(*volume, kWrites + 1, 8);
  for (std::size_t i = 0; i < kWrites; ++i) {
    load[i].sector = Sector(i * 8);
    load[i].op = IoOp::write;
  }
  load[kWrites].op = IoOp::flush;
  load[kWrites].sectors = 0;
  load.run();
  EXPECT_EQ(load.failed(), 0U);
  EXPECT_EQ(load.queue().in_flight(), 0U);
}

TEST_F(VolumeQueueTest, ARequestInMorePiecesThanThereAreSlotsIsJoined) {
  make();
  // Every other block on the spare: 8 MiB in 2048 pieces.
  std::vector<SectorRange> ranges;
  for (u64 block = 0; block < 2048; block += 2) {
    ranges.push_back({.begin = Sector(block * 8), .sectors = 8});
  }
  const CommandResult marked = volume->command(CommandKind::mark, ranges);
  ASSERT_EQ(marked.status, Status::ok);
  ASSERT_EQ(marked.blocks_changed, 1024U);
  Client client(*volume);
  EXPECT_EQ(client.fill(Sector(0), 16384, 0x77).error, 0);
  EXPECT_EQ(client.value_of(Sector(0), 16384), 0x77);
  EXPECT_EQ(client.flush().error, 0);
}

TEST_F(VolumeQueueTest, SubmittingFromDoneDoesNotRecurse) {
  make();
  Client client(*volume);
  struct Chain {
    Queue* queue;
    unsigned left;
    unsigned depth = 0;
    unsigned deepest = 0;
  } chain{.queue = &client.queue(), .left = 10'000};
  Buffer buffer(4096);
  QueueRequest request;
  request.sectors = 8;
  request.data = buffer.data();
  request.context = &chain;
  request.done = [](QueueRequest& done) {
    auto& self = *static_cast<Chain*>(done.context);
    if (--self.left == 0) return;
    ++self.depth;
    self.deepest = std::max(self.deepest, self.depth);
    QueueRequest* again[] = {&done};
    self.queue->submit(again);
    --self.depth;
  };
  QueueRequest* batch[] = {&request};
  client.queue().submit(batch);
  EXPECT_GT(chain.left, 0U);  // one call does not go on for ever
  while (chain.left > 0) client.queue().process(true);
  EXPECT_EQ(chain.deepest, 1U);
}

TEST_F(VolumeQueueTest, WakeFromAnotherThreadEndsAWait) {
  make();
  Client client(*volume);
  std::thread waker([&] { client.queue().wake(); });
  EXPECT_EQ(client.queue().process(true), 0U);
  waker.join();
}

// Each thread owns every other block and checks that it always reads what it wrote last, while the
// blocks of both are moved away and home again and main refuses some of the writes.
TEST_F(VolumeQueueTest, DataFollowsItsBlockWhileItIsMovedUnderLoad) {
  make(TempFolder::Where::memory,
       R"({"ranges": [{"sector": 640, "count": 24, "on": "write", "times": 40}]})");
  constexpr u64 kBlocks = 256;
  std::atomic<bool> stop{false};
  std::atomic<unsigned> wrong{0};
  const auto work = [&](u64 parity) {
    Client client(*volume);
    std::mt19937_64 random(parity);
    std::vector<u8> expected(kBlocks, 0);
    while (!stop.load()) {
      const u64 block = random() % (kBlocks / 2) * 2 + parity;
      const Sector sector(block * 8);
      if (random() % 2 == 0) {
        const auto value = static_cast<u8>(random() % 250 + 1);
        if (client.fill(sector, 8, value).error != 0) ++wrong;
        expected[block] = value;
      } else if (client.value_of(sector, 8) != expected[block]) {
        ++wrong;
      }
      if (random() % 50 == 0 && client.flush().error != 0) ++wrong;
    }
    for (u64 block = parity; block < kBlocks; block += 2) {
      if (client.value_of(Sector(block * 8), 8) != expected[block]) ++wrong;
    }
  };
  std::thread even(work, 0);
  std::thread odd(work, 1);
  std::mt19937_64 random(7);
  for (unsigned i = 0; i < 1000; ++i) {
    const SectorRange range{.begin = Sector(random() % 240 * 8),
                            .sectors = 8 * (1 + random() % 15)};
    const auto kind = random() % 2 == 0 ? CommandKind::mark : CommandKind::forget;
    const Status status = volume->command(kind, {range}).status;
    // Main may refuse what is to come home.
    EXPECT_TRUE(status == Status::ok || kind == CommandKind::forget) << int(status);
  }
  stop = true;
  even.join();
  odd.join();
  EXPECT_EQ(wrong.load(), 0U);
  EXPECT_TRUE(volume->close());
}

TEST_F(VolumeQueueTest, QueuesComeAndGoWhileBlocksAreMoved) {
  make();
  std::atomic<bool> stop{false};
  std::thread churn([&] {
    while (!stop.load()) {
      Client client(*volume);
      EXPECT_EQ(client.fill(Sector(80), 8, 1).error, 0);
    }
  });
  for (unsigned i = 0; i < 40; ++i) {
    const auto kind = i % 2 == 0 ? CommandKind::mark : CommandKind::forget;
    EXPECT_EQ(volume->command(kind, {{.begin = Sector(80), .sectors = 16}}).status, Status::ok);
  }
  stop = true;
  churn.join();
}

TEST_F(VolumeQueueTest, TooManyQueuesAreRefused) {
  make();
  std::vector<std::unique_ptr<Queue>> queues;
  for (unsigned i = 0; i < kMaxQueues; ++i) {
    auto queue = volume->make_queue();
    ASSERT_TRUE(queue) << queue.error().message;
    queues.push_back(std::move(*queue));
  }
  EXPECT_FALSE(volume->make_queue());
  queues.pop_back();
  EXPECT_TRUE(volume->make_queue());
}

}  // namespace
}  // namespace dmr::runtime

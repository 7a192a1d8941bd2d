// SPDX-License-Identifier: GPL-2.0-or-later
// Readers on threads against the executor, with the whole protocol of holds and epochs: what a
// request finds at its home is what belongs there, however often the block moves meanwhile. The
// blocks' content is plain memory, so that ThreadSanitizer sees any I/O that the drain missed, and
// AddressSanitizer any leaf that was reused too early.
#include <algorithm>
#include <array>
#include <atomic>
#include <deque>
#include <random>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "core/index/epoch.h"
#include "core/index/index.h"
#include "core/testing/index_fixture.h"

namespace dmr {
namespace {

using testing::on_spare;

constexpr u32 kReaders = 2;
constexpr u64 kVolumeBlocks = 2 * u64{kRegionBlocks};
constexpr u64 kSpareBlocks = 2 * kVolumeBlocks;
constexpr u64 kGarbage = ~u64{0};

// A queue: its read sections, and what it has in flight.
struct alignas(64) Queue {
  std::atomic<u64> section{0};  // odd: inside a read section
  EpochCounters counters;
  std::atomic<u64> polls{0};  // times a leave asked the executor to look

  // Read-modify-write, so that either the section sees what came before a grace period began, or
  // the grace period sees the section.
  void enter_section() { section.fetch_add(1, std::memory_order_acq_rel); }
  void leave_section() { section.fetch_add(1, std::memory_order_release); }
};

class ThreadedHost final : public testing::FakeHost {
 public:
  void after_grace(GraceWork& work) override {
    Pending pending{&work, {}};
    for (u32 i = 0; i < kReaders; ++i) {
      pending.seen[i] = queues[i].section.fetch_add(0, std::memory_order_acq_rel);
    }
    pending_.push_back(pending);
  }
  i64 epoch_in_flight(u32 slot) override {
    i64 sum = 0;
    for (const Queue& queue : queues) sum += queue.counters.read(slot);
    return sum;
  }
  // Ends the grace periods whose read sections have ended.
  void run() {
    for (std::size_t left = pending_.size(); left > 0; --left) {
      const Pending pending = pending_.front();
      pending_.pop_front();
      bool over = true;
      for (u32 i = 0; i < kReaders; ++i) {
        const u64 seen = pending.seen[i];
        if (seen % 2 == 0) continue;
        if (queues[i].section.load(std::memory_order_acquire) == seen) over = false;
      }
      if (over) {
        pending.work->done(*pending.work);
      } else {
        pending_.push_back(pending);
      }
    }
  }
  [[nodiscard]] bool waits() const { return !pending_.empty(); }

  std::array<Queue, kReaders> queues;

 private:
  struct Pending {
    GraceWork* work;
    std::array<u64, kReaders> seen;
  };
  std::deque<Pending> pending_;
};

class IndexThreads : public ::testing::Test {
 protected:
  IndexThreads() : main(kVolumeBlocks), spare(kSpareBlocks, kGarbage) {
    geometry = Geometry::make(kVolumeBlocks, 1).value();
    host.give_page = [this](void* page) { index.give_page(page); };
    DMR_ASSERT(index.open(host, geometry) == Status::ok);
    epochs.open(geometry);
    for (u64 block = 0; block < kVolumeBlocks; ++block) main[block] = block;
  }
  ~IndexThreads() override {
    while (host.waits()) host.run();
    index.close();
  }

  u64& content(const Home& home, u64 block) {
    return home.member == kMain ? main[block] : spare[home.spare.value];
  }

  // A request on its way: it was routed, its device I/O comes later.
  struct Request {
    u64 block = 0;
    u32 slot = 0;
    Route route;
  };
  Request submit(Queue& queue, u64 block) {
    queue.enter_section();
    const u32 slot = epochs.slot_of(Sector(block));
    queue.counters.enter(slot);
    const Request request{block, slot, index.route(Sector(block), 1)};
    queue.leave_section();
    return request;
  }
  // The device I/O. True unless the request found the block held.
  bool complete(Queue& queue, const Request& request) {
    const Route& route = request.route;
    if (route.kind == RouteKind::device) {
      const u64 found =
          route.member == kMain ? main[route.sector.value] : spare[route.sector.value];
      if (found != request.block) wrong.fetch_add(1, std::memory_order_relaxed);
    }
    queue.enter_section();
    queue.counters.leave(request.slot);
    if (epochs.drain_pending(request.slot)) queue.polls.fetch_add(1, std::memory_order_release);
    queue.leave_section();
    return route.kind != RouteKind::held;
  }
  // Keeps some requests in flight, so that many are routed long before their I/O is done.
  template <class Choose>
  void reader(u32 number, const Choose& choose) {
    Queue& queue = host.queues[number];
    std::mt19937_64 random(number);
    std::array<Request, 16> in_flight;
    for (Request& request : in_flight) request = submit(queue, choose(random));
    for (u64 i = 0; !stop.load(std::memory_order_acquire); ++i) {
      Request& request = in_flight[i % in_flight.size()];
      if (complete(queue, request)) reads.fetch_add(1, std::memory_order_relaxed);
      request = submit(queue, choose(random));
    }
    for (const Request& request : in_flight) (void)complete(queue, request);
  }

  // Moves `count` blocks from `begin` on to `home`, by the rules.
  void move(u64 begin, u32 count, const Home& home) {
    const HoldId id = index.hold(Block(begin), count).value();
    Drain drain;
    bool drained = false;
    drain.hashes = Epochs::hashes_of(Block(begin), count);
    drain.done = [](Drain& d) { *static_cast<bool*>(d.context) = true; };
    drain.context = &drained;
    epochs.begin_drain(host, drain);
    while (!drained) {
      host.run();
      poll();
      std::this_thread::yield();
    }
    for (u32 i = 0; i < count; ++i) {
      u64& old = content(at(begin + i), begin + i);
      const u64 value = old;
      old = kGarbage;
      content(testing::home_behind(home, i), begin + i) = value;
    }
    ASSERT_EQ(index.set(Block(begin), count, home), Status::ok);
    index.release(id);
  }
  Home at(u64 block) {
    const dmr::Run run = index.lookup(Block(block));
    return testing::home_behind(run.home, block - run.begin.value);
  }
  void poll() {
    for (Queue& queue : host.queues) {
      if (queue.polls.exchange(0, std::memory_order_acquire) != 0) epochs.poll(host);
    }
  }

  ThreadedHost host;
  Geometry geometry;
  Index index;
  Epochs epochs;
  std::vector<u64> main;
  std::vector<u64> spare;
  std::atomic<bool> stop{false};
  std::atomic<u64> wrong{0};
  std::atomic<u64> reads{0};
};

TEST_F(IndexThreads, ARequestFindsItsDataHoweverOftenBlocksMove) {
  std::vector<std::thread> threads;
  for (u32 i = 0; i < kReaders; ++i) {
    threads.emplace_back([this, i] {
      reader(i, [](std::mt19937_64& random) {
        return random() % 4 == 0 ? random() % kVolumeBlocks : random() % 200;
      });
    });
  }
  while (reads.load() < 1000) std::this_thread::yield();  // they are at work
  std::mt19937_64 random(99);
  // Two places on the spare for each block, so that a home's old place stays garbage for a while.
  for (int step = 0; step < 400; ++step) {
    const u64 begin = step % 5 == 0 ? random() % (kVolumeBlocks - 8) : random() % 192;
    const u32 count = step % 4 == 0 ? 1 + static_cast<u32>(random() % 8) : 1;
    // All of the run to the same side, away from where any of it lives.
    bool first_half = false;
    bool second_half = false;
    for (u32 i = 0; i < count; ++i) {
      const Home home = at(begin + i);
      if (home.member != kMain)
        (home.spare.value < kVolumeBlocks ? first_half : second_half) = true;
    }
    Home to;
    const bool home_to_main = (first_half || second_half) && random() % 3 == 0;
    if (!home_to_main) {
      if (first_half && second_half) continue;
      to = on_spare(1, begin + (first_half ? kVolumeBlocks : 0));
    } else if (std::any_of(&main[begin], &main[begin] + count,
                           [](u64 value) { return value != kGarbage; })) {
      continue;
    }
    ASSERT_NO_FATAL_FAILURE(move(begin, count, to));
    host.run();
  }
  stop.store(true, std::memory_order_release);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong.load(), 0U);
  EXPECT_GT(reads.load(), 1000U);
  for (u64 block = 0; block < kVolumeBlocks; ++block) {
    ASSERT_EQ(content(at(block), block), block);
  }
}

// Runs are published one by one, without holds: a reader of a block that does not change gets the
// same answer throughout, whatever becomes of the leaf around it.
TEST_F(IndexThreads, AnUnchangedBlockRoutesTheSameWhileItsLeafIsReplaced) {
  for (u64 block = 0; block < kVolumeBlocks; block += 2) main[block] = block;
  for (u64 block = 0; block < 600; block += 4) {
    spare[block] = block;
    ASSERT_EQ(index.set(Block(block), 1, on_spare(1, block)), Status::ok);
  }
  std::vector<std::thread> threads;
  for (u32 i = 0; i < kReaders; ++i) {
    threads.emplace_back(
        [this, i] { reader(i, [](std::mt19937_64& random) { return random() % 300 * 2; }); });
  }
  std::mt19937_64 random(98);
  for (int step = 0; step < 12'000; ++step) {
    const u64 block = random() % 4000 * 2 + 1;  // odd ones change: leaf and fan-out in turn
    const bool away = step % 8'000 < 4'000;
    ASSERT_EQ(index.set(Block(block), 1, away ? on_spare(1, kVolumeBlocks + block) : Home{}),
              Status::ok);
    host.run();
  }
  stop.store(true, std::memory_order_release);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong.load(), 0U);
}

}  // namespace
}  // namespace dmr

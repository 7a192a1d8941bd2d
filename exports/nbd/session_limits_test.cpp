// SPDX-License-Identifier: GPL-2.0-or-later
// What a session costs and how much it takes at once.
#include <gtest/gtest.h>

#include "exports/testing/allocation_counter.h"
#include "exports/testing/session_fixture.h"

namespace dmr::nbd {
namespace {

using exports::testing::Bytes;
using exports::testing::operator+;
using exports::testing::allocations;
using exports::testing::pattern;
using exports::testing::Reply;
using exports::testing::request;
using session_test::kMiB;
using session_test::SessionTest;

TEST_F(SessionTest, RequestsOfOneReadAreOneBatch) {
  open();
  Bytes stream;
  for (u64 i = 0; i < 32; ++i) stream = stream + request(CommandType::read, i, i << 16, 4096);
  EXPECT_EQ(run(stream).size(), 32U);
  EXPECT_EQ(volume_.submits, 1U);
}

// A queue that allocates nothing itself: it does each request at once.
class InstantQueue final : public runtime::Queue {
 public:
  void submit(std::span<runtime::QueueRequest* const> batch) override {
    for (runtime::QueueRequest* request : batch) request->done(*request);
    requests += batch.size();
  }
  unsigned process(bool) override { return 0; }
  void watch(int) override {}
  bool watched_readable() override { return false; }
  void wake() override {}
  void answers_received() override {}
  unsigned in_flight() const override { return 0; }
  bool register_memory(std::span<std::byte>) override { return false; }

  std::size_t requests = 0;
};

TEST_F(SessionTest, NothingIsAllocatedForARequest) {
  auto instant = std::make_unique<InstantQueue>();
  InstantQueue& counted = *instant;
  queue_ = std::move(instant);
  const ExportInfo info{.name = "tank", .bytes = 64 * kMiB};
  session_ = Session::make({info, true, false}, *queue_);
  keep_output_ = false;
  Bytes stream;
  for (u64 i = 0; i < 16; ++i) {
    stream = stream + request(CommandType::read, i, i << 16, 4096);
    stream = stream + request(CommandType::read, i, i << 16, 2 * kMiB);
    stream = stream + request(CommandType::write, i, i << 16, 65536) + Bytes(65536);
    stream = stream + request(CommandType::write_zeroes, i, i << 16, 4096);
    stream = stream + request(CommandType::flush, i, 0, 0);
  }
  const std::size_t before = allocations();
  for (int i = 0; i < 20; ++i) {
    for (std::size_t fed = 0; fed < stream.size(); pump()) {
      fed += feed(std::span(stream).subspan(fed));
    }
  }
  EXPECT_EQ(allocations(), before);
  EXPECT_EQ(counted.requests, 20U * 16 * (1 + 8 + 1 + 1 + 1));
}

TEST_F(SessionTest, MoreRequestsThanSlotsWaitForTheirTurn) {
  open();
  volume_.hold();
  Bytes stream;
  const u64 count = kMaxRequests + 40;
  for (u64 i = 0; i < count; ++i) stream = stream + request(CommandType::read, i, i << 12, 512);
  EXPECT_EQ(feed(stream), stream.size());
  EXPECT_TRUE(session_->receive_parts().empty());
  EXPECT_EQ(session_->under_way(), kMaxRequests);
  volume_.release();
  pump();
  EXPECT_EQ(replies().size(), count);
  EXPECT_FALSE(session_->receive_parts().empty());
}

TEST_F(SessionTest, MemoryOfUnreadRepliesIsBounded) {
  open();
  Bytes stream;
  for (u64 i = 0; i < 20; ++i) stream = stream + request(CommandType::read, i, 0, 16 * kMiB);
  (void)feed(stream);
  while (queue_->process(false) > 0) session_->resume();
  // Nobody reads: after what fits the pool, the session takes no more.
  EXPECT_TRUE(session_->receive_parts().empty());
  EXPECT_LE(volume_.requests * u64{kLargePieceBytes}, kPoolBytes);
  pump(100'000);
  std::size_t bytes = 0;
  for (const Reply& reply : replies()) bytes += reply.data.size();
  EXPECT_EQ(bytes, 20 * 16 * kMiB);
}

TEST_F(SessionTest, LargestWritesPassThroughOneByOne) {
  open();
  const Bytes data = pattern(kMaxPayloadBytes, 8);
  Bytes stream;
  for (u64 i = 0; i < 3; ++i) {
    stream = stream + request(CommandType::write, i, i * 4096, kMaxPayloadBytes) + data;
  }
  std::size_t fed = 0;
  for (int turns = 0; fed < stream.size() && turns < 100; ++turns) {
    fed += feed(std::span(stream).subspan(fed));
    pump();
  }
  EXPECT_EQ(replies().size(), 3U);
  EXPECT_EQ(content(8192, kMaxPayloadBytes), data);
  EXPECT_EQ(volume_.misaligned, 0U);
}

}  // namespace
}  // namespace dmr::nbd

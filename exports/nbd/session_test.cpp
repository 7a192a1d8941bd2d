// SPDX-License-Identifier: GPL-2.0-or-later
// The transmission phase without a socket: commands, payloads, errors, limits, and its cost.
#include "exports/nbd/session.h"

#include <algorithm>
#include <cerrno>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "exports/testing/allocation_counter.h"
#include "exports/testing/memory_volume.h"
#include "exports/testing/nbd_client.h"

namespace dmr::nbd {
namespace {

using exports::testing::allocations;
using exports::testing::Bytes;
using exports::testing::MemoryVolume;
using exports::testing::operator+;
using exports::testing::pattern;
using exports::testing::Reply;
using exports::testing::request;

constexpr u64 kMiB = 1U << 20;

class SessionTest : public ::testing::Test {
 protected:
  void open(bool structured = true) {
    queue_ = std::move(*volume_.make_queue());
    const ExportInfo info{.name = "tank",
                          .bytes = volume_.data.size(),
                          .minimum_block = 512,
                          .preferred_block = 4096,
                          .read_only = volume_.is_read_only};
    session_ = Session::make({info, structured, volume_.fast_zeroes}, *queue_);
    structured_ = structured;
  }
  ~SessionTest() override {
    if (session_ == nullptr) return;
    volume_.release();
    while (queue_->process(false) > 0) session_->resume();
  }

  // Feeds as much as the session takes; returns how much that was.
  std::size_t feed(std::span<const std::byte> bytes) {
    std::size_t fed = 0;
    while (fed < bytes.size()) {
      const auto parts = session_->receive_parts();
      if (parts.empty()) break;
      std::size_t count = 0;
      for (const iovec& part : parts) {
        const std::size_t now = std::min(part.iov_len, bytes.size() - fed - count);
        if (now > 0) std::memcpy(part.iov_base, bytes.data() + fed + count, now);
        count += now;
        if (now < part.iov_len) break;
      }
      session_->received(count);
      fed += count;
    }
    return fed;
  }
  // Completes what is under way and takes what is to be sent, `at_most` bytes at a time.
  void pump(std::size_t at_most = ~std::size_t{0}) {
    for (bool progress = true; progress;) {
      progress = queue_->process(false) > 0;
      session_->resume();
      while (session_->anything_to_send()) {
        std::size_t left = at_most;
        std::size_t count = 0;
        for (const iovec& part : session_->send_parts()) {
          const std::size_t now = std::min(part.iov_len, left);
          const auto* data = static_cast<const std::byte*>(part.iov_base);
          if (keep_output_) output_.insert(output_.end(), data, data + now);
          count += now;
          left -= now;
        }
        session_->sent(count);
        session_->resume();
        progress = true;
      }
    }
  }
  std::vector<Reply> run(const Bytes& bytes, u32 simple_read_bytes = 0) {
    EXPECT_EQ(feed(bytes), bytes.size());
    pump();
    return replies(simple_read_bytes);
  }
  std::vector<Reply> replies(u32 simple_read_bytes = 0) {
    std::vector<Reply> found;
    const std::byte* at = output_.data();
    const std::byte* const end = at + output_.size();
    while (at < end) {
      Reply reply;
      reply.structured = load_big<u32>(at) == kStructuredReplyMagic;
      if (reply.structured) {
        reply.flags = load_big<u16>(at + 4);
        reply.type = static_cast<ChunkType>(load_big<u16>(at + 6));
        reply.cookie = load_big<u64>(at + 8);
        const u32 length = load_big<u32>(at + 16);
        at += kChunkHeaderBytes;
        if (reply.type == ChunkType::offset_data) {
          reply.offset = load_big<u64>(at);
          reply.data.assign(at + 8, at + length);
        } else if (reply.type != ChunkType::none) {
          reply.error = static_cast<WireError>(load_big<u32>(at));
          if (reply.type == ChunkType::error_offset) reply.offset = load_big<u64>(at + length - 8);
        }
        at += length;
      } else {
        reply.error = static_cast<WireError>(load_big<u32>(at + 4));
        reply.cookie = load_big<u64>(at + 8);
        at += kSimpleReplyBytes;
        if (reply.error == WireError::ok && simple_read_bytes > 0) {
          reply.data.assign(at, at + simple_read_bytes);
          at += simple_read_bytes;
        }
      }
      found.push_back(std::move(reply));
    }
    EXPECT_EQ(at, end);
    output_.clear();
    return found;
  }
  WireError command(CommandType type, u64 offset, u32 length, u16 flags = 0) {
    const auto found = run(request(type, 1, offset, length, flags));
    EXPECT_EQ(found.size(), 1U);
    return found.empty() ? WireError::io : found[0].error;
  }
  Bytes content(u64 offset, u64 bytes) const {
    const auto at = volume_.data.begin() + static_cast<std::ptrdiff_t>(offset);
    return {at, at + static_cast<std::ptrdiff_t>(bytes)};
  }

  MemoryVolume volume_{64 * kMiB / kSectorBytes};
  std::unique_ptr<runtime::Queue> queue_;
  std::unique_ptr<Session> session_;
  Bytes output_;
  bool structured_ = true;
  bool keep_output_ = true;
};

TEST_F(SessionTest, WrittenDataIsReadBack) {
  open();
  const Bytes data = pattern(8192, 1);
  auto found = run(request(CommandType::write, 7, 4096, 8192) + data);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].cookie, 7U);
  EXPECT_EQ(found[0].error, WireError::ok);
  EXPECT_EQ(content(4096, 8192), data);
  found = run(request(CommandType::read, 8, 4096, 8192));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].flags, kReplyFlagDone);
  EXPECT_EQ(found[0].offset, 4096U);
  EXPECT_EQ(found[0].data, data);
  EXPECT_EQ(volume_.misaligned, 0U);
}

TEST_F(SessionTest, SimpleReadsCarryDataBehindTheReply) {
  open(false);
  volume_.data = pattern(volume_.data.size(), 2);
  const auto found = run(request(CommandType::read, 8, kMiB, 3 * kMiB), 3 * kMiB);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_FALSE(found[0].structured);
  EXPECT_EQ(found[0].data, content(kMiB, 3 * kMiB));
}

TEST_F(SessionTest, LargeReadsComeInChunksThatCoverThem) {
  open();
  volume_.data = pattern(volume_.data.size(), 3);
  const auto found = run(request(CommandType::read, 8, 512, kMaxPayloadBytes));
  u64 at = 512;
  for (const Reply& reply : found) {
    ASSERT_EQ(reply.offset, at);
    ASSERT_EQ(reply.data, content(at, reply.data.size()));
    at += reply.data.size();
    EXPECT_EQ(reply.flags, at == 512 + kMaxPayloadBytes ? kReplyFlagDone : 0);
  }
  EXPECT_EQ(at, 512 + u64{kMaxPayloadBytes});
}

TEST_F(SessionTest, LostSectorNamesItsOffset) {
  open();
  volume_.fail_reads(19);
  const auto found = run(request(CommandType::read, 5, 8192, 4096));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].type, ChunkType::error_offset);
  EXPECT_EQ(found[0].flags, kReplyFlagDone);
  EXPECT_EQ(found[0].error, WireError::io);
  EXPECT_EQ(found[0].offset, 19U * 512);
}

TEST_F(SessionTest, LostSectorOfALargeReadLetsTheOtherPiecesThrough) {
  open();
  volume_.data = pattern(volume_.data.size(), 4);
  const u64 lost = (kMiB + 300 * 1024) / 512;
  volume_.fail_reads(lost);
  const auto found = run(request(CommandType::read, 5, kMiB, kMiB));
  std::size_t data_bytes = 0;
  std::size_t errors = 0;
  for (const Reply& reply : found) {
    data_bytes += reply.data.size();
    if (reply.error == WireError::ok) continue;
    ++errors;
    EXPECT_EQ(reply.offset, lost * 512);
  }
  EXPECT_EQ(errors, 1U);
  EXPECT_EQ(data_bytes, kMiB - kLargePieceBytes);
  EXPECT_EQ(found.back().flags, kReplyFlagDone);
}

TEST_F(SessionTest, LostSectorFailsASimpleReadWithoutData) {
  open(false);
  volume_.fail_reads(3000);
  const auto found = run(request(CommandType::read, 5, kMiB, kMiB), kMiB);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].error, WireError::io);
}

TEST_F(SessionTest, ExhaustedSpareIsNoSpaceAtItsOffset) {
  open();
  volume_.fail_writes(9, ENOSPC);
  const auto found = run(request(CommandType::write, 5, 4096, 4096) + pattern(4096, 5));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].error, WireError::no_space);
  EXPECT_EQ(found[0].offset, 9U * 512);
}

TEST_F(SessionTest, VolumeThatTurnsReadOnlyRefusesWrites) {
  open(false);
  volume_.fail_writes(0, EROFS);
  const auto found = run(request(CommandType::write, 5, 0, 512) + pattern(512, 5));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].error, WireError::perm);
}

TEST_F(SessionTest, RefusedWriteSkipsItsPayload) {
  open();
  // The payload looks like requests; it must not be taken for some.
  Bytes payload;
  while (payload.size() < 4096) payload = payload + request(CommandType::trim, 66, 0, 4096);
  payload.resize(4096);
  const auto found = run(request(CommandType::write, 5, 512 * kMiB, 4096) + payload +
                         request(CommandType::flush, 6, 0, 0));
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].error, WireError::invalid);
  EXPECT_EQ(found[1].cookie, 6U);
  EXPECT_EQ(volume_.discards, 0U);
  EXPECT_EQ(volume_.writes, 0U);
}

TEST_F(SessionTest, ReadOnlyExportRefusesWrites) {
  volume_.is_read_only = true;
  open();
  const auto found = run(request(CommandType::write, 5, 0, 512) + pattern(512, 5));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].error, WireError::perm);
}

TEST_F(SessionTest, FuaGoesWithTheWrite) {
  open();
  run(request(CommandType::write, 5, 0, 512, command_flag::kFua) + pattern(512, 5));
  EXPECT_EQ(volume_.fua_writes, 1U);
  EXPECT_EQ(volume_.flushes, 0U);
}

TEST_F(SessionTest, FuaOfTrimAndZeroesFlushesAfterwards) {
  open();
  EXPECT_EQ(command(CommandType::trim, 0, 4096, command_flag::kFua), WireError::ok);
  EXPECT_EQ(volume_.flushes, 1U);
  EXPECT_EQ(command(CommandType::write_zeroes, 0, 4096, command_flag::kFua), WireError::ok);
  EXPECT_EQ(volume_.flushes, 2U);
  EXPECT_EQ(command(CommandType::flush, 0, 0), WireError::ok);
  EXPECT_EQ(volume_.flushes, 3U);
}

TEST_F(SessionTest, TrimIsAHint) {
  volume_.discard_supported = false;
  open();
  EXPECT_EQ(command(CommandType::trim, 0, 4096), WireError::ok);
  EXPECT_EQ(volume_.discards, 1U);
}

TEST_F(SessionTest, WriteZeroesWithoutHolesWritesThem) {
  open();
  volume_.data = pattern(volume_.data.size(), 6);
  const Bytes before = content(0, 4096);
  EXPECT_EQ(command(CommandType::write_zeroes, 4096, 3 * kMiB, command_flag::kNoHole),
            WireError::ok);
  EXPECT_EQ(volume_.zeroings, 0U);
  EXPECT_EQ(content(0, 4096), before);
  EXPECT_EQ(content(4096, 3 * kMiB), Bytes(3 * kMiB));
  EXPECT_NE(content(4096 + 3 * kMiB, 512), Bytes(512));
}

TEST_F(SessionTest, WriteZeroesThatTheVolumeDoesNotKnowAreWritten) {
  volume_.zeroes_supported = false;
  open();
  volume_.data = pattern(volume_.data.size(), 6);
  EXPECT_EQ(command(CommandType::write_zeroes, 0, 1536), WireError::ok);
  EXPECT_EQ(content(0, 1536), Bytes(1536));
  EXPECT_EQ(volume_.writes, 1U);
}

TEST_F(SessionTest, FastZeroIsRefusedAtOnceWhereItIsNotFast) {
  open();
  EXPECT_EQ(command(CommandType::write_zeroes, 0, 4096, command_flag::kFastZero),
            WireError::not_supported);
  EXPECT_EQ(volume_.requests, 0U);
}

TEST_F(SessionTest, ZeroingThatFailsNamesTheSector) {
  open();
  volume_.fail_writes(1000, ENOSPC);
  const auto found = run(request(CommandType::write_zeroes, 1, 0, kMiB, command_flag::kNoHole));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].error, WireError::no_space);
  EXPECT_EQ(found[0].offset, 1000U * 512);
  EXPECT_EQ(volume_.writes, 2U);
}

TEST_F(SessionTest, EmptyRequestsSucceedWithoutTheVolume) {
  open();
  const auto read = run(request(CommandType::read, 1, 0, 0));
  ASSERT_EQ(read.size(), 1U);
  EXPECT_EQ(read[0].type, ChunkType::none);
  EXPECT_EQ(read[0].flags, kReplyFlagDone);
  EXPECT_EQ(command(CommandType::write, 0, 0), WireError::ok);
  EXPECT_EQ(volume_.requests, 0U);
}

TEST_F(SessionTest, ReadsAreAnsweredInStructureAlsoWhenRefused) {
  open();
  const auto found = run(request(CommandType::read, 1, 1, 512));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_TRUE(found[0].structured);
  EXPECT_EQ(found[0].type, ChunkType::error);
  EXPECT_EQ(found[0].error, WireError::invalid);
}

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

TEST_F(SessionTest, ShutDownAnswersNewRequestsAndFinishesOldOnes) {
  open();
  volume_.hold();
  const Bytes write = request(CommandType::write, 2, 0, 4096) + pattern(4096, 9);
  EXPECT_EQ(feed(request(CommandType::read, 1, 0, 512) + std::span(write).first(1000)), 1028U);
  session_->shut_down();
  (void)feed(std::span(write).subspan(1000));
  (void)feed(request(CommandType::flush, 3, 0, 0));
  volume_.release();
  pump();
  const auto found = replies();
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].cookie, 2U);
  EXPECT_EQ(found[0].error, WireError::shutdown);
  EXPECT_EQ(found[1].error, WireError::shutdown);
  EXPECT_EQ(found[2].cookie, 1U);
  EXPECT_EQ(found[2].data.size(), 512U);
  EXPECT_EQ(volume_.writes, 0U);
}

TEST_F(SessionTest, DisconnectEndsAfterWhatWasAsked) {
  open();
  const auto found =
      run(request(CommandType::flush, 1, 0, 0) + request(CommandType::disconnect, 2, 0, 0));
  EXPECT_EQ(found.size(), 1U);
  EXPECT_TRUE(session_->ended());
  EXPECT_FALSE(session_->violated());
  EXPECT_TRUE(session_->receive_parts().empty());
}

TEST_F(SessionTest, WrongMagicEndsTheSession) {
  open();
  (void)feed(request(CommandType::read, 1, 0, 512, 0, kRequestMagic ^ 1));
  EXPECT_TRUE(session_->violated());
  EXPECT_TRUE(session_->receive_parts().empty());
}

TEST_F(SessionTest, GoneClientLeavesNothingBehind) {
  open();
  volume_.hold();
  const Bytes half = request(CommandType::write, 2, 0, kMiB) + pattern(5000, 9);
  (void)feed(request(CommandType::read, 1, 0, kMiB) + half);
  session_->drop_replies();
  volume_.release();
  pump();
  EXPECT_EQ(output_.size(), 0U);
  EXPECT_EQ(session_->under_way(), 0U);
  session_.reset();  // asserts that every piece came back
  EXPECT_EQ(volume_.writes, 0U);
}

TEST_F(SessionTest, GarbageInTheStreamNeverHarmsTheServer) {
  std::mt19937_64 random(11);
  for (int round = 0; round < 1000; ++round) {
    open(random() % 2 == 0);
    Bytes stream;
    for (u64 i = random() % 20; i > 0; --i) {
      const auto type = static_cast<CommandType>(random() % 9);
      const auto length = static_cast<u32>(random() % 32 * 512 + (random() % 8 == 0));
      const u64 offset = random() % 4 == 0 ? random() : random() % 1000 * 512;
      stream = stream + request(type, i, offset, length, static_cast<u16>(random() % 20));
      if (type == CommandType::write) stream = stream + Bytes(length);
    }
    for (u64 i = random() % 3; i > 0 && !stream.empty(); --i) {
      stream[random() % stream.size()] ^= std::byte(random());
    }
    std::size_t at = 0;
    while (at < stream.size() && !session_->ended()) {
      const std::size_t step = std::min<std::size_t>(random() % 9000 + 1, stream.size() - at);
      at += feed(std::span(stream).subspan(at, step));
      pump(random() % 5000 + 1);
    }
    pump();
    ASSERT_EQ(session_->under_way(), 0U);
    output_.clear();
    session_.reset();
  }
  EXPECT_EQ(volume_.misaligned, 0U);
}

}  // namespace
}  // namespace dmr::nbd

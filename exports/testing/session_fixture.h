// SPDX-License-Identifier: GPL-2.0-or-later
// The transmission phase without a socket, over a volume in memory: what is fed in, what comes out.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "exports/nbd/session.h"
#include "exports/testing/memory_volume.h"
#include "exports/testing/nbd_client.h"

namespace dmr::nbd::session_test {

using exports::testing::Bytes;
using exports::testing::MemoryVolume;
using exports::testing::Reply;
using exports::testing::request;

inline constexpr u64 kMiB = 1U << 20;

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
  // As a client that breaks off and comes back.
  void open_again() {
    close();
    open(structured_);
  }
  void close() {
    session_.reset();
    queue_.reset();
  }
  static int flush(runtime::Queue& queue) {
    runtime::QueueRequest request;
    request.op = IoOp::flush;
    request.done = [](runtime::QueueRequest&) {};
    std::array<runtime::QueueRequest*, 1> batch = {&request};
    queue.submit(batch);
    while (queue.process(true) == 0) {
    }
    return request.error;
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
  // So that this client has something to lose.
  void write_something() { EXPECT_EQ(command(CommandType::write_zeroes, 0, 4096), WireError::ok); }
  // As the owner of a socket that the client has emptied.
  void read_replies() {
    EXPECT_TRUE(session_->awaits_reading());
    session_->replies_read();
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

}  // namespace dmr::nbd::session_test

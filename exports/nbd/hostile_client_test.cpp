// SPDX-License-Identifier: GPL-2.0-or-later
// Clients that mean harm, beside a good one that must not notice any of them.
#include <sys/socket.h>

#include <atomic>
#include <memory>
#include <random>
#include <thread>

#include <gtest/gtest.h>

#include "exports/nbd/server.h"
#include "exports/testing/memory_volume.h"
#include "exports/testing/nbd_client.h"
#include "exports/testing/temporary_folder.h"

namespace dmr::nbd {
namespace {

using exports::testing::Bytes;
using exports::testing::client_flags;
using exports::testing::go_data;
using exports::testing::MemoryVolume;
using exports::testing::NbdClient;
using exports::testing::operator+;
using exports::testing::option;
using exports::testing::pattern;
using exports::testing::Reply;
using exports::testing::request;

// Writes and reads back its own part of the volume until told to stop.
class GoodClient {
 public:
  explicit GoodClient(const std::string& path) : client_(path) {
    EXPECT_TRUE(client_.go());
    thread_ = std::thread([this] { run(); });
  }
  ~GoodClient() {
    stop_ = true;
    thread_.join();
    EXPECT_EQ(failures_, 0U);
    EXPECT_GT(rounds_, 0U);
  }
  // Waits until it has worked a while since now.
  void work_on() const {
    const u64 until = rounds_ + 50;
    while (rounds_ < until && failures_ == 0) std::this_thread::yield();
  }

 private:
  void run() {
    Bytes got(16384);
    while (!stop_ || rounds_ == 0) {
      const Bytes data = pattern(got.size(), rounds_);
      const u64 offset = rounds_ % 64 * got.size();
      if (!client_.write(offset, data) || !client_.read(offset, got) || got != data) ++failures_;
      ++rounds_;
    }
  }

  NbdClient client_;
  std::atomic<u64> rounds_ = 0;
  std::atomic<u64> failures_ = 0;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

class HostileClientTest : public ::testing::Test {
 protected:
  HostileClientTest() {
    EXPECT_TRUE(server_.start());
    good_ = std::make_unique<GoodClient>(path_);
  }
  ~HostileClientTest() override {
    good_->work_on();
    good_.reset();
  }
  // A client in the transmission phase.
  std::unique_ptr<NbdClient> connected(bool structured = true) {
    auto client = std::make_unique<NbdClient>(path_);
    EXPECT_TRUE(client->go(structured));
    return client;
  }
  static void skip_greeting(NbdClient& client) {
    Bytes greeting(kGreetingBytes);
    EXPECT_TRUE(client.receive(greeting));
  }

  MemoryVolume volume_{65536};
  exports::testing::TemporaryFolder folder_;
  std::string path_ = folder_ / "nbd.sock";
  Server server_{volume_, {.socket_path = path_, .handshake_timeout = std::chrono::seconds(2)}};
  std::unique_ptr<GoodClient> good_;
};

constexpr u64 kFar = 16U << 20;  // beyond the good client's part

TEST_F(HostileClientTest, GarbageInsteadOfAHandshake) {
  for (u64 i = 0; i < 50; ++i) {
    NbdClient client(path_);
    skip_greeting(client);
    (void)client.send(pattern(5000, i));
    EXPECT_TRUE(client.at_end());
  }
}

TEST_F(HostileClientTest, GarbageInsteadOfRequests) {
  for (u64 i = 0; i < 50; ++i) {
    auto client = connected();
    (void)client->send(pattern(5000, i));
    EXPECT_TRUE(client->at_end());
  }
}

TEST_F(HostileClientTest, OversizeWrite) {
  auto client = connected();
  (void)client->send(request(CommandType::write, 1, kFar, 0xfffffe00));
  EXPECT_TRUE(client->at_end());
}

TEST_F(HostileClientTest, TenThousandOptions) {
  NbdClient client(path_);
  skip_greeting(client);
  (void)client.send(client_flags());
  for (int i = 0; i < 10'000; ++i) {
    if (!client.send(option(Option::list))) break;
  }
  Bytes answers(1 << 20);
  EXPECT_FALSE(client.receive(answers));
}

TEST_F(HostileClientTest, OptionThatPromisesGigabytes) {
  NbdClient client(path_);
  skip_greeting(client);
  Bytes header = option(Option::go);
  store_big(header.data() + 12, u32{0xffffffff});
  (void)client.send(client_flags() + header + Bytes(100'000));
  EXPECT_TRUE(client.at_end());
}

TEST_F(HostileClientTest, GoneInTheMiddleOfAWrite) {
  for (u32 length = 512; length <= 4U << 20; length *= 2) {
    auto client = connected();
    const Bytes data = pattern(length / 2, length);
    ASSERT_TRUE(client->send(request(CommandType::write, 1, kFar, length) + data));
  }
  while (server_.connections() > 1) good_->work_on();
  // Half a write is no write.
  const u64 rest = volume_.sectors() * kSectorBytes - kFar;
  EXPECT_EQ(volume_.content(kFar, rest), Bytes(rest));
}

TEST_F(HostileClientTest, GoneWithRequestsUnderWay) {
  for (int i = 0; i < 20; ++i) {
    auto client = connected(i % 2 == 0);
    for (u64 n = 0; n < 100; ++n) {
      ASSERT_TRUE(client->send(request(CommandType::read, n, kFar, 65536)));
    }
  }
}

TEST_F(HostileClientTest, HalfARequestForEver) {
  auto client = connected();
  const Bytes bytes = request(CommandType::read, 1, kFar, 4096);
  ASSERT_TRUE(client->send(std::span(bytes).first(15)));
  good_->work_on();
  ASSERT_TRUE(client->send(std::span(bytes).subspan(15)));
  Reply reply;
  EXPECT_TRUE(client->receive_reply(reply));  // it has harmed nobody, so it is served
}

TEST_F(HostileClientTest, NeverReadsItsReplies) {
  auto client = connected();
  const timeval short_patience{0, 200'000};
  setsockopt(client->fd(), SOL_SOCKET, SO_SNDTIMEO, &short_patience, sizeof short_patience);
  u64 sent = 0;
  while (sent < 100'000 && client->send(request(CommandType::read, sent, kFar, 1 << 20))) ++sent;
  // The server has stopped listening to it; what it holds for it is bounded.
  EXPECT_LT(sent, 100'000U);
  good_->work_on();
}

TEST_F(HostileClientTest, SlowReaderGetsEverything) {
  auto client = connected();
  volume_.put(kFar + 12345, std::byte{77});
  for (u64 i = 0; i < 30; ++i) {
    ASSERT_TRUE(client->send(request(CommandType::read, i, kFar, 4 << 20)));
  }
  good_->work_on();
  u64 bytes = 0;
  while (bytes < u64{30} * (4 << 20)) {
    Reply reply;
    ASSERT_TRUE(client->receive_reply(reply));
    bytes += reply.data.size();
    if (reply.offset == kFar) {
      EXPECT_EQ(reply.data[12345], std::byte{77});
    }
  }
}

TEST_F(HostileClientTest, ManySilentClients) {
  std::vector<std::unique_ptr<NbdClient>> silent;
  for (u32 i = 0; i + 2 < kMaxConnections; ++i)
    silent.push_back(std::make_unique<NbdClient>(path_));
  auto late = connected();
  EXPECT_TRUE(late->write(kFar, Bytes(512)));
}

TEST_F(HostileClientTest, HandshakeByteByByte) {
  NbdClient client(path_);
  skip_greeting(client);
  const Bytes bytes = client_flags() + option(Option::go, go_data(""));
  for (const std::byte& one : bytes) ASSERT_TRUE(client.send(std::span(&one, 1)));
  Bytes answer(20 + 12 + 20 + 14 + 20);
  EXPECT_TRUE(client.receive(answer));
  EXPECT_EQ(client.command(CommandType::flush, 0, 0), WireError::ok);
}

TEST_F(HostileClientTest, SilentHandshakeIsDroppedInTime) {
  NbdClient client(path_);
  skip_greeting(client);
  const Bytes flags = client_flags();
  (void)client.send(std::span(flags).first(2));
  EXPECT_TRUE(client.at_end());
}

}  // namespace
}  // namespace dmr::nbd

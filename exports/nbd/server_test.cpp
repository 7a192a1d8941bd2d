// SPDX-License-Identifier: GPL-2.0-or-later
// The server over real sockets: who may connect, several clients, and its end.
#include "exports/nbd/server.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <fstream>
#include <future>
#include <poll.h>
#include <stdexcept>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "exports/testing/memory_volume.h"
#include "exports/testing/nbd_client.h"
#include "exports/testing/temporary_folder.h"

namespace dmr::nbd {
namespace {

using exports::testing::Bytes;
using exports::testing::MemoryVolume;
using exports::testing::NbdClient;
using exports::testing::operator+;
using exports::testing::pattern;
using exports::testing::Reply;
using exports::testing::request;
using ::testing::HasSubstr;
using std::chrono_literals::operator""s;

class ServerTest : public ::testing::Test {
 protected:
  ServerOptions options() { return {.socket_path = path_}; }
  void start() {
    server_.emplace(volume_, options());
    const auto started = server_->start();
    ASSERT_TRUE(started) << started.error().message;
  }
  void wait_for_no_clients() {
    while (volume_.queues_in_use() > 0) std::this_thread::yield();
  }
  // Ends the server; false when that takes too long.
  bool stops_in_time() {
    auto stopped = std::async(std::launch::async, [this] { server_->stop(); });
    return stopped.wait_for(15s) == std::future_status::ready;
  }

  MemoryVolume volume_{32768};
  exports::testing::TemporaryFolder folder_;
  std::string path_ = folder_ / "nbd.sock";
  std::optional<Server> server_;
};

TEST_F(ServerTest, SocketIsItsOwnersOnly) {
  const mode_t mask = umask(0);
  start();
  umask(mask);
  struct stat status{};
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  EXPECT_EQ(server_->uri(), "nbd+unix:///?socket=" + path_);
}

TEST_F(ServerTest, SocketIsGoneAfterStop) {
  start();
  server_->stop();
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(ServerTest, LongSocketPathIsRefused) {
  path_ = folder_ / std::string(120, 'x');
  Server server(volume_, options());
  const auto started = server.start();
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().message, HasSubstr("1 to 107 bytes"));
}

TEST_F(ServerTest, MissingFolderIsRefused) {
  path_ = folder_ / "none/nbd.sock";
  Server server(volume_, options());
  const auto started = server.start();
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().message, HasSubstr("No such file"));
}

TEST_F(ServerTest, SocketOfADeadServerIsReplaced) {
  {
    const runtime::FileDescriptor dead(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(bind(dead.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  ASSERT_TRUE(std::filesystem::exists(path_));
  start();
  NbdClient client(path_);
  EXPECT_TRUE(client.go());
}

TEST_F(ServerTest, SocketOfALivingServerIsRefused) {
  start();
  Server second(volume_, options());
  const auto started = second.start();
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().message, HasSubstr("another server"));
  NbdClient client(path_);
  EXPECT_TRUE(client.go());
}

TEST_F(ServerTest, FileInTheSocketsPlaceIsKept) {
  std::ofstream(path_) << "precious";
  Server server(volume_, options());
  EXPECT_FALSE(server.start());
  EXPECT_EQ(std::filesystem::file_size(path_), 8U);
}

TEST_F(ServerTest, TcpServesLoopbackOnly) {
  for (const char* host : {"0.0.0.0", "::", "192.0.2.1", "example.org"}) {
    Server server(volume_, {.tcp_host = host, .tcp_port = 0});
    EXPECT_FALSE(server.start()) << host;
  }
  Server server(volume_, {.tcp_host = "127.0.0.1", .tcp_port = 0});
  ASSERT_TRUE(server.start());
  const std::string uri = server.uri();
  ASSERT_THAT(uri, ::testing::StartsWith("nbd://127.0.0.1:"));
  NbdClient client(static_cast<u16>(std::stoul(uri.substr(uri.rfind(':') + 1))));
  ASSERT_TRUE(client.go());
  EXPECT_TRUE(client.write(0, pattern(4096, 1)));
}

TEST_F(ServerTest, ClientLearnsWhatTheVolumeIs) {
  volume_.logical_block = 4096;
  start();
  NbdClient client(path_);
  ASSERT_TRUE(client.go(true, "tank"));
  EXPECT_EQ(client.export_bytes, 32768U * 512);
  EXPECT_EQ(client.minimum_block, 4096U);
  EXPECT_EQ(client.preferred_block, 4096U);
  EXPECT_EQ(client.maximum_payload, 32U << 20);
  EXPECT_EQ(client.command(CommandType::trim, 512, 4096), WireError::invalid);
}

TEST_F(ServerTest, ClientsShareOneVolume) {
  start();
  NbdClient writer(path_);
  NbdClient reader(path_);
  ASSERT_TRUE(writer.go(true) && reader.go(false));
  EXPECT_NE(writer.flags & transmission_flag::kCanMultiConn, 0);
  const Bytes data = pattern(1 << 20, 2);
  ASSERT_TRUE(writer.write(4096, data));
  Bytes got(data.size());
  ASSERT_TRUE(reader.read(4096, got));
  EXPECT_EQ(got, data);
  EXPECT_EQ(volume_.queues, 2U);
  EXPECT_EQ(volume_.misaligned, 0U);
}

TEST_F(ServerTest, DisconnectClosesTheStream) {
  start();
  NbdClient client(path_);
  ASSERT_TRUE(client.go());
  ASSERT_TRUE(client.send(request(CommandType::disconnect, 1, 0, 0)));
  EXPECT_TRUE(client.at_end());
}

TEST_F(ServerTest, HalfClosedClientStillGetsItsAnswers) {
  start();
  volume_.hold();
  NbdClient client(path_);
  ASSERT_TRUE(client.go());
  ASSERT_TRUE(client.send(request(CommandType::read, 1, 0, 4096)));
  client.half_close();
  volume_.wait_for_held(1);
  volume_.release();
  Reply reply;
  ASSERT_TRUE(client.receive_reply(reply));
  EXPECT_EQ(reply.data.size(), 4096U);
  EXPECT_TRUE(client.at_end());
}

TEST_F(ServerTest, VolumeWithoutQueueTurnsClientsAway) {
  volume_.fail_queues = true;
  start();
  NbdClient client(path_);
  (void)client.go();
  EXPECT_TRUE(client.at_end());
}

// Such as one to a full disk.
TEST_F(ServerTest, LogThatFailsHarmsNoClient) {
  ServerOptions with_log = options();
  with_log.log = [](std::string_view) { throw std::runtime_error("No space left on device"); };
  server_.emplace(volume_, with_log);
  ASSERT_TRUE(server_->start());
  NbdClient bad(path_);
  Bytes greeting(18);
  ASSERT_TRUE(bad.receive(greeting));
  ASSERT_TRUE(bad.send(pattern(64, 1)));
  EXPECT_TRUE(bad.at_end());
  NbdClient good(path_);
  ASSERT_TRUE(good.go());
  EXPECT_TRUE(good.write(0, pattern(512, 3)));
}

TEST(RateLimitedLogTest, FloodIsCutOff) {
  u32 lines = 0;
  const RateLimitedLog log([&](std::string_view) { ++lines; });
  for (u32 i = 0; i < 10 * RateLimitedLog::kLines; ++i) log("again");
  EXPECT_EQ(lines, RateLimitedLog::kLines);
}

TEST_F(ServerTest, OnlySoManyClientsAreServed) {
  start();
  std::vector<std::unique_ptr<NbdClient>> clients;
  for (u32 i = 0; i < kMaxConnections; ++i) {
    clients.push_back(std::make_unique<NbdClient>(path_));
    ASSERT_TRUE(clients.back()->go());
  }
  NbdClient one_more(path_);
  EXPECT_FALSE(one_more.go());
  EXPECT_TRUE(clients.front()->write(0, pattern(512, 3)));
}

TEST_F(ServerTest, StopDropsIdleAndHagglingClients) {
  start();
  NbdClient idle(path_);
  ASSERT_TRUE(idle.go());
  NbdClient silent(path_);
  EXPECT_TRUE(stops_in_time());
  EXPECT_TRUE(idle.at_end());
}

TEST_F(ServerTest, StopFinishesWhatIsUnderWay) {
  start();
  NbdClient client(path_);
  ASSERT_TRUE(client.go());
  volume_.hold();
  const Bytes data = pattern(8192, 4);
  ASSERT_TRUE(client.send(request(CommandType::write, 1, 4096, 8192) + data));
  volume_.wait_for_held(1);
  auto stopped = std::async(std::launch::async, [this] { server_->stop(); });
  // The socket's name disappears just before clients are stopped.
  while (std::filesystem::exists(path_)) std::this_thread::yield();
  volume_.release();
  Reply reply;
  ASSERT_TRUE(client.receive_reply(reply));
  EXPECT_EQ(reply.cookie, 1U);
  EXPECT_EQ(reply.error, WireError::ok);
  EXPECT_EQ(volume_.content(4096, data.size()), data);
  ASSERT_EQ(stopped.wait_for(15s), std::future_status::ready);
}

TEST_F(ServerTest, contract_4_AClientThatConnectsAgainHearsOfARefusedFlushThatItMissed) {
  start();
  auto client = std::make_unique<NbdClient>(path_);
  ASSERT_TRUE(client->go());
  EXPECT_EQ(client->command(CommandType::flush, 0, 0), WireError::ok);
  ASSERT_TRUE(client->write(0, pattern(4096, 1)));
  volume_.refuse_a_flush();
  client = std::make_unique<NbdClient>(path_);
  ASSERT_TRUE(client->go());
  EXPECT_EQ(client->command(CommandType::flush, 0, 0), WireError::io);
  EXPECT_EQ(client->command(CommandType::flush, 0, 0), WireError::ok);
}

// It has sent more than the flush, and dies before it reads anything.
TEST_F(ServerTest, contract_4_AnAnswerThatLiesInADeadClientsSocketHasToldNothing) {
  start();
  {
    NbdClient client(path_);
    ASSERT_TRUE(client.go());
    ASSERT_TRUE(client.write(0, pattern(4096, 1)));
    volume_.refuse_a_flush();
    ASSERT_TRUE(client.send(request(CommandType::flush, 1, 0, 0)));
    pollfd answered = {client.fd(), POLLIN, 0};
    ASSERT_EQ(poll(&answered, 1, 20'000), 1);
    const unsigned before = volume_.requests;
    ASSERT_TRUE(client.send(request(CommandType::flush, 2, 0, 0)));
    while (volume_.requests == before) std::this_thread::yield();
  }
  wait_for_no_clients();
  NbdClient again(path_);
  ASSERT_TRUE(again.go());
  EXPECT_EQ(again.command(CommandType::flush, 0, 0), WireError::io);
}

// The next request tells: it comes from a client that has read all before.
TEST_F(ServerTest, contract_4_AnAnswerThatWasReadIsHeard) {
  start();
  {
    NbdClient client(path_);
    ASSERT_TRUE(client.go());
    ASSERT_TRUE(client.write(0, pattern(4096, 1)));
    volume_.refuse_a_flush();
    EXPECT_EQ(client.command(CommandType::flush, 0, 0), WireError::io);
    ASSERT_TRUE(client.write(0, pattern(4096, 1)));
  }
  wait_for_no_clients();
  NbdClient again(path_);
  ASSERT_TRUE(again.go());
  EXPECT_EQ(again.command(CommandType::flush, 0, 0), WireError::ok);
}

TEST_F(ServerTest, StopTellsClientsThatComeToo) {
  start();
  NbdClient client(path_);
  ASSERT_TRUE(client.go());
  volume_.hold();
  ASSERT_TRUE(client.send(request(CommandType::write, 1, 0, 512) + Bytes(512)));
  volume_.wait_for_held(1);
  auto stopped = std::async(std::launch::async, [this] { server_->stop(); });
  while (std::filesystem::exists(path_)) std::this_thread::yield();
  // The connection is stopped soon after; until then flushes are held, or done.
  WireError last = WireError::ok;
  ASSERT_TRUE(client.send(request(CommandType::flush, 2, 0, 0)));
  volume_.release();
  for (u64 cookie = 3; cookie < 200'000 && last != WireError::shutdown; ++cookie) {
    Reply reply;
    if (!client.receive_reply(reply)) break;
    last = reply.error;
    if (!client.send(request(CommandType::flush, cookie, 0, 0))) break;
  }
  EXPECT_EQ(last, WireError::shutdown);
  ASSERT_EQ(stopped.wait_for(15s), std::future_status::ready);
}

TEST_F(ServerTest, StopDoesNotWaitForGigabytesOfZeros) {
  start();
  NbdClient client(path_);
  ASSERT_TRUE(client.go());
  volume_.hold();
  const u16 no_hole = command_flag::kNoHole;
  ASSERT_TRUE(client.send(request(CommandType::write_zeroes, 1, 0, 32768U * 512, no_hole)));
  volume_.wait_for_held(1);
  auto stopped = std::async(std::launch::async, [this] { server_->stop(); });
  while (std::filesystem::exists(path_)) std::this_thread::yield();
  volume_.release();
  EXPECT_EQ(stopped.wait_for(15s), std::future_status::ready);
}

TEST_F(ServerTest, StopDoesNotWaitForAClientThatDoesNotRead) {
  start();
  NbdClient client(path_);
  ASSERT_TRUE(client.go());
  for (u64 i = 0; i < 64; ++i) {
    ASSERT_TRUE(client.send(request(CommandType::read, i, 0, 8 << 20)));
  }
  EXPECT_TRUE(stops_in_time());
}

}  // namespace
}  // namespace dmr::nbd

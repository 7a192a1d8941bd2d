// SPDX-License-Identifier: GPL-2.0-or-later
// The control socket: names, locks, hostile and slow clients.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <poll.h>
#include <semaphore>
#include <thread>

#include <gtest/gtest.h>

#include "runtime/control/client.h"
#include "runtime/control/server.h"
#include "runtime/control/unix_address.h"
#include "runtime/testing/control_fixture.h"

namespace dmr::runtime {
namespace {

using namespace testing;
using Json = nlohmann::json;
using namespace std::chrono_literals;

TEST_F(ControlTest, NamesAreCheckedBeforeTheyBecomePaths) {
  for (const char* name : {"vol", "a", "disk-1.old_x+y", "A"})
    EXPECT_TRUE(valid_name(name)) << name;
  for (const char* name : {"", ".", "..", "-x", "a/b", "a b", "a\n", "\xC3\xA9"}) {
    EXPECT_FALSE(valid_name(name)) << name;
  }
  EXPECT_FALSE(valid_name(std::string(64, 'a')));
}

TEST_F(ControlTest, TooLongASocketPathIsAClearError) {
  ::setenv("DM_REMAP_RUNTIME_DIR", ("/tmp/" + std::string(100, 'd')).c_str(), 1);
  const auto path = socket_path("volume", ".sock");
  ASSERT_FALSE(path);
  EXPECT_NE(path.error().message.find("too long"), std::string::npos);
  EXPECT_FALSE(ControlClient::connect("volume"));
}

TEST_F(ControlTest, RuntimeFolderThatCannotBeMadeIsAClearError) {
  ::setenv("DM_REMAP_RUNTIME_DIR", (folder.folder() + "/missing/deeper").c_str(), 1);
  const auto made = prepare_runtime_directory();
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().message.find("DM_REMAP_RUNTIME_DIR"), std::string::npos);
  const std::string file = folder.text_file("file", "");
  ::setenv("DM_REMAP_RUNTIME_DIR", file.c_str(), 1);
  EXPECT_FALSE(prepare_runtime_directory());
}

TEST_F(ControlTest, OneServerForAName) {
  auto first = NameLock::take("vol");
  ASSERT_TRUE(first);
  const auto second = NameLock::take("vol");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().exit_code, kExitRefused);
  EXPECT_EQ(NameLock::holder("vol"), ::getpid());
  EXPECT_EQ(running_names(), std::vector<std::string>{"vol"});
  {
    const NameLock gone = std::move(*first);
  }
  EXPECT_EQ(NameLock::holder("vol"), 0);
  EXPECT_TRUE(running_names().empty());
  EXPECT_TRUE(NameLock::take("vol"));
}

TEST_F(ControlTest, FilesOfAKilledServerAreTakenOver) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto lock = NameLock::take("vol");
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    const UnixAddress address(runtime_file("vol", ".sock"));
    const bool bound = ::bind(fd, address.get(), UnixAddress::size()) == 0;
    const char answer = lock && bound ? 'y' : 'n';
    [[maybe_unused]] const ssize_t told = ::write(ready[1], &answer, 1);
    while (true) ::pause();
  }
  char answer = 0;
  ASSERT_EQ(::read(ready[0], &answer, 1), 1);
  ASSERT_EQ(answer, 'y');
  EXPECT_EQ(NameLock::holder("vol"), child);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(NameLock::holder("vol"), 0);
  const auto refused = ControlClient::connect("vol");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("not running"), std::string::npos);
  const auto lock = NameLock::take("vol");
  ASSERT_TRUE(lock);
  serve();
  EXPECT_TRUE(ControlClient::connect("vol")->call({{"x", 1}}));
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(ControlTest, SocketIsForItsOwnerOnly) {
  serve();
  struct stat info{};
  ASSERT_EQ(::stat(server->path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
  const std::string path = server->path();
  server.reset();
  EXPECT_NE(::stat(path.c_str(), &info), 0);
}

TEST_F(ControlTest, AnswersInOrderOnOneConnection) {
  serve();
  auto client = ControlClient::connect("vol");
  ASSERT_TRUE(client);
  for (int i = 0; i < 100; ++i) {
    const auto answer = client->call({{"number", i}});
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->at("number"), i);
  }
  const FileDescriptor pipelined = raw();
  send_text(pipelined, "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
  for (int i = 1; i <= 3; ++i) {
    EXPECT_EQ(Json::parse(receive(pipelined))["result"]["n"], i);
  }
}

TEST_F(ControlTest, ErrorsCarryTheirExitStatus) {
  serve(
      [](const Json&, const Responder& responder) { responder.error(Error{"no", kExitRefused}); });
  const auto answer = ControlClient::connect("vol")->call(Json::object());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().message, "no");
  EXPECT_EQ(answer.error().exit_code, kExitRefused);
}

TEST_F(ControlTest, GarbageGetsAnErrorAndHarmsNobody) {
  serve();
  const FileDescriptor bad = raw();
  for (const std::string& text : {std::string("\n"), std::string("hello\n"), std::string("[1,2]\n"),
                                  std::string("\xFF\xFE\n"), std::string("{\"a\":}\n"),
                                  std::string(60000, '[') + "\n", std::string("\0\0\n", 3)}) {
    send_text(bad, text);
    EXPECT_EQ(Json::parse(receive(bad))["ok"], false);
  }
  send_text(bad, "{\"still\":1}\n");
  EXPECT_EQ(Json::parse(receive(bad))["ok"], true);
}

TEST_F(ControlTest, RequestWithAKeyOfTheWrongTypeIsAnError) {
  serve([](const Json& request, const Responder& responder) {
    responder.ok(request.at("number").get<u64>());
  });
  auto client = ControlClient::connect("vol");
  EXPECT_EQ(client->call({{"number", "seven"}}).error().exit_code, kExitUsage);
  EXPECT_EQ(client->call(Json::object()).error().exit_code, kExitUsage);
  EXPECT_EQ(*client->call({{"number", 7}}), 7);
}

TEST_F(ControlTest, HandlerThatFailsCostsOneAnswer) {
  serve([](const Json& request, const Responder& responder) {
    if (request.contains("fail")) throw std::bad_alloc();
    responder.ok(request);
  });
  const auto refused = ControlClient::connect("vol")->call({{"fail", 1}});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("the server failed"), std::string::npos);
  EXPECT_TRUE(ControlClient::connect("vol")->call({{"x", 1}}));
}

TEST_F(ControlTest, OversizedRequestIsRefusedAndDropped) {
  serve();
  const FileDescriptor big = raw();
  send_text(big, std::string(200'000, 'x'));
  const Json answer = Json::parse(receive(big));
  EXPECT_EQ(answer["ok"], false);
  char c = 0;
  EXPECT_LE(::recv(big.get(), &c, 1, 0), 0);
  EXPECT_TRUE(ControlClient::connect("vol")->call({{"x", 1}}));
}

TEST_F(ControlTest, SlowClientsDoNotHoldUpOthersAndAreDroppedInTheEnd) {
  ControlLimits limits;
  limits.idle = 200ms;
  serve(echo, limits);
  const FileDescriptor slow = raw();
  send_text(slow, "{\"half\"");
  EXPECT_TRUE(ControlClient::connect("vol")->call({{"x", 1}}, 5000ms));
  char c = 0;
  EXPECT_EQ(::recv(slow.get(), &c, 1, 0), 0);  // ends when the server drops it
}

TEST_F(ControlTest, ClientThatNeverReadsIsDropped) {
  ControlLimits limits;
  limits.idle = 200ms;
  serve([](const Json&, const Responder& responder) { responder.ok(std::string(4 << 20, 'x')); },
        limits);
  const FileDescriptor deaf = raw();
  send_text(deaf, "{}\n");
  EXPECT_TRUE(ControlClient::connect("vol")->call(Json::object(), 5000ms));
  std::string got;
  pollfd dropped{deaf.get(), 0, 0};
  ASSERT_EQ(::poll(&dropped, 1, 20'000), 1);
  char bytes[65536];
  ssize_t count = 0;
  while ((count = ::recv(deaf.get(), bytes, sizeof bytes, 0)) > 0) {
    got.append(bytes, static_cast<std::size_t>(count));
  }
  EXPECT_LT(got.size(), std::size_t{4 << 20});
}

TEST_F(ControlTest, MoreConnectionsThanAllowedWait) {
  ControlLimits limits;
  limits.connections = 2;
  limits.idle = 300ms;
  serve(echo, limits);
  const FileDescriptor a = raw();
  const FileDescriptor b = raw();
  // Gets its turn when an idle one has been dropped.
  EXPECT_TRUE(ControlClient::connect("vol")->call({{"x", 1}}, 10'000ms));
}

// Else one who looks whether the server still works would take it for dead.
TEST_F(ControlTest, ClientsThatWaitForTheirAnswersKeepNobodyOut) {
  ControlLimits limits;
  limits.connections = 2;
  limits.waiting = 3;
  std::vector<Responder> waiting;
  std::counting_semaphore<> asked{0};
  serve(
      [&](const Json& request, const Responder& responder) {
        if (request.contains("x")) return responder.ok(1);
        waiting.push_back(responder);
        asked.release();
      },
      limits);
  std::vector<FileDescriptor> clients;
  for (int i = 0; i < 4; ++i) {
    clients.push_back(raw());
    send_text(clients.back(), "{}\n");
    asked.acquire();
  }
  EXPECT_TRUE(ControlClient::connect("vol")->call({{"x", 1}}, 10'000ms));
  server.reset();  // before what its handler uses
}

TEST_F(ControlTest, UnansweredRequestGetsAnError) {
  serve([](const Json&, const Responder&) {});
  EXPECT_FALSE(ControlClient::connect("vol")->call(Json::object()));
}

TEST_F(ControlTest, AnswerMayComeLaterFromAnotherThreadEvenAfterTheServerHasGone) {
  std::atomic<bool> go{false};
  std::binary_semaphore asked{0};
  std::thread worker;
  serve([&](const Json&, const Responder& responder) {
    worker = std::thread([&go, responder] {
      while (!go.load()) std::this_thread::yield();
      responder.ok(1);
    });
    asked.release();
  });
  const FileDescriptor client = raw();
  send_text(client, "{}\n");
  const auto other = ControlClient::connect("vol");
  ASSERT_TRUE(other);
  asked.acquire();
  server.reset();
  go = true;
  worker.join();
}

TEST_F(ControlTest, OtherUsersAreRefused) {
  if (::geteuid() != 0) GTEST_FAIL() << "needs root to become another user";
  serve();
  ::chmod(folder.folder().c_str(), 0755);
  ::chmod(server->path().c_str(), 0666);  // as if the mode had been loosened
  const FileDescriptor mine = raw();
  int verdict[2];
  ASSERT_EQ(::pipe(verdict), 0);
  const std::string path = server->path();
  const pid_t child = ::fork();
  if (child == 0) {
    char result = '?';
    if (::setgid(65534) == 0 && ::setuid(65534) == 0) {
      const FileDescriptor fd(::socket(AF_UNIX, SOCK_STREAM, 0));
      const UnixAddress address(path);
      if (::connect(fd.get(), address.get(), UnixAddress::size()) == 0) {
        send_text(fd, "{}\n");
        result = receive(fd).find("\"ok\":true") == std::string::npos ? 'r' : 'a';
      }
    }
    [[maybe_unused]] const ssize_t told = ::write(verdict[1], &result, 1);
    ::_exit(0);
  }
  char result = 0;
  ASSERT_EQ(::read(verdict[0], &result, 1), 1);
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(result, 'r');
  send_text(mine, "{}\n");
  EXPECT_EQ(Json::parse(receive(mine))["ok"], true);
  ::close(verdict[0]);
  ::close(verdict[1]);
}

TEST_F(ControlTest, TheRequestThatEndsTheServerIsAnswered) {
  for (int round = 0; round < 50; ++round) {
    std::binary_semaphore asked{0};
    serve([&](const Json& request, const Responder& responder) {
      responder.ok(request);
      asked.release();
    });
    const FileDescriptor client = raw();
    send_text(client, "{\"op\":\"stop\"}\n");
    asked.acquire();
    server.reset();
    EXPECT_NE(receive(client), "") << "round " << round;
  }
}

}  // namespace
}  // namespace dmr::runtime

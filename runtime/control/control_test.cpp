// SPDX-License-Identifier: GPL-2.0-or-later
// The control socket: names, locks, hostile and slow clients, and what a volume answers.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "runtime/control/client.h"
#include "runtime/control/server.h"
#include "runtime/control/volume_control.h"
#include "runtime/testing/volume_fixture.h"

namespace dmr::runtime {
namespace {

using namespace testing;
using Json = nlohmann::json;
using namespace std::chrono_literals;

class ControlTest : public ::testing::Test {
 protected:
  ControlTest() { ::setenv("DM_REMAP_RUNTIME_DIR", folder.folder().c_str(), 1); }
  ~ControlTest() override { ::unsetenv("DM_REMAP_RUNTIME_DIR"); }

  void serve(ControlServer::Handler handler = echo, const ControlLimits& limits = {}) {
    auto started = ControlServer::start("vol", std::move(handler), limits);
    ASSERT_TRUE(started) << started.error().message;
    server = std::move(*started);
  }
  static void echo(const Json& request, const Responder& responder) { responder.ok(request); }

  // A bare client that may do what it likes.
  FileDescriptor raw() {
    FileDescriptor fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, server->path().c_str());
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return fd;
  }
  static void send_text(const FileDescriptor& fd, const std::string& text) {
    for (std::size_t sent = 0; sent < text.size();) {
      const ssize_t now = ::send(fd.get(), text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
      if (now <= 0) return;  // dropped by the server
      sent += static_cast<std::size_t>(now);
    }
  }
  // Up to a line, or all there is when the server closes.
  static std::string receive(const FileDescriptor& fd) {
    std::string text;
    char c = 0;
    while (::recv(fd.get(), &c, 1, 0) == 1 && c != '\n') text += c;
    return text;
  }

  TempFolder folder;
  std::unique_ptr<ControlServer> server;
};

TEST_F(ControlTest, NamesAreCheckedBeforeTheyBecomePaths) {
  for (const char* name : {"vol", "a", "disk-1.old_x+y", "A"}) EXPECT_TRUE(valid_name(name)) << name;
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
  { const NameLock gone = std::move(*first); }
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
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, runtime_file("vol", ".sock").c_str());
    const bool bound = ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
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
  struct stat info {};
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
  serve([](const Json&, const Responder& responder) {
    responder.error(Error{"no", kExitRefused});
  });
  const auto answer = ControlClient::connect("vol")->call(Json::object());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().message, "no");
  EXPECT_EQ(answer.error().exit_code, kExitRefused);
}

TEST_F(ControlTest, GarbageGetsAnErrorAndHarmsNobody) {
  serve();
  const FileDescriptor bad = raw();
  for (const std::string& text :
       {std::string("\n"), std::string("hello\n"), std::string("[1,2]\n"), std::string("\xFF\xFE\n"),
        std::string("{\"a\":}\n"), std::string(60000, '[') + "\n", std::string("\0\0\n", 3)}) {
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
  std::this_thread::sleep_for(400ms);
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

TEST_F(ControlTest, UnansweredRequestGetsAnError) {
  serve([](const Json&, const Responder&) {});
  EXPECT_FALSE(ControlClient::connect("vol")->call(Json::object()));
}

TEST_F(ControlTest, AnswerMayComeLaterFromAnotherThreadEvenAfterTheServerHasGone) {
  std::atomic<bool> go{false};
  std::atomic<bool> asked{false};
  std::thread worker;
  serve([&](const Json&, const Responder& responder) {
    worker = std::thread([&go, responder] {
      while (!go.load()) std::this_thread::yield();
      responder.ok(1);
    });
    asked = true;
  });
  const FileDescriptor client = raw();
  send_text(client, "{}\n");
  const auto other = ControlClient::connect("vol");
  ASSERT_TRUE(other);
  while (!asked.load()) std::this_thread::sleep_for(1ms);
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
      sockaddr_un address{};
      address.sun_family = AF_UNIX;
      std::strcpy(address.sun_path, path.c_str());
      if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
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

class VolumeControlTest : public ControlTest {
 protected:
  void SetUp() override {
    SetPaths specs{folder.file("main", 64 << 20), {folder.file("spare", 8 << 20)}};
    create_set(specs);
    specs.main = "faulty:" + folder.text_file("plan.json", "{}") + ":" + specs.main;
    VolumeOptions options;
    options.name = "vol";
    auto opened = open_set(specs, options);
    ASSERT_TRUE(opened) << opened.error().message;
    volume = std::move(*opened);
    serve(volume_handler({.volume = volume.get(),
                          .stop = [this] { stopped = true; },
                          .exports = Json::array({"here"})}));
    auto connected = ControlClient::connect("vol");
    ASSERT_TRUE(connected);
    client = std::make_unique<ControlClient>(std::move(*connected));
  }
  void TearDown() override {
    server.reset();
    EXPECT_TRUE(volume->close());
  }
  Json call(const Json& request) {
    auto answer = client->call(request);
    EXPECT_TRUE(answer) << answer.error().message;
    return answer ? *answer : Json::object();
  }

  std::unique_ptr<UserVolume> volume;
  std::unique_ptr<ControlClient> client;
  std::atomic<bool> stopped{false};
};

TEST_F(VolumeControlTest, StatusHasTheDocumentedKeys) {
  Client user(*volume);
  ASSERT_EQ(user.fill(Sector(0), 8, 1).error, 0);
  const Json status = call({{"op", "status"}});
  EXPECT_EQ(status["name"], "vol");
  EXPECT_EQ(status["pid"], ::getpid());
  EXPECT_EQ(status["volume_sectors"], 131072);
  EXPECT_EQ(status["writable"], true);
  EXPECT_EQ(status["exports"][0], "here");
  EXPECT_EQ(status["io"]["writes"], 1);
  EXPECT_EQ(status["io"]["write_bytes"], 4096);
  EXPECT_EQ(status["set"].get<std::string>().size(), 36U);
  ASSERT_EQ(status["members"].size(), 2U);
  EXPECT_EQ(status["members"][0]["role"], "main");
  EXPECT_EQ(status["members"][1]["role"], "spare");
  EXPECT_EQ(status["members"][1]["state"], "live");
  EXPECT_EQ(status["members"][0]["path"], folder.path("main"));
  EXPECT_GT(status["members"][1]["free_blocks"], 0);
  EXPECT_EQ(status["pools"]["buffers"]["size"], 8);
}

TEST_F(VolumeControlTest, MarkMapAndForget) {
  const Json marked = call({{"op", "mark"},
                            {"ranges", {{{"sector", 4096}, {"count", 8}}, {{"sector", 808}}}}});
  EXPECT_EQ(marked["status"], "ok");
  EXPECT_EQ(marked["blocks_changed"], 2);
  Json page = call({{"op", "map"}, {"limit", 1}});
  ASSERT_EQ(page["runs"].size(), 1U);
  EXPECT_EQ(page["done"], false);
  EXPECT_EQ(page["runs"][0]["sector"], 808);
  EXPECT_EQ(page["runs"][0]["member"], 1);
  page = call({{"op", "map"}, {"cursor", page["cursor"]}, {"limit", 5}});
  ASSERT_EQ(page["runs"].size(), 1U);
  EXPECT_EQ(page["runs"][0]["sector"], 4096);
  EXPECT_EQ(page["done"], true);
  EXPECT_EQ(call({{"op", "checkpoint"}})["status"], "ok");
  EXPECT_EQ(call({{"op", "forget"}, {"ranges", {{{"sector", 0}, {"count", 8192}}}}})["status"],
            "ok");
  EXPECT_EQ(call({{"op", "map"}})["runs"].size(), 0U);
}

TEST_F(VolumeControlTest, RangesOutsideOfTheVolumeAreRefused) {
  for (const Json& ranges :
       {Json::array(), Json::array({{{"sector", 131072}}}),
        Json::array({{{"sector", 131071}, {"count", 2}}}), Json::array({{{"sector", 1}, {"count", 0}}}),
        Json::array({{{"sector", 8}, {"count", ~u64{0}}}})}) {
    const auto answer = client->call({{"op", "mark"}, {"ranges", ranges}});
    ASSERT_FALSE(answer) << ranges.dump();
    EXPECT_EQ(answer.error().exit_code, kExitUsage);
  }
  EXPECT_FALSE(client->call({{"op", "mark"}}));
  EXPECT_FALSE(client->call({{"op", "dance"}}));
}

TEST_F(VolumeControlTest, FaultsReachTheDecoratorAndEventsComeBack) {
  EXPECT_EQ(call({{"op", "faults"},
                  {"member", 0},
                  {"request", {{"add", {{{"sector", 80}, {"on", "write"}}}}}}})["ranges"],
            1);
  Client user(*volume);
  ASSERT_EQ(user.fill(Sector(80), 8, 1).error, 0);
  const Json events = call({{"op", "events"}});
  ASSERT_EQ(events["events"].size(), 1U);
  EXPECT_EQ(events["events"][0]["kind"], "remapped");
  EXPECT_EQ(events["events"][0]["sector"], 80);
  EXPECT_EQ(call({{"op", "events"}, {"after", events["newest"]}})["events"].size(), 0U);
  EXPECT_FALSE(client->call({{"op", "faults"}, {"member", 1}}));
  EXPECT_FALSE(client->call({{"op", "faults"}, {"member", 9}}));
}

TEST_F(VolumeControlTest, StopIsPassedOn) {
  call({{"op", "stop"}});
  for (int i = 0; i < 5000 && !stopped.load(); ++i) std::this_thread::sleep_for(1ms);
  EXPECT_TRUE(stopped.load());
}

}  // namespace
}  // namespace dmr::runtime

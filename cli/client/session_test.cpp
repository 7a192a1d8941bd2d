// SPDX-License-Identifier: GPL-2.0-or-later
// What a command makes of a server's answers, and of none.
#include "cli/client/session.h"

#include <atomic>

#include <gtest/gtest.h>

#include "cli/client/socket_link.h"
#include "runtime/testing/control_fixture.h"

namespace dmr::cli {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using runtime::Responder;

class SessionTest : public runtime::testing::ControlTest {
 protected:
  ~SessionTest() override { server.reset(); }  // before what its handler uses

  SocketLink link() {
    auto client = runtime::ControlClient::connect("vol");
    EXPECT_TRUE(client) << client.error().message;
    return {"vol", std::move(*client), 10ms};
  }

  std::atomic<u32> looks = 0;
  std::vector<Responder> waiting;  // the server's thread only
};

TEST_F(SessionTest, ALongRequestIsWaitedForWhileOthersAreAnswered) {
  serve([this](const json& request, const Responder& responder) {
    if (request["op"] == "mark") return waiting.push_back(responder);
    responder.ok(json::object());
    if (++looks == 3) waiting.front().ok({{"status", "ok"}});
  });
  const auto answer = link().call_long({{"op", "mark"}}, 60s, 60s);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->at("status"), "ok");
  EXPECT_EQ(looks, 3U);
}

TEST_F(SessionTest, AServerThatAnswersNothingAnyMoreIsNotWaitedFor) {
  serve([this](const json&, const Responder& responder) { waiting.push_back(responder); });
  const auto lock = runtime::NameLock::take("vol");
  ASSERT_TRUE(lock) << lock.error().message;
  const auto answer = link().call_long({{"op", "mark"}}, 1s, 60s);
  ASSERT_FALSE(answer);
  EXPECT_NE(answer.error().message.find("`vol`"), std::string::npos);
  EXPECT_NE(answer.error().message.find("has not answered for 1 s"), std::string::npos);
  EXPECT_NE(answer.error().message.find("kill -9"), std::string::npos);
  EXPECT_EQ(answer.error().exit_code, runtime::kExitFailed);
}

TEST_F(SessionTest, ARequestThatIsNeverAnsweredIsGivenUpInTheEnd) {
  serve([this](const json& request, const Responder& responder) {
    if (request["op"] == "mark") return waiting.push_back(responder);
    responder.ok(json::object());
  });
  const auto answer = link().call_long({{"op", "mark"}}, 60s, 200ms);
  ASSERT_FALSE(answer);
  EXPECT_NE(answer.error().message.find("is still at work"), std::string::npos);
  EXPECT_EQ(answer.error().message.find("kill"), std::string::npos);
}

// It is there already when the request is looked after again.
TEST_F(SessionTest, ARefusalIsAnAnswerToALongRequestToo) {
  serve([this](const json& request, const Responder& responder) {
    if (request["op"] == "mark") return waiting.push_back(responder);
    if (++looks == 1) waiting.front().error({.message = "no"});
    responder.ok(json::object());
  });
  const auto answer = link().call_long({{"op", "mark"}}, 60s, 60s);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().message, "no");
}

TEST_F(SessionTest, WhyAVolumeTakesNoChangesIsAskedForOnce) {
  serve([this](const json& request, const Responder& responder) {
    if (request["op"] == "mark") {
      return responder.ok({{"status", "read_only"},
                           {"blocks_changed", 7},
                           {"blocks_unchanged", 0},
                           {"sectors_lost", 0},
                           {"rest", nullptr}});
    }
    responder.ok({{"name", "vol"}, {"read_only_by_failure", ++looks > 1}});
  });
  const auto lock = runtime::NameLock::take("vol");
  ASSERT_TRUE(lock) << lock.error().message;
  auto session = Session::open("vol");
  ASSERT_TRUE(session) << session.error().message;
  const SectorRange range{Sector(8), 8};
  const auto moved = session->move("mark", {&range, 1});
  ASSERT_FALSE(moved);
  EXPECT_NE(moved.error().message.find("could not be written"), std::string::npos);
  EXPECT_EQ(looks, 2U);  // before the order, and after it
}

}  // namespace
}  // namespace dmr::cli

// SPDX-License-Identifier: GPL-2.0-or-later
// What a running volume answers over its control socket.
#include "runtime/control/volume_control.h"

#include <semaphore>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#include "runtime/testing/control_fixture.h"
#include "runtime/testing/volume_fixture.h"

namespace dmr::runtime {
namespace {

using namespace testing;
using Json = nlohmann::json;

class VolumeControlTest : public ControlTest {
 protected:
  void SetUp() override {
    SetPaths specs{folder.file("main", 64 << 20), {folder.file("spare", 8 << 20)}};
    create_set(specs);
    specs.main = "faulty:" + folder.text_file("plan.json", "{}") + ":" + specs.main;
    VolumeOptions options;
    options.name = "vol";
    options.config.move_turn_ns = kMillisecond;
    auto opened = open_set(specs, options);
    ASSERT_TRUE(opened) << opened.error().message;
    volume = std::move(*opened);
    serve(volume_handler({.volume = volume.get(),
                          .stop = [this] { stopped.release(); },
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
  std::binary_semaphore stopped{0};
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
  const Json marked =
      call({{"op", "mark"}, {"ranges", {{{"sector", 4096}, {"count", 8}}, {{"sector", 808}}}}});
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

// Ten blocks of which each takes longer than a turn.
Json slow_blocks(UserVolume& volume, unsigned ms) {
  Json ranges = Json::array();
  Json slow = Json::array();
  for (u64 at = 0; at < 1280; at += 128) {
    ranges.push_back({{"sector", at}, {"count", 8}});
    slow.push_back({{"sector", at}, {"on", "read"}, {"error", "none"}, {"slow_ms", ms}});
  }
  EXPECT_TRUE(faulty(volume, 0).control({{"add", slow}}));
  return ranges;
}

TEST_F(VolumeControlTest, MarkIsDoneTurnByTurnAndEndsWithARestWhereASenderWantsThat) {
  const Json ranges = slow_blocks(*volume, 5);
  const Json first = call({{"op", "mark"}, {"ranges", ranges}, {"max_seconds", 0}});
  EXPECT_EQ(first["status"], "ok");
  EXPECT_EQ(first["blocks_changed"], 1);
  EXPECT_EQ(first["rest"], 128);
  const Json others = call({{"op", "mark"}, {"ranges", ranges}});
  EXPECT_EQ(others["blocks_changed"], 9);
  EXPECT_EQ(others["blocks_unchanged"], 1);
  EXPECT_TRUE(others["rest"].is_null());
}

TEST_F(VolumeControlTest, AMarkThatTheEndInterruptsTellsHowFarItCame) {
  const Json ranges = slow_blocks(*volume, 200);
  std::binary_semaphore answered{0};
  CommandResult result;
  std::vector<SectorRange> list;
  for (const Json& range : ranges) list.push_back({Sector(range["sector"].get<u64>()), 8});
  volume->command(CommandKind::mark, list, [&](const CommandResult& answer) {
    result = answer;
    answered.release();
  });
  while (volume->stats().relocated_blocks == 0) std::this_thread::yield();
  volume->end_commands();
  ASSERT_TRUE(answered.try_acquire());
  EXPECT_EQ(result.status, Status::closed);
  EXPECT_GE(result.blocks_changed, 1U);
  EXPECT_LT(result.blocks_changed, 10U);
  EXPECT_EQ(result.bad_sector, Sector(result.blocks_changed * 128));
  const Json later = call({{"op", "mark"}, {"ranges", ranges}});
  EXPECT_EQ(later["status"], "closed");
  EXPECT_EQ(later["bad_sector"], 0);
}

TEST_F(VolumeControlTest, RangesOutsideOfTheVolumeAreRefused) {
  for (const Json& ranges : {Json::array(), Json::array({{{"sector", 131072}}}),
                             Json::array({{{"sector", 131071}, {"count", 2}}}),
                             Json::array({{{"sector", 1}, {"count", 0}}}),
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

// Until the scrub does not run any more; each look is a round trip.
Json scrub_at_rest(UserVolume& volume) {
  while (volume.stats().scrub.state == ScrubState::running) std::this_thread::yield();
  return status_json(volume)["scrub"];
}

TEST_F(VolumeControlTest, AScrubFindsWhatNobodyHasRead) {
  ASSERT_TRUE(
      faulty(*volume, 0)
          .control(
              {{"add", {{{"sector", 5003}, {"count", 2}, {"on", "read"}, {"error", "ENODATA"}}}}}));
  const Json idle = call({{"op", "status"}})["scrub"];
  EXPECT_EQ(idle, (Json{{"state", "idle"},
                        {"position", 0},
                        {"passes", 0},
                        {"read_sectors", 0},
                        {"skipped_sectors", 0},
                        {"failed_reads", 0},
                        {"unreadable_blocks", 0},
                        {"kib_per_s", 32768}}));
  const Json begun =
      call({{"op", "scrub"}, {"action", "start"}, {"kib_per_s", 16'777'216}})["scrub"];
  EXPECT_EQ(begun["state"], "running");
  EXPECT_EQ(begun["kib_per_s"], 16'777'216);
  const Json ended = scrub_at_rest(*volume);
  EXPECT_EQ(ended["state"], "idle");
  EXPECT_EQ(ended["position"], 131072);
  EXPECT_EQ(ended["passes"], 1);
  EXPECT_EQ(ended["read_sectors"], 131072);
  EXPECT_EQ(ended["failed_reads"], 1);
  EXPECT_EQ(ended["unreadable_blocks"], 1);
  EXPECT_EQ(volume->stats().lost_sectors, 2U);
  const Json page = call({{"op", "map"}});
  ASSERT_EQ(page["runs"].size(), 1U);
  EXPECT_EQ(page["runs"][0]["lost"], Json::array({5003, 5004}));
}

TEST_F(VolumeControlTest, AScrubIsPausedGoesOnAndIsStopped) {
  const Json begun =
      call({{"op", "scrub"}, {"action", "start"}, {"from", 1024}, {"kib_per_s", 64}})["scrub"];
  EXPECT_EQ(begun["state"], "running");
  EXPECT_GE(begun["position"], 1024);
  const Json paused = call({{"op", "scrub"}, {"action", "pause"}})["scrub"];
  EXPECT_EQ(paused["state"], "paused");
  const auto elsewhere = client->call({{"op", "scrub"}, {"action", "start"}, {"from", 8}});
  ASSERT_FALSE(elsewhere);
  EXPECT_NE(elsewhere.error().message.find("a scrub is paused at sector"), std::string::npos);
  EXPECT_EQ(call({{"op", "scrub"}, {"action", "start"}})["scrub"]["state"], "running");
  const Json ended = call({{"op", "scrub"}, {"action", "stop"}})["scrub"];
  EXPECT_EQ(ended["state"], "idle");
  EXPECT_EQ(ended["passes"], 0);
  EXPECT_LT(ended["position"], 131072);
}

TEST_F(VolumeControlTest, OrdersOfTheScrubThatMeanNothingChangeNothing) {
  const auto refused = [&](const Json& order, int exit, const char* why) {
    Json request{{"op", "scrub"}};
    request.update(order);
    const auto answer = client->call(request);
    ASSERT_FALSE(answer) << request.dump();
    EXPECT_EQ(answer.error().exit_code, exit) << request.dump();
    EXPECT_NE(answer.error().message.find(why), std::string::npos) << answer.error().message;
  };
  refused({{"action", "pause"}}, kExitFailed, "nothing to pause");
  refused({{"action", "pause"}, {"kib_per_s", 64}}, kExitFailed, "nothing to pause");
  refused({{"action", "start"}, {"from", 131072}}, kExitUsage, "volume of 131072 sectors");
  refused({{"action", "stop"}, {"from", 8}}, kExitUsage, "goes with `start`");
  for (const u64 rate : {u64{0}, u64{63}, u64{16'777'217}, ~u64{0}}) {
    refused({{"action", "start"}, {"kib_per_s", rate}}, kExitUsage, "64 to 16777216 KiB");
  }
  refused({{"action", "dance"}}, kExitUsage, "start, pause, stop");
  refused(Json::object(), kExitUsage, "start, pause, stop");
  EXPECT_FALSE(client->call({{"op", "scrub"}, {"action", 7}}));
  EXPECT_FALSE(client->call({{"op", "scrub"}, {"action", "start"}, {"from", "here"}}));
  const Json now = call({{"op", "status"}})["scrub"];
  EXPECT_EQ(now["state"], "idle");
  EXPECT_EQ(now["kib_per_s"], 32768);
}

TEST_F(VolumeControlTest, StopIsPassedOn) {
  call({{"op", "stop"}});
  stopped.acquire();
}

}  // namespace
}  // namespace dmr::runtime

// SPDX-License-Identifier: GPL-2.0-or-later
// A volume in the kernel answers the control protocol as one of a server does.
#include "cli/kernel/kernel_link.h"

#include <chrono>

#include <gtest/gtest.h>

#include "cli/status/health.h"
#include "cli/testing/fake_mapper.h"

namespace dmr::cli {
namespace {

using nlohmann::json;

constexpr std::chrono::seconds kTimeout{1};

constexpr char kStats[] =
    "set 00112233-4455-6677-8899-aabbccddeeff\nstate rw\nread_only 0\ndegraded 1\n"
    "read_only_by_failure 0\nrestored_older 0\nevents_total 7\nhealth_score "
    "10\nlogical_block_bytes 4096\n"
    "writable 1\nblock_sectors 8\nvolume_sectors 32765\nremapped_blocks 10\nlost_sectors 3\n"
    "weak_blocks 2\nruns 4\nindex_bytes 640\nspare_total 900\nspare_used 10\nspare_free 885\n"
    "spare_bad 5\nreads 100\nwrites 50\nflushes 9\ndiscards 1\nwrite_zeroes 2\n"
    "read_sectors 800\nwritten_sectors 400\nfast_requests 140\nslow_requests 13\n"
    "failed_requests 6\nfailed_read_requests 4\nfailed_write_requests 2\nheld_requests "
    "12\nrecovered_reads 11\nfailed_reads 21\n"
    "redirected_writes 31\nretried_writes 41\nfailed_writes 51\nrelocated_blocks 61\n"
    "returned_blocks 71\ncommits 81\ncommit_records 91\ncommit_flushes 101\ncheckpoints 111\n"
    "pool_health_size 64\npool_health_in_use 1\npool_health_high_water 2\n"
    "pool_health_exhausted 3\npool_io_size 32\npool_io_in_use 4\npool_io_high_water 5\n"
    "pool_io_exhausted 6\npool_work_size 16\npool_work_in_use 7\npool_work_high_water 8\n"
    "pool_work_exhausted 9\npool_buffers_size 8\npool_buffers_in_use 0\n"
    "pool_buffers_high_water 1\npool_buffers_exhausted 0\nmembers 3\n"
    "member_0_state live\nmember_0_device 4095:1\nmember_0_sectors 32768\n"
    "member_0_breaker_open 1\nmember_0_read_errors_medium 1\nmember_0_write_errors_medium 5\n"
    "member_0_read_errors_unspecified 2\nmember_0_write_errors_unspecified 6\n"
    "member_0_read_errors_device 3\nmember_0_write_errors_device 7\n"
    "member_0_read_errors_not_disk 4\nmember_0_write_errors_not_disk 8\n"
    "member_1_state live\nmember_1_device 4095:2\nmember_1_sectors 8192\n"
    "member_1_breaker_open 0\nmember_1_read_errors_medium 0\nmember_1_write_errors_medium 0\n"
    "member_1_read_errors_unspecified 0\nmember_1_write_errors_unspecified 0\n"
    "member_1_read_errors_device 0\nmember_1_write_errors_device 0\n"
    "member_1_read_errors_not_disk 0\nmember_1_write_errors_not_disk 0\n"
    "member_1_data_blocks 900\nmember_1_used_blocks 10\nmember_1_free_blocks 885\n"
    "member_1_bad_blocks 5\n"
    "member_2_state missing\nmember_2_device -\nmember_2_sectors 8192\n"
    "member_2_breaker_open 0\nmember_2_read_errors_medium 0\nmember_2_write_errors_medium 0\n"
    "member_2_read_errors_unspecified 0\nmember_2_write_errors_unspecified 0\n"
    "member_2_read_errors_device 0\nmember_2_write_errors_device 0\n"
    "member_2_read_errors_not_disk 0\nmember_2_write_errors_not_disk 0\n"
    "member_2_data_blocks 0\nmember_2_used_blocks 0\nmember_2_free_blocks 0\n"
    "member_2_bad_blocks 0\nname tank\nscrub_state running\nscrub_position 4096\n"
    "scrub_passes 2\nscrub_read_sectors 3072\nscrub_skipped_sectors 24\nscrub_failed_reads 5\n"
    "scrub_unreadable_blocks 3\nscrub_kib_per_s 65536\n";

// The same with this in place of that.
std::string stats_with(const std::string& old, const std::string& now) {
  std::string stats = kStats;
  return stats.replace(stats.find(old), old.size(), now);
}

class KernelLinkTest : public ::testing::Test {
 protected:
  void SetUp() override {
    mapper.add_volume("tank");
    mapper.answers["stats"] = kStats;
  }
  json call(const json& request) {
    auto answer = link.call(request, kTimeout);
    EXPECT_TRUE(answer) << answer.error().message;
    return answer ? *answer : json::object();
  }

  testing::FakeMapper mapper;
  KernelLink link{"tank", mapper};
};

TEST_F(KernelLinkTest, StatusHasTheFiguresOfTheKernel) {
  const json status = call({{"op", "status"}});
  EXPECT_EQ(status["name"], "tank");
  EXPECT_TRUE(status["pid"].is_null());
  EXPECT_EQ(status["set"], "00112233-4455-6677-8899-aabbccddeeff");
  EXPECT_EQ(status["volume_sectors"], 32765);
  EXPECT_EQ(status["logical_block_bytes"], 4096);
  EXPECT_EQ(status["newest_event"], 7);
  EXPECT_EQ(status["io"]["read_bytes"], 800 * 512);
  EXPECT_EQ(status["io"]["flushes"], 9);
  EXPECT_EQ(status["io"]["errors"], 6);
  EXPECT_EQ(status["io"]["failed_reads"], 4);
  EXPECT_EQ(status["io"]["failed_writes"], 2);
  EXPECT_EQ(status["io"]["slow_pieces"], 13);
  EXPECT_EQ(status["checkpoints"], 111);
  EXPECT_EQ(status["pools"]["work_items"]["high_water"], 8);
  EXPECT_EQ(status["exports"][0]["kind"], "dm");
  EXPECT_EQ(status["exports"][0]["path"], "/dev/dm-77");
}

TEST_F(KernelLinkTest, StatusTellsThatNoWriteIsTakenAfterARefusedFlush) {
  EXPECT_EQ(call({{"op", "status"}})["flush_refused"], false);
  mapper.answers["stats"] = stats_with("state rw", "state flush-failed");
  EXPECT_EQ(call({{"op", "status"}})["flush_refused"], true);
}

TEST_F(KernelLinkTest, StatusHasTheMembersWithTheirErrors) {
  const json members = call({{"op", "status"}})["members"];
  ASSERT_EQ(members.size(), 3U);
  EXPECT_EQ(members[0]["role"], "main");
  EXPECT_EQ(members[0]["breaker_open"], true);
  EXPECT_EQ(members[0]["path"], "4095:1") << "no such device here";
  EXPECT_EQ(members[0]["errors"]["read"]["medium"], 1);
  EXPECT_EQ(members[0]["errors"]["read"]["not_disk"], 4);
  EXPECT_EQ(members[0]["errors"]["write"]["unspecified"], 6);
  EXPECT_FALSE(members[0].contains("data_blocks"));
  EXPECT_EQ(members[1]["free_blocks"], 885);
  EXPECT_EQ(members[1]["bad_blocks"], 5);
  EXPECT_EQ(members[2]["state"], "missing");
  EXPECT_EQ(members[2]["present"], false);
  EXPECT_TRUE(members[2]["path"].is_null());
}

TEST_F(KernelLinkTest, HealthIsJudgedAsThatOfAServersVolume) {
  const Diagnosis diagnosis = diagnose(call({{"op", "status"}}));
  EXPECT_EQ(diagnosis.health, Health::failing);
  EXPECT_EQ(diagnosis.reasons.size(), 5U) << "breaker, missing spare, lost, failed writes and weak";
}

TEST_F(KernelLinkTest, MapIsReadInPages) {
  mapper.answers["map 0"] =
      "10 2 1 96 none\n"
      "20 1 0 0 0000000000000000000000000000000a\nmore 21\n";
  mapper.answers["map 21"] = "4095 1 2 7 all\nend\n";
  const json first = call({{"op", "map"}, {"cursor", 0}});
  EXPECT_EQ(first["done"], false);
  ASSERT_EQ(first["runs"].size(), 2U);
  EXPECT_EQ(first["runs"][0]["sector"], 80);
  EXPECT_EQ(first["runs"][0]["sectors"], 16);
  EXPECT_EQ(first["runs"][0]["home_sector"], 96 * 8);
  EXPECT_EQ(first["runs"][1]["lost"], json::array({161, 163}));
  EXPECT_EQ(first["runs"][1]["lost_sectors"], 2);
  const json second = call({{"op", "map"}, {"cursor", first["cursor"]}});
  EXPECT_EQ(second["done"], true);
  EXPECT_EQ(second["runs"][0]["lost_sectors"], 5) << "the last block is short";
}

TEST_F(KernelLinkTest, EventsAreToldInTheSameWords) {
  mapper.answers["events 5"] = "6 1764300000123 lost 0 4711 2 medium\nnewest 6\n";
  const json page = call({{"op", "events"}, {"after", 5}});
  EXPECT_EQ(page["newest"], 6);
  const json event = page["events"][0];
  EXPECT_EQ(event["number"], 6);
  EXPECT_EQ(event["time_ms"], 1764300000123);
  EXPECT_EQ(event["kind"], "lost");
  EXPECT_EQ(event["status"], "medium");
  EXPECT_EQ(event["text"], "2 sectors from 4711: lost (medium); reads fail until they are written");
}

TEST_F(KernelLinkTest, LongRangesAreMovedInPartsThatEndAtBlocks) {
  mapper.answers["mark 100+8092"] = "changed 1000 unchanged 12 lost 3";
  mapper.answers["mark 8192+8"] = "changed 1 unchanged 0 lost 0";
  const json moved = call({{"op", "mark"}, {"ranges", {{{"sector", 100}, {"count", 8100}}}}});
  EXPECT_EQ(moved["status"], "ok");
  EXPECT_EQ(moved["blocks_changed"], 1001);
  EXPECT_EQ(moved["blocks_unchanged"], 12);
  EXPECT_EQ(moved["sectors_lost"], 3);
  EXPECT_TRUE(moved["bad_sector"].is_null());
}

TEST_F(KernelLinkTest, WhatASignalLeftIsMovedNext) {
  mapper.answers["mark 8+80"] = "changed 3 unchanged 0 lost 1 rest 32";
  mapper.answers["mark 32+56"] = "changed 6 unchanged 1 lost 0";
  const json moved = call({{"op", "mark"}, {"ranges", {{{"sector", 8}, {"count", 80}}}}});
  EXPECT_EQ(moved["status"], "ok");
  EXPECT_EQ(moved["blocks_changed"], 9);
  EXPECT_EQ(moved["sectors_lost"], 1);
}

// As in a server: one block that main does not take says nothing about the others.
TEST_F(KernelLinkTest, MovingGoesOnBehindABlockThatCannotBeMoved) {
  mapper.answers["forget 8+8"] = "changed 0 unchanged 1 lost 0 failed 5 at 8";
  mapper.answers["forget 80+8"] = "changed 0 unchanged 1 lost 0 failed 28 at 80 rest 84";
  mapper.answers["forget 84+4"] = "changed 1 unchanged 0 lost 0";
  const json moved =
      call({{"op", "forget"},
            {"ranges", {{{"sector", 8}, {"count", 8}}, {{"sector", 80}, {"count", 8}}}}});
  EXPECT_EQ(moved["status"], "io_error");
  EXPECT_EQ(moved["bad_sector"], 8);
  EXPECT_EQ(moved["blocks_changed"], 1);
  EXPECT_EQ(moved["blocks_unchanged"], 2);
}

TEST_F(KernelLinkTest, MovingEndsWhereTheVolumeTakesNoMoreChanges) {
  mapper.answers["forget 8+8"] = "changed 0 unchanged 0 lost 0 failed 30 at 8";
  const json moved =
      call({{"op", "forget"}, {"ranges", {{{"sector", 8}, {"count", 8}}, {{"sector", 80}}}}});
  EXPECT_EQ(moved["status"], "read_only");
  EXPECT_EQ(mapper.said.back(), "forget 8+8");
}

TEST_F(KernelLinkTest, RangesOutsideTheVolumeAreNotSent) {
  const auto moved = link.call({{"op", "mark"}, {"ranges", {{{"sector", 32765}}}}}, kTimeout);
  ASSERT_FALSE(moved);
  EXPECT_EQ(moved.error().exit_code, runtime::kExitUsage);
  EXPECT_EQ(mapper.said.back(), "stats");
}

TEST_F(KernelLinkTest, AnswersOfAnotherVersionAreNamed) {
  mapper.answers["stats"] = "set x\nread_only maybe\n";
  const auto status = link.call({{"op", "status"}}, kTimeout);
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find("`read_only maybe`"), std::string::npos);
  mapper.answers["stats"] = std::string(kStats).replace(0, 4, "pet ");
  const auto without = link.call({{"op", "status"}}, kTimeout);
  ASSERT_FALSE(without);
  EXPECT_NE(without.error().message.find("`set`"), std::string::npos);
}

TEST_F(KernelLinkTest, StatusHasTheScrub) {
  EXPECT_EQ(call({{"op", "status"}})["scrub"], (json{{"state", "running"},
                                                     {"position", 4096},
                                                     {"passes", 2},
                                                     {"read_sectors", 3072},
                                                     {"skipped_sectors", 24},
                                                     {"failed_reads", 5},
                                                     {"unreadable_blocks", 3},
                                                     {"kib_per_s", 65536}}));
  mapper.answers["stats"] = stats_with("scrub_state running", "scrub_state dancing");
  const auto strange = link.call({{"op", "status"}}, kTimeout);
  ASSERT_FALSE(strange);
  EXPECT_NE(strange.error().message.find("`scrub_state dancing`"), std::string::npos);
}

TEST_F(KernelLinkTest, AScrubIsHeldUntilAResume) {
  mapper.answers["stats"] = stats_with("scrub_state running", "scrub_state held");
  EXPECT_EQ(call({{"op", "status"}})["scrub"]["state"], "held");
  mapper.suspended = true;
  const auto closed = link.call({{"op", "status"}}, kTimeout);
  ASSERT_FALSE(closed);
  EXPECT_TRUE(closed.error().temporary);
}

TEST_F(KernelLinkTest, OrdersOfTheScrubAreMessages) {
  mapper.answers["stats"] = stats_with("scrub_state running", "scrub_state idle");
  mapper.answers["scrub rate 1024"] = "ok";
  mapper.answers["scrub start 800"] = "ok";
  const json begun =
      call({{"op", "scrub"}, {"action", "start"}, {"from", 800}, {"kib_per_s", 1024}});
  EXPECT_EQ(begun["scrub"]["position"], 4096);
  EXPECT_EQ(mapper.said,
            (std::vector<std::string>{"stats", "scrub rate 1024", "scrub start 800", "stats"}));
  mapper.answers["stats"] = kStats;
  for (const char* action : {"start", "pause", "stop"}) {
    mapper.answers[std::string("scrub ") + action] = "ok";
    EXPECT_EQ(call({{"op", "scrub"}, {"action", action}})["scrub"]["state"], "running");
    EXPECT_EQ(mapper.said[mapper.said.size() - 2], std::string("scrub ") + action);
  }
}

TEST_F(KernelLinkTest, OrdersOfTheScrubThatMeanNothingAreNotSent) {
  const auto refused = [&](const json& order, int exit, const char* why) {
    json request{{"op", "scrub"}};
    request.update(order);
    const auto answer = link.call(request, kTimeout);
    ASSERT_FALSE(answer) << request.dump();
    EXPECT_EQ(answer.error().exit_code, exit);
    EXPECT_NE(answer.error().message.find(why), std::string::npos) << answer.error().message;
    EXPECT_EQ(mapper.said.back(), "stats");
  };
  refused({{"action", "start"}, {"from", 32765}}, runtime::kExitUsage, "volume of 32765 sectors");
  refused({{"action", "start"}, {"from", 8}}, runtime::kExitFailed, "under way at sector 4096");
  refused({{"action", "start"}, {"kib_per_s", 63}}, runtime::kExitUsage, "64 to 16777216 KiB");
  mapper.answers["stats"] = stats_with("scrub_state running", "scrub_state idle");
  refused({{"action", "pause"}}, runtime::kExitFailed, "nothing to pause");
}

TEST_F(KernelLinkTest, AScrubThatTheModuleDoesNotBeginIsNoSuccess) {
  EXPECT_FALSE(link.call({{"op", "scrub"}, {"action", "stop"}}, kTimeout));
  mapper.answers["scrub stop"] = "never";
  const auto answer = link.call({{"op", "scrub"}, {"action", "stop"}}, kTimeout);
  ASSERT_FALSE(answer);
  EXPECT_NE(answer.error().message.find("`never` is not understood"), std::string::npos);
}

TEST_F(KernelLinkTest, AVolumeInUseIsStoppedByForceOnly) {
  EXPECT_TRUE(link.stop(kTimeout, false));
  EXPECT_EQ(mapper.removed.size(), 1U);
  mapper.users = 2;
  const auto stopped = link.stop(kTimeout, false);
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().exit_code, runtime::kExitRefused);
  EXPECT_TRUE(mapper.pulled.empty());
  EXPECT_TRUE(link.stop(kTimeout, true));
  EXPECT_EQ(mapper.pulled.size(), 1U);
  EXPECT_EQ(mapper.removed.size(), 1U);
}

TEST(OpenLink, FindsAVolumeInTheKernel) {
  testing::FakeMapper mapper;
  mapper.add_volume("in-kernel-only");
  EXPECT_EQ(runner_of("in-kernel-only", mapper), "in the kernel");
  EXPECT_TRUE(open_link("in-kernel-only", mapper));
  const auto other = open_link("nowhere", mapper);
  ASSERT_FALSE(other);
  EXPECT_NE(other.error().message.find("no volume `nowhere` is known"), std::string::npos);
}

}  // namespace
}  // namespace dmr::cli

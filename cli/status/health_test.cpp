// SPDX-License-Identifier: GPL-2.0-or-later
// The verdict on a volume, and the advice that goes with its gravest trouble.
#include "cli/status/health.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/types.h"

namespace dmr::cli {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

json member(u32 number, const char* state = "live") {
  json one{{"member", number},      {"role", number == 0 ? "main" : "spare"},
           {"state", state},        {"present", true},
           {"breaker_open", false}, {"path", "/dev/sdb"}};
  if (number > 0) {
    one["data_blocks"] = 1000;
    one["free_blocks"] = 900;
  }
  return one;
}

json well() {
  return {{"name", "tank"},
          {"read_only_by_failure", false},
          {"lost_sectors", 0},
          {"weak_blocks", 0},
          {"members", {member(0), member(1)}}};
}

TEST(Health, NothingToDoWhenAllIsWell) {
  const Diagnosis diagnosis = diagnose(well());
  EXPECT_EQ(diagnosis.health, Health::healthy);
  EXPECT_GE(diagnosis.score, kHealthyScore);
  EXPECT_TRUE(diagnosis.reasons.empty());
  EXPECT_EQ(diagnosis.advice, "Nothing needs to be done.");
}

TEST(Health, LittleSpareCallsForAttention) {
  json status = well();
  status["members"][1]["free_blocks"] = 124;
  EXPECT_EQ(diagnose(status).health, Health::attention);
  status["members"][1]["free_blocks"] = 125;
  EXPECT_EQ(diagnose(status).health, Health::healthy);
  status["members"][1]["free_blocks"] = 0;
  EXPECT_EQ(diagnose(status).health, Health::failing);
}

TEST(Health, SpareBlocksOfARetiredSpareDoNotCount) {
  json status = well();
  status["members"].push_back(member(2, "failed"));
  status["members"][1]["free_blocks"] = 0;
  EXPECT_THAT(diagnose(status).reasons, ::testing::Contains(HasSubstr("no spare block is free")));
}

TEST(Health, AMapOlderThanTheDataIsToBeLeftBehind) {
  json status = well();
  status["restored_older"] = true;
  const Diagnosis diagnosis = diagnose(status);
  EXPECT_EQ(diagnosis.health, Health::failing);
  EXPECT_THAT(diagnosis.reasons, ::testing::Contains(HasSubstr("restored from a backup")));
  EXPECT_THAT(diagnosis.advice, HasSubstr("Copy the data away"));
}

TEST(Health, AVolumeThatTakesNoWritesAfterARefusedFlushSaysSo) {
  json status = well();
  status["flush_refused"] = true;
  const Diagnosis diagnosis = diagnose(status);
  EXPECT_EQ(diagnosis.health, Health::failing);
  EXPECT_THAT(diagnosis.reasons.front(), HasSubstr("no write is taken"));
  EXPECT_THAT(diagnosis.advice, HasSubstr("dm-remap events tank"));
}

TEST(Health, LostSectorsSendTheUserToTheBackup) {
  json status = well();
  status["lost_sectors"] = 1;
  const Diagnosis diagnosis = diagnose(status);
  EXPECT_EQ(diagnosis.health, Health::failing);
  EXPECT_THAT(diagnosis.advice, HasSubstr("dm-remap map tank"));
  EXPECT_THAT(diagnosis.reasons.front(), HasSubstr("1 sector is lost"));
}

// As with a full file system below main: nothing is remapped or lost, and still data is not stored.
TEST(Health, FailedWritesCallForAttentionAndNameTheDevice) {
  json status = well();
  status["failed_writes"] = 9;
  const Diagnosis bare = diagnose(status);
  EXPECT_EQ(bare.health, Health::attention);
  EXPECT_EQ(bare.reasons.front(), "9 writes failed since the start");
  status["members"][0]["errors"]["write"] = {
      {"medium", 0}, {"unspecified", 0}, {"device", 9}, {"not_disk", 0}};
  const Diagnosis diagnosis = diagnose(status);
  EXPECT_THAT(diagnosis.reasons.front(),
              HasSubstr("not because of the medium: no room below main (/dev/sdb)"));
  EXPECT_THAT(diagnosis.advice, HasSubstr("dm-remap events tank"));
}

TEST(Health, TheGravestTroubleGivesTheAdvice) {
  json status = well();
  status["lost_sectors"] = 8;
  status["weak_blocks"] = 1;
  status["members"][0]["breaker_open"] = true;
  const Diagnosis diagnosis = diagnose(status);
  EXPECT_EQ(diagnosis.reasons.size(), 3U);
  EXPECT_THAT(diagnosis.advice, HasSubstr("cables"));
}

TEST(Health, AMissingMemberIsNamed) {
  json status = well();
  status["members"][1]["present"] = false;
  status["members"][1]["path"] = nullptr;
  EXPECT_THAT(diagnose(status).reasons.front(), HasSubstr("spare 1 is missing"));
}

}  // namespace
}  // namespace dmr::cli

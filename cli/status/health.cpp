// SPDX-License-Identifier: GPL-2.0-or-later
// From counters to a verdict and one piece of advice.
#include "cli/status/health.h"

#include <algorithm>

#include <fmt/format.h>

#include "cli/app/output.h"

namespace dmr::cli {
namespace {

using nlohmann::json;

constexpr u64 kLowPart = 8;  // spare is low when less than this part of it is free

class Doctor {
 public:
  // The first advice is that of the gravest reason: call in this order.
  void say(Health health, std::string reason, std::string advice) {
    result_.health = std::max(result_.health, health);
    result_.reasons.push_back(std::move(reason));
    if (result_.advice.empty()) result_.advice = std::move(advice);
  }

  Diagnosis finish() {
    if (result_.advice.empty()) result_.advice = "Nothing needs to be done.";
    return std::move(result_);
  }

 private:
  Diagnosis result_;
};

std::string label_of(const json& member) {
  const std::string role = member.at("role").get<std::string>();
  const std::string number =
      role == "main" ? role : fmt::format("{} {}", role, member.at("member").get<u32>());
  return member.at("path").is_string()
             ? fmt::format("{} ({})", number, member.at("path").get<std::string>())
             : number;
}

u64 sum_of(const json& status, const char* key) {
  u64 sum = 0;
  for (const json& member : status.at("members")) {
    const bool usable = member.at("present").get<bool>() && member.at("state") == "live";
    if (usable && member.contains(key)) sum += member.at(key).get<u64>();
  }
  return sum;
}

void look_at_members(Doctor& doctor, const json& status) {
  for (const json& member : status.at("members")) {
    const std::string label = label_of(member);
    const std::string state = member.at("state").get<std::string>();
    if (member.at("breaker_open").get<bool>()) {
      doctor.say(Health::failing, label + " fails as a whole: nothing is remapped any more",
                 "Check the cables, power and controller of that device before anything else.");
    }
    if (state == "failed") {
      doctor.say(Health::failing, label + " was retired after an error",
                 "Replace that spare; blocks that live on it may be readable still: copy the data "
                 "away now.");
    } else if (!member.at("present").get<bool>() && state != "removed" && state != "absent") {
      doctor.say(Health::failing, label + " is missing: its blocks read as errors",
                 "Stop the volume, connect that device, and start it again without --degraded.");
    }
  }
}

void look_at_spares(Doctor& doctor, const json& status) {
  const u64 total = sum_of(status, "data_blocks");
  const u64 left = sum_of(status, "free_blocks");
  if (left == 0) {
    doctor.say(Health::failing, "no spare block is free: the next bad block is a write error",
               "Copy the data to another disk now; there is no room left for bad blocks.");
  } else if (left < total / kLowPart) {
    doctor.say(Health::attention,
               fmt::format("only {} free", counted(left, "spare block is", "spare blocks are")),
               "Plan to replace main: its bad blocks have used most of the spare.");
  }
}

}  // namespace

Diagnosis diagnose(const json& status) {
  Doctor doctor;
  if (status.at("read_only_by_failure").get<bool>()) {
    doctor.say(Health::failing, "the metadata cannot be written, so the volume is read-only",
               "Copy the data away, then stop the volume and check its spares.");
  }
  if (status.value("restored_older", false)) {
    doctor.say(
        Health::failing,
        "its map was restored from a backup that may be older than the data, so the volume is "
        "read-only and may return old data",
        "Copy the data away, compare it with a backup of the data, and create a volume anew.");
  }
  look_at_members(doctor, status);
  look_at_spares(doctor, status);
  if (const u64 lost = status.at("lost_sectors").get<u64>(); lost > 0) {
    doctor.say(Health::failing, fmt::format("{} lost", counted(lost, "sector is", "sectors are")),
               fmt::format("Restore the files in the lost sectors from a backup (`dm-remap map {}` "
                           "lists them); writing a lost sector heals it.",
                           status.at("name").get<std::string>()));
  }
  if (const u64 weak = status.at("weak_blocks").get<u64>(); weak > 0) {
    doctor.say(Health::attention,
               fmt::format("{} with effort only and waits to be moved",
                           counted(weak, "block reads", "blocks read")),
               "Make sure that there is a backup: main begins to lose what it holds.");
  }
  return doctor.finish();
}

const char* text_of(Health health) {
  switch (health) {
    case Health::healthy:
      return "healthy";
    case Health::attention:
      return "attention";
    case Health::failing:
      return "failing";
  }
  return "";
}

}  // namespace dmr::cli

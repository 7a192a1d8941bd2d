// SPDX-License-Identifier: GPL-2.0-or-later
// From counters to a verdict and one piece of advice. The verdict is the engine's
// (core/volume/health.h); here are its reasons in words.
#include "cli/status/health.h"

#include <fmt/format.h>

#include "cli/app/output.h"
#include "core/volume/health.h"
#include "runtime/control/volume_report.h"

namespace dmr::cli {
namespace {

using nlohmann::json;

class Doctor {
 public:
  explicit Doctor(const HealthFacts& facts) : facts_(facts) {
    result_.score = health_score(facts);
    result_.health = grade_of(result_.score);
  }
  [[nodiscard]] bool sees(Trouble trouble) const { return has(facts_, trouble); }
  [[nodiscard]] const HealthFacts& facts() const { return facts_; }

  // The first advice is that of the gravest reason: call in the order of Trouble.
  void say(std::string reason, std::string advice) {
    result_.reasons.push_back(std::move(reason));
    if (result_.advice.empty()) result_.advice = std::move(advice);
  }

  Diagnosis finish() {
    if (result_.advice.empty()) result_.advice = "Nothing needs to be done.";
    return std::move(result_);
  }

 private:
  HealthFacts facts_;
  Diagnosis result_;
};

MemberStats stats_of(const json& member) {
  MemberStats stats;
  stats.state = runtime::member_state_of(member.at("state").get<std::string>())
                    .value_or(format::MemberState::missing);
  stats.present = member.at("present").get<bool>();
  stats.breaker_open = member.at("breaker_open").get<bool>();
  stats.data_blocks = member.value("data_blocks", u64{0});
  stats.free_blocks = member.value("free_blocks", u64{0});
  return stats;
}

// As much of what the engine said as its rule looks at.
HealthFacts facts_of_status(const json& status) {
  VolumeStats stats;
  stats.read_only_by_failure = status.at("read_only_by_failure").get<bool>();
  stats.restored_older = status.value("restored_older", false);
  stats.lost_sectors = status.at("lost_sectors").get<u64>();
  stats.failed_writes = status.value("failed_writes", u64{0});
  stats.weak_blocks = status.at("weak_blocks").get<u64>();
  for (const json& member : status.at("members")) {
    if (stats.members == kMaxMembers) break;
    stats.member[stats.members++] = stats_of(member);
  }
  return facts_of(stats, status.value("flush_refused", false));
}

std::string label_of(const json& member) {
  const std::string role = member.at("role").get<std::string>();
  const std::string number =
      role == "main" ? role : fmt::format("{} {}", role, member.at("member").get<u32>());
  return member.at("path").is_string()
             ? fmt::format("{} ({})", number, member.at("path").get<std::string>())
             : number;
}

// Of those devices that have this trouble, each by its name.
void look_at_members(Doctor& doctor, const json& status) {
  for (const json& member : status.at("members")) {
    if (!member.at("breaker_open").get<bool>()) continue;
    doctor.say(label_of(member) + " fails as a whole: nothing is remapped any more",
               "Check the cables, power and controller of that device before anything else.");
  }
  for (const json& member : status.at("members")) {
    if (!is_missing(stats_of(member))) continue;
    doctor.say(label_of(member) + " is missing: its blocks read as errors",
               "Stop the volume, connect that device, and start it again without --degraded.");
  }
  for (const json& member : status.at("members")) {
    if (member.at("state") != "failed") continue;
    doctor.say(label_of(member) + " was retired after an error",
               "Replace that spare; blocks that live on it may be readable still: copy the data "
               "away now.");
  }
}

// The engine's classes tell which device it was; events tell the very error.
std::string why_writes_failed(const json& status) {
  std::string devices;
  for (const json& member : status.at("members")) {
    if (!member.contains("errors")) continue;
    const json& errors = member.at("errors").at("write");
    if (errors.at("device") == 0 && errors.at("not_disk") == 0) continue;
    devices += (devices.empty() ? "" : ", ") + label_of(member);
  }
  if (devices.empty()) return "";
  return fmt::format(
      ", not because of the medium: no room below {}, write protection or a bad link", devices);
}

void look_at_blocks(Doctor& doctor, const json& status) {
  const std::string name = status.at("name").get<std::string>();
  const HealthFacts& facts = doctor.facts();
  if (doctor.sees(Trouble::spare_exhausted)) {
    doctor.say("no spare block is free: the next bad block is a write error",
               "Copy the data to another disk now; there is no room left for bad blocks.");
  }
  if (doctor.sees(Trouble::sectors_lost)) {
    doctor.say(fmt::format("{} lost", counted(facts.lost_sectors, "sector is", "sectors are")),
               fmt::format("Restore the files in the lost sectors from a backup (`dm-remap map {}` "
                           "lists them); writing a lost sector heals it.",
                           name));
  }
  if (doctor.sees(Trouble::writes_failed)) {
    doctor.say(
        fmt::format("{} failed since the start{}", counted(facts.failed_writes, "write", "writes"),
                    why_writes_failed(status)),
        fmt::format("See `dm-remap events {}`, mend what is wrong below, and write again "
                    "what programs were told is not stored.",
                    name));
  }
  if (doctor.sees(Trouble::spare_low)) {
    doctor.say(fmt::format("only {} free",
                           counted(facts.spare_free, "spare block is", "spare blocks are")),
               "Plan to replace main: its bad blocks have used most of the spare.");
  }
  if (doctor.sees(Trouble::blocks_weak)) {
    doctor.say(fmt::format("{} with effort only and waits to be moved",
                           counted(facts.weak_blocks, "block reads", "blocks read")),
               "Make sure that there is a backup: main begins to lose what it holds.");
  }
}

}  // namespace

Diagnosis diagnose(const json& status) {
  Doctor doctor(facts_of_status(status));
  if (status.at("read_only_by_failure").get<bool>()) {
    doctor.say("the metadata cannot be written, so the volume is read-only",
               "Copy the data away, then stop the volume and check its spares.");
  }
  if (status.value("restored_older", false)) {
    doctor.say(
        "its map was restored from a backup that may be older than the data, so the volume is "
        "read-only and may return old data",
        "Copy the data away, compare it with a backup of the data, and create a volume anew.");
  }
  if (doctor.sees(Trouble::flush_refused)) {
    doctor.say(
        "a member refused a flush: what was written shortly before may be lost, and no write is "
        "taken any more",
        fmt::format("Stop the volume and start it again, then check what programs had written last "
                    "(`dm-remap events {}` has the device and the time).",
                    status.at("name").get<std::string>()));
  }
  look_at_members(doctor, status);
  look_at_blocks(doctor, status);
  return doctor.finish();
}

bool takes_blocks(const json& member) {
  return member.at("role") != "main" && takes_blocks(stats_of(member));
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

// SPDX-License-Identifier: GPL-2.0-or-later
// How a volume is, as one number from 0 to 100. The worst trouble alone decides, and each has its
// number here; a volume without trouble loses up to 20 for the part of its spare that is used. The
// number promises nothing about the future: it says what is known now.
#pragma once

#include "core/volume/stats.h"

namespace dmr {

enum class HealthGrade : u8 {
  healthy,    // nothing to do
  attention,  // it works; something should be done before long
  failing,    // data is lost or at risk
};

// The gravest first.
enum class Trouble : u8 {
  metadata_failed,  // the volume is read-only: its map cannot be written, or may be older than the
                    // data
  flush_refused,    // and its host takes no write until it is opened again
  member_failing,   // a breaker is open: the device as a whole fails
  member_missing,
  spare_retired,
  spare_exhausted,
  sectors_lost,
  writes_failed,  // since it was opened: their senders were told, and nothing stands for them now
  spare_low,
  blocks_weak,
};
inline constexpr u32 kTroubles = 10;

inline constexpr u32 kScoreOfTrouble[kTroubles] = {0, 5, 10, 15, 20, 30, 40, 55, 60, 70};
inline constexpr u32 kHealthyScore = 80;    // and above
inline constexpr u32 kAttentionScore = 50;  // and above
inline constexpr u64 kLowPart = 8;          // spare is low when less than this part of it is free

// What the rule looks at; spare blocks of live spares only.
struct HealthFacts {
  bool metadata_failed = false;
  bool flush_refused = false;
  bool member_failing = false;
  bool member_missing = false;
  bool spare_retired = false;
  u64 spare_total = 0;
  u64 spare_free = 0;
  u64 lost_sectors = 0;
  u64 failed_writes = 0;
  u64 weak_blocks = 0;
};

[[nodiscard]] constexpr bool has(const HealthFacts& facts, Trouble trouble) {
  switch (trouble) {
    case Trouble::metadata_failed:
      return facts.metadata_failed;
    case Trouble::flush_refused:
      return facts.flush_refused;
    case Trouble::member_failing:
      return facts.member_failing;
    case Trouble::member_missing:
      return facts.member_missing;
    case Trouble::spare_retired:
      return facts.spare_retired;
    case Trouble::spare_exhausted:
      return facts.spare_free == 0;
    case Trouble::sectors_lost:
      return facts.lost_sectors > 0;
    case Trouble::writes_failed:
      return facts.failed_writes > 0;
    case Trouble::spare_low:
      return facts.spare_free > 0 && facts.spare_free < facts.spare_total / kLowPart;
    case Trouble::blocks_weak:
      return facts.weak_blocks > 0;
  }
  return false;
}

[[nodiscard]] constexpr u32 health_score(const HealthFacts& facts) {
  for (u32 i = 0; i < kTroubles; ++i) {
    if (has(facts, static_cast<Trouble>(i))) return kScoreOfTrouble[i];
  }
  // Here at least an eighth is free, so the division is by more than nothing and ends above 80.
  const u64 gone = facts.spare_total - facts.spare_free;
  const u64 part = facts.spare_total / 20 + 1;
  return 100 - static_cast<u32>(gone / part);
}

[[nodiscard]] constexpr HealthGrade grade_of(u32 score) {
  if (score >= kHealthyScore) return HealthGrade::healthy;
  return score >= kAttentionScore ? HealthGrade::attention : HealthGrade::failing;
}

// A volume that was opened read-only has recorded nothing about who is there.
[[nodiscard]] constexpr bool is_missing(const MemberStats& member) {
  return member.state == format::MemberState::missing ||
         (member.state == format::MemberState::live && !member.present);
}

// Whether its blocks count as spare: it is here and takes data.
[[nodiscard]] constexpr bool takes_blocks(const MemberStats& member) {
  return member.state == format::MemberState::live && member.present;
}

// `flush_refused` is what the host knows and the engine does not: see Trouble.
[[nodiscard]] constexpr HealthFacts facts_of(const VolumeStats& stats, bool flush_refused) {
  HealthFacts facts;
  facts.metadata_failed = stats.read_only_by_failure || stats.restored_older;
  facts.flush_refused = flush_refused;
  facts.lost_sectors = stats.lost_sectors;
  facts.failed_writes = stats.failed_writes;
  facts.weak_blocks = stats.weak_blocks;
  for (Member m = 0; m < stats.members; ++m) {
    const MemberStats& member = stats.member[m];
    facts.member_failing = facts.member_failing || member.breaker_open;
    facts.member_missing = facts.member_missing || is_missing(member);
    facts.spare_retired = facts.spare_retired || member.state == format::MemberState::failed;
    if (!takes_blocks(member)) continue;
    facts.spare_total += member.data_blocks;
    facts.spare_free += member.free_blocks;
  }
  return facts;
}

}  // namespace dmr

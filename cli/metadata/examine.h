// SPDX-License-Identifier: GPL-2.0-or-later
// What `check` and `repair` do, on any disks, without printing anything.
#pragma once

#include <optional>
#include <vector>

#include "cli/metadata/disk_set.h"
#include "cli/metadata/findings.h"
#include "cli/metadata/map_model.h"

namespace dmr::cli {

// For a fuzzer or a test on images in memory:
//
//   MemoryDisk main("main", bytes_0), spare("spare", bytes_1);  // cli/metadata/offline_disk.h
//   const OfflineDisk* disks[] = {&main, &spare};               // any order, main may be left out
//   const Expected<DiskSet> set = arrange(disks);               // cli/metadata/disk_set.h
//   if (!set) return;                                           // refused, nothing was written
//   const Examination found = examine(*set);                    // never writes
//   const Repair done = repair(*set, {.degraded = true});
//
// What holds whatever the bytes are:
// - `strays` of each disk is 0 (nothing outside of it is asked for), and so is main.writes;
// - examine(), and every outcome but `repaired` and `failed`, leave `writes` at 0;
// - after `repaired`, is_clean(examine(*arrange(disks))), and map.records() are what they were;
// - never an empty map in place of one that could not be read: then `status` is not ok.

struct Examination {
  Status status = Status::ok;  // of loading as `start` would; the map is empty when it is not ok
  FindingList findings;
  MapModel map;
  Geometry geometry;
  format::Superblock superblock{};  // the newest that the engine found
  u64 covered_sequence = 0;         // the last journal block that the map holds
  u32 covered_crc = 0;
};

// Reads and checks all metadata as `start` would, and writes nothing. Missing members are noted.
[[nodiscard]] Examination examine(const DiskSet& set, bool ignore_identity = false);

struct Told {
  std::optional<Finding> finding;  // none: only that it did not load
  FindingText text;
};
// The findings in words, without members that were not given.
[[nodiscard]] std::vector<Told> tell(const Examination& found,
                                     const std::vector<std::string>& paths);
// Nothing but notes: `check` ends with 0.
[[nodiscard]] bool is_clean(const std::vector<Told>& told);
[[nodiscard]] bool is_clean(const Examination& found);

struct RepairOptions {
  bool degraded = false;  // go on without spares of the set that are not among the disks
  bool dry_run = false;   // find out and write nothing
};

enum class RepairOutcome : u8 {
  sound,       // there was nothing to repair
  repairable,  // dry run: it would be tried
  repaired,    // and read again, and clean
  degraded,    // refused: a spare of the set is not there (`missing`), --degraded overrides
  beyond,      // no good copy is left of something: nothing was written
  failed,      // a disk refuses what was written; what is left of the damage is in `after`
};

struct Repair {
  RepairOutcome outcome = RepairOutcome::sound;
  Status status = Status::ok;
  int error = 0;           // errno of the last I/O that failed
  Member missing = kMain;  // of `degraded`
  Examination before;
  Examination after;  // of repaired and failed
};

// Rewrites every damaged copy of metadata from a good one: what `start` does when it opens the set,
// and superblocks of a spare that has none left. Never touches main.
[[nodiscard]] Repair repair(const DiskSet& set, const RepairOptions& options);

}  // namespace dmr::cli

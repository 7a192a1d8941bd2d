// SPDX-License-Identifier: GPL-2.0-or-later
// Putting a backup's state on the spares of a stopped volume, after looking at what they show of
// themselves: are they the devices of the backup, and has the volume been used since?
#pragma once

#include <array>
#include <span>
#include <vector>

#include "cli/metadata/backup.h"
#include "cli/metadata/disk_set.h"

namespace dmr::cli {

// The map decides which data a read returns, so a map that is older than the blocks makes reads
// wrong without an error. Three things therefore need the user's word:
// - older: the map is, or may be, older; the volume is read-only ever after;
// - trust: the volume was not used since, though nothing shows it;
// - replaced: a device that shows nothing of the volume has taken the place of another; the blocks
//   that lived on the old one are lost.
struct RestoreOptions {
  bool older = false;
  bool trust = false;
  bool replaced = false;
  bool ignore_identity = false;
};

struct RestorePlan {
  DiskSet set;  // superblock: the backup's; spares in their places
  std::array<bool, kMaxMembers> replaced{};
  RestoreRequest request;               // for the engine; points to the backup
  std::vector<format::Record> records;  // as they will be written
  u64 lost_blocks = 0;                  // that lived on replaced spares
};

// Reads only. Refused (exit status 3, with both values or the option that overrides) when the disks
// are not those of the backup or the backup is not proven to be the newest state.
[[nodiscard]] Expected<RestorePlan> plan_restore(const Backup& backup,
                                                 std::span<const OfflineDisk* const> disks,
                                                 const RestoreOptions& options);

// Writes, reads all back, and compares.
[[nodiscard]] Expected<void> restore(const RestorePlan& plan);

}  // namespace dmr::cli

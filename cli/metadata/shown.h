// SPDX-License-Identifier: GPL-2.0-or-later
// What the metadata on one spare still shows, beside a backup: is it older, the same, or newer?
#pragma once

#include "cli/metadata/backup.h"
#include "cli/metadata/survey.h"

namespace dmr::cli {

struct Shown {
  u64 superblock = 0;    // the highest sequence of a good superblock
  u64 opening = 0;       // ... open_generation of any good block
  u64 membership = 0;    // ... membership generation
  u64 journal = 0;       // ... sequence of a journal block, written or covered
  bool newer = false;    // the volume went on after the backup
  bool vouches = false;  // it did not: each later opening, or each later commit, would be seen here
};

// `member` is the spare of the backup that the disk is.
[[nodiscard]] Shown shown_by(const OfflineDisk& disk, const Survey& found, const Backup& backup,
                             Member member);

}  // namespace dmr::cli

// SPDX-License-Identifier: GPL-2.0-or-later
// Which of some disks is which member of a volume. Reads only.
#pragma once

#include <array>
#include <span>
#include <string>
#include <vector>

#include "cli/app/outcome.h"
#include "cli/metadata/survey.h"
#include "core/log/interface.h"

namespace dmr::cli {

struct DiskSet {
  format::Superblock superblock{};                     // the newest of all
  std::array<const OfflineDisk*, kMaxMembers> disk{};  // by member, null where none was given

  // By member, as many as the table has rows; "" where no disk was given.
  [[nodiscard]] std::vector<std::string> paths() const;
};

// The disks of one volume in any order, main or not. A spare without a good superblock goes where
// its other metadata says. Errors: disks of different volumes, of an unknown version, no superblock
// at all, or two in one place.
[[nodiscard]] Expected<DiskSet> arrange(std::span<const OfflineDisk* const> disks);

// As arrange() does, but by a superblock that is known: that of a backup. Only for disks that show
// some metadata of its set; null members are those that none of them shows.
// The spare row of `block` whose metadata this disk carries; kMain when it shows none of it.
[[nodiscard]] Member traced_member(const OfflineDisk& disk, const format::Superblock& block);

// How the engine sees the disks.
[[nodiscard]] LoadRequest load_request(const DiskSet& set);

}  // namespace dmr::cli

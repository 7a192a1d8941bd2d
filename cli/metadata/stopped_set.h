// SPDX-License-Identifier: GPL-2.0-or-later
// The members of a stopped volume among devices that a user named in any order: which is main,
// which spare is which, and the state that the metadata on them holds.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "cli/device/member.h"
#include "cli/metadata/findings.h"
#include "cli/metadata/map_model.h"
#include "cli/metadata/survey.h"

namespace dmr::cli {

struct StoppedSet {
  format::Superblock superblock{};  // the newest of all
  std::array<DevicePtr, kMaxMembers> device;
  std::vector<std::string> paths;  // by member, "" where none was given

  // What load_set() fills in.
  Status status = Status::ok;
  FindingList findings;
  MapModel map;
  Geometry geometry;
};

// Opens the devices for reading, exclusively, and puts them in their places. Refused when the set
// is running; an error when they do not belong together.
[[nodiscard]] Expected<std::unique_ptr<StoppedSet>> open_set(const std::vector<std::string>& specs);

// Reads and checks all metadata as `start` would, and writes nothing.
void load_set(StoppedSet& set);

}  // namespace dmr::cli

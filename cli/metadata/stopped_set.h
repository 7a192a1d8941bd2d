// SPDX-License-Identifier: GPL-2.0-or-later
// The devices of a stopped volume, opened for work on its metadata.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "cli/device/member.h"
#include "cli/metadata/disk_set.h"

namespace dmr::cli {

enum class Purpose : u8 {
  look,  // nothing is written
  mend,  // spares are opened for writing, main is not
};

// Devices and the disks on them, in the order in which they were named.
struct OpenDisks {
  std::vector<DevicePtr> devices;
  std::vector<std::unique_ptr<DeviceDisk>> disks;

  [[nodiscard]] std::vector<const OfflineDisk*> all() const;
};

struct StoppedSet {
  OpenDisks opened;
  DiskSet set;
};

// Opens exclusively; is_written[i] says whether the i-th is opened for writing. Refused when one
// belongs to a running volume. `patience` is for devices that a killed server's rings still hold.
[[nodiscard]] Expected<OpenDisks> open_disks(const std::vector<std::string>& specs,
                                             const std::vector<bool>& is_written,
                                             std::chrono::milliseconds patience = {});

// Opens the devices and puts them in their places. An error when they do not belong together.
[[nodiscard]] Expected<StoppedSet> open_set(const std::vector<std::string>& specs, Purpose purpose);

}  // namespace dmr::cli

// SPDX-License-Identifier: GPL-2.0-or-later
// What a device holds at present: a filesystem, a partition table, a raid member, swap...
#pragma once

#include <string>

#include "cli/app/outcome.h"
#include "runtime/device/device.h"

namespace dmr::cli {

// "an ext4 filesystem (label "home")", "a dos partition table"; "" when libblkid knows nothing on
// it. An error when the device could not be read or is ambiguous: then nobody knows.
[[nodiscard]] Expected<std::string> content_of(const runtime::Device& device);

// Erases the signatures by which libblkid knows what was there, as wipefs(8) does.
[[nodiscard]] Expected<void> wipe_signatures(const runtime::Device& device);

}  // namespace dmr::cli

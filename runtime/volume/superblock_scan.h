// SPDX-License-Identifier: GPL-2.0-or-later
// Looking at a device for a superblock of ours, before it is known to which set it belongs.
#pragma once

#include <optional>

#include "core/format/format.h"
#include "runtime/device/device.h"

namespace dmr::runtime {

// The intact copy that counts (of any version). Nothing when there is none; an error when no copy
// could be read. It says who the device claims to be; whether that is true is judged when the set
// is loaded.
[[nodiscard]] Expected<std::optional<format::Superblock>> find_superblock(const Device& device);

[[nodiscard]] std::string uuid_text(const Uuid& uuid);

}  // namespace dmr::runtime

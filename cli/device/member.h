// SPDX-License-Identifier: GPL-2.0-or-later
// Devices on their way into a volume: opened under the role that the user gave them, and examined
// before anything is written.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/app/outcome.h"
#include "cli/metadata/offline_disk.h"
#include "core/log/store.h"
#include "runtime/device/device.h"

namespace dmr::cli {

using DevicePtr = std::unique_ptr<runtime::Device>;

// For a look that disturbs nobody.
inline constexpr runtime::DeviceOptions kLook{.read_only = true,
                                              .exclusive = false,
                                              .allow_buffered = true,
                                              .odd_size = runtime::OddSize::cut_down};

// Opens; errors begin with the role ("main", "spare"). A file below a loop device counts as busy.
[[nodiscard]] Expected<DevicePtr> open_member(const std::string& role, const std::string& spec,
                                              const runtime::DeviceOptions& options);

// A device under the role that the user gave it.
struct NamedMember {
  std::string role;
  std::string spec;
};
// Refused when two of them share sectors. Looks without locks: a device named twice must not be
// taken for one that somebody else uses.
[[nodiscard]] Expected<void> check_apart(const std::vector<NamedMember>& members);

// An error when the device could not be written, although it was opened for reading only; `advice`
// says what to do.
[[nodiscard]] Expected<void> check_writable(const std::string& role, const runtime::Device& device,
                                            const char* advice);

// Refused when the device holds metadata of dm-remap: it is a spare of a volume.
[[nodiscard]] Expected<void> check_no_metadata(const std::string& role,
                                               const runtime::Device& device);
// Refused when the device holds anything that libblkid knows.
[[nodiscard]] Expected<void> check_no_content(const std::string& role,
                                              const runtime::Device& device);

// How the engine sees the device.
[[nodiscard]] MemberDevice member_device(const OfflineDisk& disk);

}  // namespace dmr::cli

// SPDX-License-Identifier: GPL-2.0-or-later
// Putting the devices of a set into their places, and saying in words why a set does not open.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "core/log/interface.h"
#include "runtime/device/device.h"
#include "runtime/volume/user_volume.h"

namespace dmr::runtime {

struct MemberSlots {
  std::array<std::unique_ptr<Device>, kMaxMembers> device;
  std::array<std::optional<format::Superblock>, kMaxMembers> claims;  // what each spare says it is
  u32 members = 0;  // highest number in use, and main

  [[nodiscard]] std::vector<Device*> pointers() const;
  // What the newest superblock of all spares says; null when none has any.
  [[nodiscard]] const format::Superblock* newest() const;
};

// Main goes to 0 (it may be null: missing); each spare where its superblock says; those without one
// into the places that are left, where loading will judge them. Exit status 3 for overlapping
// devices and for two spares that claim one place.
[[nodiscard]] Expected<MemberSlots> arrange_members(std::unique_ptr<Device> main,
                                                    std::vector<std::unique_ptr<Device>> spares);

[[nodiscard]] MemberDevice describe(const Device* device);
[[nodiscard]] LoadRequest load_request(const MemberSlots& slots, const VolumeOptions& options);

// One line: what is wrong, with both values where two differ, and what to do.
[[nodiscard]] Error open_error(Status status, const std::vector<Finding>& findings,
                               const MemberSlots& slots, const VolumeOptions& options);
// One line about one finding.
[[nodiscard]] std::string text_of(const Finding& finding, const MemberSlots& slots);

}  // namespace dmr::runtime

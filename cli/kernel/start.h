// SPDX-License-Identifier: GPL-2.0-or-later
// `start --export dm`: the volume as a mapped device of the kernel.
#pragma once

#include <string>

#include "cli/kernel/mapper.h"
#include "cli/server/serve.h"

namespace dmr::cli {

// An error when the kernel cannot run this volume here: no root, no module, members that are files.
[[nodiscard]] Expected<void> check_kernel_can(const Located& located, DeviceMapper& mapper);

// Examines the metadata first, because the kernel explains itself in its log only; returns the path
// of the mapped device.
[[nodiscard]] Expected<std::string> start_in_kernel(const ServeOptions& options,
                                                    DeviceMapper& mapper);

// What follows `remap` in the table.
[[nodiscard]] std::string table_line(const ServeOptions& options);

}  // namespace dmr::cli

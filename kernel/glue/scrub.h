// SPDX-License-Identifier: GPL-2.0-or-later
// The scrub's figures for the shim.
#pragma once

#include "kernel/glue/kernel_host.h"

namespace dmr::kernel {

void copy_scrub(dmr_scrub& to, const ScrubStats& from);

}  // namespace dmr::kernel

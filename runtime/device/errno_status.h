// SPDX-License-Identifier: GPL-2.0-or-later
// The one place where errno, the engine's view of a device's answer, and the answer to a user's
// request are translated into each other.
#pragma once

#include <string_view>

#include "core/base/result.h"
#include "core/host/host.h"

namespace dmr::runtime {

// `error` is positive; 0 is ok. What is not listed there counts as unspecified.
[[nodiscard]] IoStatus io_status_of(int error);
// The errno that stands for it best: io_status_of(errno_of(s)) == s.
[[nodiscard]] int errno_of(IoStatus status);
// What a user's request fails with: EIO, ENOSPC, EROFS, EINVAL, ESHUTDOWN; 0 for ok.
[[nodiscard]] int request_errno_of(Status status);

[[nodiscard]] const char* name_of(Status status);  // "ok", "io_error", ...

// "EIO" and the like, as plans of the faulty layer name them; 0 when the name is not known.
[[nodiscard]] int errno_named(std::string_view name);

}  // namespace dmr::runtime

// SPDX-License-Identifier: GPL-2.0-or-later
// The life of a server: open the volume, export it, answer the control socket, end cleanly.
#pragma once

#include <functional>
#include <string>

#include "cli/app/outcome.h"
#include "cli/server/export.h"
#include "cli/state/locate.h"

namespace dmr::cli {

struct ServeOptions {
  Located members;
  ExportRequest exported;
  bool read_only = false;
  bool degraded = false;
  bool ignore_identity = false;
  bool allow_buffered = false;
};

// What can be said against the members without opening them for good: one of them given twice, or
// one that cannot be written.
[[nodiscard]] Expected<void> check_members(const ServeOptions& options);

// Returns when the volume has been stopped. `ready` is called once all is served, with the path
// of the export; when it returns false, the volume is stopped at once.
[[nodiscard]] Expected<Exit> serve(const ServeOptions& options,
                                   const std::function<bool(const std::string& path)>& ready);

}  // namespace dmr::cli

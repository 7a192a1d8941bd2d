// SPDX-License-Identifier: GPL-2.0-or-later
// The ways in which `start` serves a volume to programs.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "cli/app/outcome.h"
#include "cli/app/output.h"
#include "runtime/volume/user_volume.h"

namespace dmr::cli {

class RunningExport {
 public:
  virtual ~RunningExport() = default;
  // What the user opens: a block device, a file or a socket.
  [[nodiscard]] virtual std::string path() const = 0;
  // {"kind", "path", ...} as `status` shows it.
  [[nodiscard]] virtual nlohmann::json json() const = 0;
  // Requests under way are finished; nobody can reach the volume afterwards.
  virtual void stop() = 0;
};

struct ExportRequest {
  std::string kind = "auto";  // "auto", "nbd" or "fuse"
  std::string name;
  std::optional<u16> tcp_port;  // NBD on loopback too
};

// "auto" becomes the best that this kernel and this user have.
[[nodiscard]] Expected<std::unique_ptr<RunningExport>> start_export(runtime::UserVolume& volume,
                                                                    const ExportRequest& request);

}  // namespace dmr::cli

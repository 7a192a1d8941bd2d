// SPDX-License-Identifier: GPL-2.0-or-later
// NBD and FUSE, and the choice between them.
#include "cli/server/export.h"

#include <cerrno>
#include <cstring>
#include <unistd.h>

#include <fmt/format.h>

#include "exports/fuse/export.h"
#include "exports/nbd/server.h"
#include "exports/source/volume_source.h"
#include "runtime/control/paths.h"
#include "runtime/volume/log_line.h"

namespace dmr::cli {
namespace {

class NbdExport final : public RunningExport {
 public:
  static Expected<std::unique_ptr<RunningExport>> start(runtime::UserVolume& volume,
                                                        const ExportRequest& request) {
    auto path = runtime::socket_path(request.name, ".nbd");
    if (!path) return std::unexpected(path.error());
    auto made = std::make_unique<NbdExport>(volume, *path, request.tcp_port);
    if (auto started = made->socket_.start(); !started) return std::unexpected(started.error());
    if (made->tcp_) {
      if (auto started = made->tcp_->start(); !started) return std::unexpected(started.error());
    }
    return made;
  }

  NbdExport(runtime::UserVolume& volume, const std::string& path, std::optional<u16> port)
      : source_(volume), socket_(source_, {.socket_path = path, .log = log}) {
    if (port) {
      tcp_.emplace(source_,
                   nbd::ServerOptions{.tcp_host = "127.0.0.1", .tcp_port = *port, .log = log});
    }
  }

  [[nodiscard]] std::string path() const override { return socket_.socket_path(); }

  [[nodiscard]] nlohmann::json json() const override {
    nlohmann::json json{{"kind", "nbd"}, {"path", path()}, {"uri", socket_.uri()}};
    if (tcp_) json["tcp_uri"] = tcp_->uri();
    return json;
  }

  void stop() override {
    if (tcp_) tcp_->stop();
    socket_.stop();
  }

 private:
  static void log(std::string_view line) {
    runtime::log_line(fmt::format("dm-remap: nbd: {}", line));
  }

  exports::VolumeSource source_;
  nbd::Server socket_;
  std::optional<nbd::Server> tcp_;
};

class FuseExport final : public RunningExport {
 public:
  static Expected<std::unique_ptr<RunningExport>> start(runtime::UserVolume& volume,
                                                        const std::string& name, bool loop_device) {
    auto made = std::make_unique<FuseExport>(volume, name, loop_device);
    if (auto started = made->export_.start(); !started) return std::unexpected(started.error());
    return made;
  }

  FuseExport(runtime::UserVolume& volume, const std::string& name, bool loop_device)
      : source_(volume),
        export_(source_,
                {.folder = runtime::runtime_file(name, ".fuse"), .loop_device = loop_device}) {}

  [[nodiscard]] std::string path() const override {
    return export_.device_path().empty() ? export_.file_path() : export_.device_path();
  }

  [[nodiscard]] nlohmann::json json() const override {
    nlohmann::json json{{"kind", "fuse"}, {"path", path()}, {"file", export_.file_path()}};
    if (!export_.device_path().empty()) json["device"] = export_.device_path();
    return json;
  }

  void stop() override { export_.stop(); }

 private:
  exports::VolumeSource source_;
  fuse::Export export_;
};

// With a loop device where that can be had: only it can be mounted.
Expected<std::unique_ptr<RunningExport>> start_fuse(runtime::UserVolume& volume,
                                                    const std::string& name) {
  if (access("/dev/fuse", R_OK | W_OK) != 0) {
    return failed(fmt::format("FUSE cannot be used: /dev/fuse: {}", std::strerror(errno)));
  }
  if (geteuid() != 0) return FuseExport::start(volume, name, false);
  auto with_device = FuseExport::start(volume, name, true);
  if (with_device) return with_device;
  auto plain = FuseExport::start(volume, name, false);
  if (!plain) return with_device;
  runtime::log_line(
      fmt::format("dm-remap: note: {}; serving a file only", with_device.error().message));
  return plain;
}

}  // namespace

Expected<std::unique_ptr<RunningExport>> start_export(runtime::UserVolume& volume,
                                                      const ExportRequest& request) {
  if (request.kind == "nbd") return NbdExport::start(volume, request);
  auto by_fuse = start_fuse(volume, request.name);
  if (by_fuse || request.kind == "fuse") return by_fuse;
  auto by_nbd = NbdExport::start(volume, request);
  if (!by_nbd) return by_fuse;
  runtime::log_line(
      fmt::format("dm-remap: note: {}; serving NBD on a socket", by_fuse.error().message));
  return by_nbd;
}

}  // namespace dmr::cli

// SPDX-License-Identifier: GPL-2.0-or-later
// bare-disk NAME SPEC nbd|fuse PATH: serves the device at PATH (a socket, or a folder for the file)
// until SIGTERM. Prints "ready " and what clients open. New faults come through NAME's control
// socket, by the same request as for a volume.
#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <unistd.h>

#include <fmt/format.h>

#include "demo/bare_disk.h"
#include "exports/fuse/export.h"
#include "exports/nbd/server.h"
#include "runtime/control/server.h"

namespace dmr::demo {
namespace {

using nlohmann::json;

int complain(const std::string& message) {
  fmt::print(stderr, "bare-disk: {}\n", message);
  return 1;
}

void answer(const runtime::Device& device, const json& request,
            const runtime::Responder& responder) {
  runtime::Layer* const faulty = device.find_layer("faulty");
  if (request.value("op", "") != "faults" || faulty == nullptr) {
    return responder.error({"only `faults` is known here"});
  }
  auto result = faulty->control(request.value("request", json::object()));
  if (!result) return responder.error(result.error());
  responder.ok(std::move(*result));
}

void wait_for_end(const std::string& path, const sigset_t& ends) {
  fmt::print("ready {}\n", path);
  std::fflush(stdout);
  int signal = 0;
  (void)::sigwait(&ends, &signal);
}

int serve(runtime::Device& device, const std::string& exported, const std::string& path,
          const sigset_t& ends) {
  BareDisk disk(device);
  if (exported == "nbd") {
    nbd::Server server(disk, {.socket_path = path});
    if (auto started = server.start(); !started) return complain(started.error().message);
    wait_for_end(path, ends);
    return 0;
  }
  fuse::Export file(disk, {.folder = path, .loop_device = ::geteuid() == 0});
  if (auto started = file.start(); !started) return complain(started.error().message);
  wait_for_end(file.device_path().empty() ? file.file_path() : file.device_path(), ends);
  return 0;
}

int run(const std::string& name, const std::string& spec, const std::string& exported,
        const std::string& path) {
  sigset_t ends;
  sigemptyset(&ends);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&ends, signal);
  ::pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  (void)std::signal(SIGPIPE, SIG_IGN);

  auto device = runtime::Device::open(spec, {.allow_buffered = true});
  if (!device) return complain(device.error().message);
  if ((*device)->layers() == nullptr) return complain("SPEC has no decorator: faulty::" + spec);
  if (auto folder = runtime::prepare_runtime_directory(); !folder) {
    return complain(folder.error().message);
  }
  auto control = runtime::ControlServer::start(
      name, [&device](const json& request, const runtime::Responder& responder) {
        answer(**device, request, responder);
      });
  if (!control) return complain(control.error().message);
  return serve(**device, exported, path, ends);
}

}  // namespace
}  // namespace dmr::demo

int main(int argc, char** argv) {
  const std::string exported = argc == 5 ? argv[3] : "";
  if (exported != "nbd" && exported != "fuse") {
    fmt::print(stderr, "usage: bare-disk NAME SPEC nbd|fuse PATH\n");
    return 2;
  }
  return dmr::demo::run(argv[1], argv[2], exported, argv[4]);
}

// SPDX-License-Identifier: GPL-2.0-or-later
// A control server in a runtime folder of the test's own, and clients that may do what they like.
#pragma once

#include <sys/socket.h>

#include <cstdlib>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "runtime/control/client.h"
#include "runtime/control/server.h"
#include "runtime/control/unix_address.h"
#include "runtime/testing/temp_folder.h"

namespace dmr::runtime::testing {

class ControlTest : public ::testing::Test {
 protected:
  ControlTest() { ::setenv("DM_REMAP_RUNTIME_DIR", folder.folder().c_str(), 1); }
  ~ControlTest() override { ::unsetenv("DM_REMAP_RUNTIME_DIR"); }

  void serve(ControlServer::Handler handler = echo, const ControlLimits& limits = {}) {
    auto started = ControlServer::start("vol", std::move(handler), limits);
    ASSERT_TRUE(started) << started.error().message;
    server = std::move(*started);
  }
  static void echo(const nlohmann::json& request, const Responder& responder) {
    responder.ok(request);
  }

  // A bare client that may do what it likes.
  FileDescriptor raw() {
    FileDescriptor fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const UnixAddress address(server->path());
    EXPECT_EQ(::connect(fd.get(), address.get(), UnixAddress::size()), 0);
    return fd;
  }
  static void send_text(const FileDescriptor& fd, const std::string& text) {
    for (std::size_t sent = 0; sent < text.size();) {
      const ssize_t now = ::send(fd.get(), text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
      if (now <= 0) return;  // dropped by the server
      sent += static_cast<std::size_t>(now);
    }
  }
  // Up to a line, or all there is when the server closes.
  static std::string receive(const FileDescriptor& fd) {
    std::string text;
    char c = 0;
    while (::recv(fd.get(), &c, 1, 0) == 1 && c != '\n') text += c;
    return text;
  }

  TempFolder folder;
  std::unique_ptr<ControlServer> server;
};

}  // namespace dmr::runtime::testing

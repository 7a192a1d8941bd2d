// SPDX-License-Identifier: GPL-2.0-or-later
// Listening sockets: a Unix socket that only its owner can open, or a TCP port of this machine.
#pragma once

#include <string>

#include "core/base/types.h"
#include "runtime/device/error.h"
#include "runtime/device/file_descriptor.h"

namespace dmr::nbd {

class Listener {
 public:
  // Mode 0600. The socket of a server that died is replaced; that of a living one is an error.
  [[nodiscard]] static runtime::Expected<Listener> unix_socket(const std::string& path);
  // `host` is a loopback address: everybody who reaches the port may read and write the volume.
  [[nodiscard]] static runtime::Expected<Listener> tcp(const std::string& host, u16 port);

  Listener(Listener&&) = default;
  Listener& operator=(Listener&&) = default;
  ~Listener();  // takes the Unix socket's name away, if it is still this one's

  [[nodiscard]] int fd() const { return fd_.get(); }
  // nbd+unix:///?socket=PATH or nbd://HOST:PORT
  [[nodiscard]] const std::string& uri() const { return uri_; }
  // The next client; nothing when there is none, or no descriptor for it.
  [[nodiscard]] runtime::FileDescriptor accept() const;

 private:
  Listener() = default;

  runtime::FileDescriptor fd_;
  std::string uri_;
  std::string path_;  // of a Unix socket
  u64 device_ = 0;    // its inode: somebody may have put another one there
  u64 inode_ = 0;
};

}  // namespace dmr::nbd

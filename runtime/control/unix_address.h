// SPDX-License-Identifier: GPL-2.0-or-later
// The address of a Unix socket at a path.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <string>

#include "core/base/assert.h"

namespace dmr::runtime {

class UnixAddress {
 public:
  // `path` is short enough: socket_path() has made sure.
  explicit UnixAddress(const std::string& path) {
    DMR_ASSERT(path.size() < sizeof(address_.sun_path));
    address_.sun_family = AF_UNIX;
    std::memcpy(address_.sun_path, path.c_str(), path.size() + 1);
  }
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address_); }
  [[nodiscard]] static socklen_t size() { return sizeof(sockaddr_un); }

 private:
  sockaddr_un address_{};
};

}  // namespace dmr::runtime

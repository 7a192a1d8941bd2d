// SPDX-License-Identifier: GPL-2.0-or-later
// bind() with the care that names in a filesystem and open ports need.
#include "exports/nbd/listener.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <unistd.h>

#include <fmt/format.h>

#include "exports/nbd/limits.h"

namespace dmr::nbd {

namespace {

// What a megabyte of replies needs to be sent in one go.
constexpr int kSendBufferBytes = 4 << 20;

using runtime::Expected;
using runtime::fail;
using runtime::FileDescriptor;

std::unexpected<runtime::Error> failed(const std::string& what) {
  return runtime::fail_errno(what, errno);
}

// Tells whether a server answers there.
bool answers(const sockaddr_un& address) {
  const FileDescriptor probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const auto* name = reinterpret_cast<const sockaddr*>(&address);
  return connect(probe.get(), name, sizeof address) == 0 || errno != ECONNREFUSED;
}

// Makes the name free, when what lies there is a socket that nobody serves.
Expected<void> clear(const std::string& path, const sockaddr_un& address) {
  struct stat status{};
  if (lstat(path.c_str(), &status) != 0) return {};
  if (!S_ISSOCK(status.st_mode)) {
    return fail(fmt::format("{}: exists, and is not a socket", path));
  }
  if (answers(address)) return fail(fmt::format("{}: another server uses it", path));
  if (unlink(path.c_str()) != 0) return failed(path);
  return {};
}

}  // namespace

Expected<Listener> Listener::unix_socket(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return fail(fmt::format("{}: a socket's path has 1 to {} bytes, this one {}", path,
                            sizeof address.sun_path - 1, path.size()));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  if (auto cleared = clear(path, address); !cleared) return std::unexpected(cleared.error());

  Listener listener;
  listener.fd_ = FileDescriptor(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener.fd_.valid()) return failed(path);
  // Before bind(): there is no moment at which others could connect.
  if (fchmod(listener.fd(), S_IRUSR | S_IWUSR) != 0) return failed(path);
  if (bind(listener.fd(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    return failed(path);
  }
  listener.path_ = path;
  struct stat status{};
  if (lstat(path.c_str(), &status) != 0) return failed(path);
  listener.device_ = status.st_dev;
  listener.inode_ = status.st_ino;
  if (::listen(listener.fd(), kListenBacklog) != 0) return failed(path);
  listener.uri_ = "nbd+unix:///?socket=" + path;
  return listener;
}

namespace {

struct Address {
  sockaddr_storage storage{};
  socklen_t bytes = 0;
  bool loopback = false;
};

std::optional<Address> parse_address(const std::string& host, u16 port) {
  Address address;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
  if (const std::string name = host == "localhost" ? "127.0.0.1" : host;
      inet_pton(AF_INET, name.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    address.bytes = sizeof *v4;
    address.loopback = (ntohl(v4->sin_addr.s_addr) >> 24) == 127;
    return address;
  }
  if (inet_pton(AF_INET6, host.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    address.bytes = sizeof *v6;
    address.loopback = IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
    return address;
  }
  return std::nullopt;
}

}  // namespace

Expected<Listener> Listener::tcp(const std::string& host, u16 port) {
  std::optional<Address> address = parse_address(host, port);
  if (!address) {
    return fail(fmt::format("{}: neither localhost nor an IP address", host));
  }
  if (!address->loopback) {
    return fail(fmt::format(
        "{}: not an address of this machine alone; put `nbdkit --tls=require nbd` in front", host));
  }
  const std::string name = fmt::format("{}:{}", host, port);
  const int family = address->storage.ss_family;
  Listener listener;
  listener.fd_ = FileDescriptor(socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener.fd_.valid()) return failed(name);
  const int on = 1;
  if (setsockopt(listener.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) return failed(name);
  auto* raw = reinterpret_cast<sockaddr*>(&address->storage);
  if (bind(listener.fd(), raw, address->bytes) != 0) return failed(name);
  if (::listen(listener.fd(), kListenBacklog) != 0) return failed(name);
  if (getsockname(listener.fd(), raw, &address->bytes) != 0) return failed(name);
  const u16 bound = ntohs(family == AF_INET ? reinterpret_cast<sockaddr_in*>(raw)->sin_port
                                            : reinterpret_cast<sockaddr_in6*>(raw)->sin6_port);
  listener.uri_ = fmt::format("nbd://{}:{}", family == AF_INET ? host : "[" + host + "]", bound);
  return listener;
}

Listener::~Listener() {
  if (!fd_.valid() || path_.empty()) return;
  struct stat status{};
  if (lstat(path_.c_str(), &status) != 0) return;
  if (status.st_dev == device_ && status.st_ino == inode_) unlink(path_.c_str());
}

FileDescriptor Listener::accept() const {
  FileDescriptor client(accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!client.valid()) return client;
  if (path_.empty()) {
    const int on = 1;
    setsockopt(client.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  } else if (setsockopt(client.get(), SOL_SOCKET, SO_SNDBUFFORCE, &kSendBufferBytes,
                        sizeof kSendBufferBytes) != 0) {
    // Without root as much as the system allows. A failure costs speed only.
    setsockopt(client.get(), SOL_SOCKET, SO_SNDBUF, &kSendBufferBytes, sizeof kSendBufferBytes);
  }
  return client;
}

}  // namespace dmr::nbd

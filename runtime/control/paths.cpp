// SPDX-License-Identifier: GPL-2.0-or-later
// Names, paths and the lock that makes a server the only one of its name.
#include "runtime/control/paths.h"

#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>

#include <fmt/format.h>

namespace dmr::runtime {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxNameBytes = 63;  // one less than the superblock's field
constexpr std::string_view kLockSuffix = ".lock";
constexpr unsigned kLockAttempts = 100;

struct flock whole_file(short type) {
  struct flock lock{};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  return lock;
}

int read_pid(int fd) {
  char text[32] = {};
  const ssize_t got = ::pread(fd, text, sizeof text - 1, 0);
  int pid = 0;
  if (got > 0) std::from_chars(text, text + got, pid);  // 0 when it is none
  return pid;
}

// Locks belong to the open file, so that of a dead process is gone, whatever the file says.
bool is_locked(int fd) {
  struct flock lock = whole_file(F_WRLCK);
  return ::fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

bool still_there(const std::string& path, int fd) {
  struct stat named{};
  struct stat opened{};
  return ::stat(path.c_str(), &named) == 0 && ::fstat(fd, &opened) == 0 &&
         named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
}

}  // namespace

std::string runtime_directory() {
  const char* chosen = std::getenv("DM_REMAP_RUNTIME_DIR");
  return chosen != nullptr && *chosen != '\0' ? chosen : "/run/dm-remap";
}

Expected<std::string> prepare_runtime_directory() {
  std::string path = runtime_directory();
  if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) {
    return fail_errno(path + ": cannot be made (choose another with DM_REMAP_RUNTIME_DIR)", errno);
  }
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return fail_errno(path, errno);
  if (!S_ISDIR(info.st_mode)) return fail(path + ": is not a folder");
  if (::access(path.c_str(), W_OK | X_OK) != 0) {
    return fail_errno(path + ": cannot be written to (choose another with DM_REMAP_RUNTIME_DIR)",
                      errno);
  }
  return path;
}

bool valid_name(std::string_view name) {
  if (name.empty() || name.size() > kMaxNameBytes || name[0] == '.' || name[0] == '-') return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-' || c == '+';
  });
}

std::string runtime_file(std::string_view name, std::string_view suffix) {
  return fmt::format("{}/{}{}", runtime_directory(), name, suffix);
}

Expected<std::string> socket_path(std::string_view name, std::string_view suffix) {
  std::string path = runtime_file(name, suffix);
  constexpr std::size_t kLongest = sizeof(sockaddr_un::sun_path) - 1;
  if (path.size() > kLongest) {
    return fail(
        fmt::format("{}: is too long for a socket ({} bytes, at most {}); choose a shorter "
                    "name or DM_REMAP_RUNTIME_DIR",
                    path, path.size(), kLongest));
  }
  return path;
}

Expected<NameLock> NameLock::take(std::string_view name) {
  if (!valid_name(name)) return fail(fmt::format("`{}` is not a name", name), kExitUsage);
  NameLock result;
  const std::string path = runtime_file(name, kLockSuffix);
  for (unsigned attempt = 0; attempt < kLockAttempts; ++attempt) {
    FileDescriptor fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
    if (!fd.valid()) return fail_errno(path, errno);
    struct flock lock = whole_file(F_WRLCK);
    if (::fcntl(fd.get(), F_OFD_SETLK, &lock) != 0) {
      if (errno != EAGAIN && errno != EACCES) return fail_errno(path, errno);
      return fail(fmt::format("{}: is running already (process {})", name, read_pid(fd.get())),
                  kExitRefused);
    }
    // Its last owner may have removed the file between our open and our lock.
    if (!still_there(path, fd.get())) continue;
    const std::string pid = fmt::format("{}\n", ::getpid());
    // Whatever the umask: everybody may know that the volume runs.
    if (::fchmod(fd.get(), 0644) != 0) return fail_errno(path, errno);
    if (::ftruncate(fd.get(), 0) != 0 ||
        ::pwrite(fd.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
      return fail_errno(path, errno);
    }
    result.path_ = path;
    result.fd_ = std::move(fd);
    return result;
  }
  return fail(path + ": others keep on taking and leaving it");
}

NameLock::~NameLock() {
  if (fd_.valid()) ::unlink(path_.c_str());  // while it is still locked
}

int NameLock::holder(std::string_view name) {
  const std::string path = runtime_file(name, kLockSuffix);
  const FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  return fd.valid() && is_locked(fd.get()) ? read_pid(fd.get()) : 0;
}

std::vector<std::string> running_names() {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(runtime_directory(), error)) {
    if (entry.path().extension() != kLockSuffix) continue;
    const std::string name = entry.path().stem().string();
    if (valid_name(name) && NameLock::holder(name) != 0) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace dmr::runtime

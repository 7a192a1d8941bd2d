// SPDX-License-Identifier: GPL-2.0-or-later
// Careful steps around a folder that a dead server may have left mounted.
#include "exports/fuse/mount_point.h"

#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <spawn.h>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include "core/base/assert.h"

extern "C" char** environ;

namespace dmr::fuse {

namespace {

using runtime::Expected;
using runtime::fail;
using runtime::fail_errno;

bool run_fusermount(const std::string& path) {
  std::array<std::string, 6> words = {"fusermount3", "-u", "-z", "-q", "--", path};
  std::array<char*, 7> arguments{};
  for (std::size_t i = 0; i < words.size(); ++i) arguments[i] = words[i].data();
  pid_t child = 0;
  if (posix_spawnp(&child, "fusermount3", nullptr, nullptr, arguments.data(), environ) != 0) {
    return false;
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return false;
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// Asks the server itself: stat() is answered from attributes that the kernel keeps after its death.
bool server_is_dead(const std::string& path) {
  struct statfs status{};
  return statfs(path.c_str(), &status) != 0 && (errno == ENOTCONN || errno == ECONNABORTED);
}

bool is_mounted(const std::string& path, const struct stat& status) {
  struct stat parent{};
  return stat((path + "/..").c_str(), &parent) == 0 && parent.st_dev != status.st_dev;
}

}  // namespace

bool unmount(const std::string& path) {
  if (umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) return true;
  return errno == EPERM && run_fusermount(path);
}

Expected<MountPoint> MountPoint::prepare(const std::string& path) {
  DMR_ASSERT(path.starts_with('/'));
  const bool made = mkdir(path.c_str(), S_IRWXU) == 0;
  if (!made && errno != EEXIST) return fail_errno(path, errno);
  struct stat status{};
  if (server_is_dead(path) && !unmount(path)) {
    return fail(fmt::format("{}: a dead server's mount is there and cannot be taken away", path));
  }
  if (stat(path.c_str(), &status) != 0) return fail_errno(path, errno);
  if (!S_ISDIR(status.st_mode)) return fail_errno(path, ENOTDIR);
  if (is_mounted(path, status)) {
    return fail(fmt::format("{}: something is mounted there already", path), runtime::kExitRefused);
  }
  std::error_code error;
  if (!std::filesystem::is_empty(path, error) || error) {
    return fail(fmt::format("{}: the folder is not empty", path), runtime::kExitRefused);
  }
  // A folder that is empty and only its owner's is most likely one of ours, left by a crash.
  const bool ours = made || (status.st_uid == geteuid() && (status.st_mode & 0777U) == S_IRWXU);
  return MountPoint(path, ours);
}

MountPoint::MountPoint(MountPoint&& other) noexcept
    : path_(std::exchange(other.path_, {})), made_(std::exchange(other.made_, false)) {}

MountPoint::~MountPoint() {
  if (made_) rmdir(path_.c_str());
}

}  // namespace dmr::fuse

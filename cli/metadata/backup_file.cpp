// SPDX-License-Identifier: GPL-2.0-or-later
// Writing a backup file so that it is there wholly or not at all, and reading one.
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <unistd.h>

#include <fmt/format.h>

#include "cli/metadata/backup.h"
#include "runtime/device/file_descriptor.h"

namespace dmr::cli {
namespace {

using runtime::FileDescriptor;

// Far more than the map of any spare: a device that was named by mistake is not read whole.
constexpr std::uintmax_t kMostBytes = std::uintmax_t{64} << 30;

// Removes the temporary file unless it has become the real one.
class Temporary {
 public:
  explicit Temporary(const std::string& target)
      : path_(target + ".XXXXXX"), fd_(::mkostemp(path_.data(), O_CLOEXEC)) {}
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;
  ~Temporary() {
    if (fd_.valid() && !is_kept_) (void)::unlink(path_.c_str());
  }
  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] bool valid() const { return fd_.valid(); }
  // 0 or an errno. Without `replace` an existing target is EEXIST.
  [[nodiscard]] int become(const std::string& target, bool replace) {
    const unsigned flags = replace ? 0 : RENAME_NOREPLACE;
    int result = ::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, target.c_str(), flags);
    if (result != 0 && errno == EINVAL && !replace) {  // the file system does not know the flag
      result = ::link(path_.c_str(), target.c_str());
      if (result == 0) (void)::unlink(path_.c_str());
    }
    if (result != 0) return errno;
    is_kept_ = true;
    return 0;
  }

 private:
  std::string path_;
  FileDescriptor fd_;
  bool is_kept_ = false;
};

int write_all(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t done = ::write(fd, bytes.data(), bytes.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return errno;
    bytes = bytes.subspan(static_cast<std::size_t>(done));
  }
  return ::fsync(fd) == 0 ? 0 : errno;
}

// The name, too, must survive a crash.
int sync_folder_of(const std::string& path) {
  std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (folder.empty()) folder = ".";
  const FileDescriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return errno;
  return ::fsync(fd.get()) == 0 ? 0 : errno;
}

}  // namespace

Expected<void> write_file(const std::string& path, std::span<const std::byte> bytes, bool force) {
  struct stat info{};
  if (::lstat(path.c_str(), &info) == 0) {
    if (!S_ISREG(info.st_mode)) return failed(path + ": is there already, and is no file");
    if (!force) return refused(path + ": is there already; --force overwrites it");
  }
  Temporary file(path);
  if (!file.valid()) return runtime::fail_errno(path, errno);
  if (const int error = write_all(file.fd(), bytes); error != 0) {
    return runtime::fail_errno(path + ": cannot be written", error);
  }
  if (const int error = file.become(path, force); error != 0) {
    if (error == EEXIST) return refused(path + ": is there already; --force overwrites it");
    return runtime::fail_errno(path + ": cannot be written", error);
  }
  if (const int error = sync_folder_of(path); error != 0) {
    return runtime::fail_errno(path + ": its folder cannot be synchronised", error);
  }
  return {};
}

Expected<std::vector<std::byte>> read_file(const std::string& path) {
  std::error_code error;
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  if (error) return runtime::fail_errno(path, error.value());
  if (size > kMostBytes) return failed(path + ": is too large for a backup");
  std::ifstream file(path, std::ios::binary);
  if (!file) return runtime::fail_errno(path, errno);
  std::vector<std::byte> bytes(size);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size));
  if (!file) return failed(path + ": cannot be read whole");
  return bytes;
}

}  // namespace dmr::cli

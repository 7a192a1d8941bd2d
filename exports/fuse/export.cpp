// SPDX-License-Identifier: GPL-2.0-or-later
// Mounting, the workers, and the end of both.
#include "exports/fuse/export.h"

#include <linux/fuse.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <thread>

#include <fmt/format.h>

#include "core/base/assert.h"
#include "exports/fuse/operations.h"
#include "exports/fuse/worker.h"

namespace dmr::fuse {

using runtime::Expected;
using runtime::fail;
using runtime::FileDescriptor;

Export::Export(exports::Source& source, ExportOptions options)
    : source_(source), options_(std::move(options)) {
  // A server changes to another working directory.
  options_.folder = std::filesystem::absolute(options_.folder);
}

Export::~Export() { stop(); }

Expected<void> Export::start() {
  DMR_ASSERT(session_ == nullptr);
  auto point = MountPoint::prepare(options_.folder);
  if (!point) return std::unexpected(point.error());
  const std::string folder = point->path();
  mount_point_.emplace(std::move(*point));
  Expected<void> done = mount(folder);
  if (done) done = start_workers();
  if (done && options_.loop_device) {
    auto loop = LoopDevice::attach(file_path(), source_.logical_block_bytes(), source_.read_only());
    if (loop) {
      loop_.emplace(std::move(*loop));
    } else {
      done = std::unexpected(loop.error());
    }
  }
  if (!done) stop();
  return done;
}

Expected<void> Export::mount(const std::string& folder) {
  filesystem_ = std::make_unique<Filesystem>(source_, source_.name());
  std::array<std::string, 3> words = {
      "dm-remap", "-o",
      fmt::format("fsname=dm-remap:{},subtype=dm-remap,default_permissions,max_read={}",
                  source_.name(), kMaxTransferBytes)};
  std::array<char*, 4> arguments = {words[0].data(), words[1].data(), words[2].data(), nullptr};
  fuse_args args = FUSE_ARGS_INIT(3, arguments.data());
  session_ = fuse_session_new(&args, &operations(), sizeof operations(), filesystem_.get());
  fuse_opt_free_args(&args);
  if (session_ == nullptr) return fail("libfuse refuses to make a session");
  if (fuse_session_mount(session_, folder.c_str()) != 0) {
    return fail(fmt::format(
        "{}: cannot be mounted; is fusermount3 installed, /dev/fuse open to all?", folder));
  }
  mounted_ = true;
  if (fuse_session_custom_io(session_, &worker_io(), fuse_session_fd(session_)) != 0) {
    return fail("libfuse does not take our way to reply");
  }
  return {};
}

Expected<void> Export::start_workers() {
  const unsigned processors = std::max(1U, std::thread::hardware_concurrency());
  const unsigned count =
      options_.workers != 0 ? options_.workers : std::min(processors, kMaxWorkers);
  int master = fuse_session_fd(session_);
  if (fcntl(master, F_SETFL, O_RDWR | O_NONBLOCK) != 0) return runtime::fail_errno("FUSE", errno);
  for (unsigned i = 0; i < count; ++i) {
    int device = master;
    FileDescriptor clone(open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK));
    // A request is answered where it was read: each worker has its own list to search.
    if (i > 0 && clone.valid() && ioctl(clone.get(), FUSE_DEV_IOC_CLONE, &master) == 0) {
      device = clone.get();
      clones_.push_back(std::move(clone));
    }
    auto worker = Worker::make(session_, source_, device);
    if (!worker) return std::unexpected(worker.error());
    workers_.push_back(std::move(*worker));
  }
  for (const auto& worker : workers_) worker->run();
  return {};
}

void Export::stop() {
  loop_.reset();  // needs the workers
  for (const auto& worker : workers_) worker->stop();
  for (const auto& worker : workers_) worker->join();
  workers_.clear();
  clones_.clear();  // before the unmount, which waits for nobody then
  if (session_ != nullptr) {
    if (mounted_) fuse_session_unmount(session_);
    fuse_session_destroy(session_);
  }
  mounted_ = false;
  session_ = nullptr;
  filesystem_.reset();
  mount_point_.reset();
}

std::string Export::file_path() const { return options_.folder + "/" + source_.name(); }

std::string Export::device_path() const { return loop_ ? loop_->path() : std::string(); }

bool Export::in_use() const {
  if (filesystem_ == nullptr) return false;
  if (loop_) return filesystem_->opened.count() > 1 || loop_->in_use();  // one is the loop device's
  return filesystem_->opened.count() > 0;
}

}  // namespace dmr::fuse

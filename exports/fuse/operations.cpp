// SPDX-License-Identifier: GPL-2.0-or-later
// Attributes, names, and the way of data to the worker's queue.
#include "exports/fuse/operations.h"

#include <linux/falloc.h>
#include <linux/fuse.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <fcntl.h>
#include <span>
#include <unistd.h>
#include <utility>

#include "core/base/assert.h"
#include "exports/fuse/limits.h"
#include "exports/fuse/worker.h"

namespace dmr::fuse {

namespace {

constexpr fuse_ino_t kRoot = FUSE_ROOT_ID;
constexpr fuse_ino_t kFile = 2;
constexpr double kForever = 86400.0;  // size and mode never change

Filesystem& filesystem(fuse_req_t request) {
  return *static_cast<Filesystem*>(fuse_req_userdata(request));
}

u64 size_of(const Filesystem& fs) { return fs.source.sectors() << kSectorShift; }

struct stat attributes(const Filesystem& fs, fuse_ino_t inode) {
  struct stat status{};
  status.st_ino = inode;
  status.st_uid = geteuid();
  status.st_gid = getegid();
  status.st_blksize = static_cast<blksize_t>(fs.source.block_bytes());
  if (inode == kRoot) {
    status.st_mode = S_IFDIR | S_IRUSR | S_IXUSR;
    status.st_nlink = 2;
  } else {
    status.st_mode = S_IFREG | S_IRUSR | S_IWUSR;
    status.st_nlink = 1;
    status.st_size = static_cast<off_t>(size_of(fs));
    status.st_blocks = static_cast<blkcnt_t>(fs.source.sectors());
  }
  return status;
}

// The next reply of this thread is that to INIT.
thread_local bool answering_init = false;

void init(void*, fuse_conn_info* connection) {
  answering_init = true;
  connection->max_write = kMaxRequestPages * static_cast<u32>(kPageBytes);  // see limit_transfers()
  connection->max_read = kMaxTransferBytes;
  connection->max_readahead = kMaxTransferBytes;
  connection->max_background = kMaxBackground;
  connection->congestion_threshold = kMaxBackground * 3 / 4;
  connection->want |= connection->capable & (FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO);
  connection->want &= ~unsigned{FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
                                FUSE_CAP_SPLICE_MOVE | FUSE_CAP_WRITEBACK_CACHE};
}

void lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
  const Filesystem& fs = filesystem(request);
  if (parent != kRoot || fs.file_name != name) {
    fuse_reply_err(request, ENOENT);
    return;
  }
  fuse_entry_param entry{};
  entry.ino = kFile;
  entry.attr = attributes(fs, kFile);
  entry.attr_timeout = kForever;
  entry.entry_timeout = kForever;
  fuse_reply_entry(request, &entry);
}

void getattr(fuse_req_t request, fuse_ino_t inode, fuse_file_info*) {
  const struct stat status = attributes(filesystem(request), inode);
  fuse_reply_attr(request, &status, kForever);
}

// Times may be set, to nothing; a size only to what it is.
void setattr(fuse_req_t request, fuse_ino_t inode, struct stat* wanted, int what, fuse_file_info*) {
  constexpr int kOwnership = FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID;
  const struct stat status = attributes(filesystem(request), inode);
  const bool resize = (what & FUSE_SET_ATTR_SIZE) != 0 && wanted->st_size != status.st_size;
  if ((what & kOwnership) != 0 || resize) {
    fuse_reply_err(request, EPERM);
    return;
  }
  fuse_reply_attr(request, &status, kForever);
}

void open_file(fuse_req_t request, fuse_ino_t inode, fuse_file_info* info) {
  Filesystem& fs = filesystem(request);
  int error = 0;
  if (inode != kFile) error = EISDIR;
  if ((info->flags & O_ACCMODE) != O_RDONLY && fs.source.read_only()) error = EROFS;
  if (Worker::current().stopping()) error = ESHUTDOWN;
  if (error != 0) {
    fuse_reply_err(request, error);
    return;
  }
  // Written out by hand: libfuse 3.14 has no name for parallel direct writes yet.
  fuse_open_out out{};
  out.open_flags = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES;
  out.fh = fs.opened.add(fs.source);
  if (fuse_reply_buf(request, reinterpret_cast<const char*>(&out), sizeof out) != 0) {
    fs.opened.remove(out.fh);
  }
}

void release(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
  // What fsync() has said was read. What close() has said nobody read whose program was killed.
  OpenFiles::client(info->fh).answered();
  filesystem(request).opened.remove(info->fh);
  fuse_reply_err(request, 0);
}

// 0 when the range is one of whole logical blocks inside the volume.
int check_range(const Filesystem& fs, u64 offset, u64 bytes) {
  if (((offset | bytes) & (fs.source.logical_block_bytes() - 1)) != 0) return EINVAL;
  const u64 size = size_of(fs);
  return offset <= size && bytes <= size - offset ? 0 : ENOSPC;
}

void read_file(fuse_req_t request, fuse_ino_t, size_t bytes, off_t offset, fuse_file_info*) {
  const Filesystem& fs = filesystem(request);
  const auto begin = static_cast<u64>(offset);
  const u64 size = size_of(fs);
  const u64 inside = begin < size ? std::min<u64>(bytes, size - begin) : 0;
  int error = check_range(fs, begin, inside);
  if (begin >= size) error = 0;
  if (inside > kMaxTransferBytes) error = EINVAL;
  if (Worker::current().stopping()) error = ESHUTDOWN;
  if (error != 0) {
    fuse_reply_err(request, error);
  } else if (inside == 0) {
    fuse_reply_buf(request, nullptr, 0);
  } else {
    Worker::current().start_read(request, begin, static_cast<u32>(inside));
  }
}

void write_file(fuse_req_t request, fuse_ino_t, const char* data, size_t bytes, off_t offset,
                fuse_file_info* info) {
  const auto begin = static_cast<u64>(offset);
  int error = check_range(filesystem(request), begin, bytes);
  if (bytes > kMaxTransferBytes) error = EINVAL;
  if (Worker::current().stopping()) error = ESHUTDOWN;
  if (error != 0) {
    fuse_reply_err(request, error);
  } else if (bytes == 0) {
    fuse_reply_write(request, 0);
  } else {
    // O_SYNC contains O_DSYNC. The kernel sets it for the file's flags and for RWF_DSYNC, and sends
    // no FSYNC after a write that goes past its cache: this is all we hear of it.
    const bool fua = (info->flags & O_DSYNC) != 0;
    Worker::current().start_write(request, begin, data, static_cast<u32>(bytes), fua,
                                  OpenFiles::client(info->fh));
  }
}

void start_flush(fuse_req_t request, const fuse_file_info* info, FlushClient::Answer answer) {
  if (Worker::current().stopping()) {
    fuse_reply_err(request, ESHUTDOWN);
    return;
  }
  Worker::current().start_flush(request, OpenFiles::client(info->fh), answer);
}

// At the end of each descriptor, duplicates included. Few look at what close() says, a child that
// closes what it has inherited least of all: so what it is told is told to fsync() again.
void flush(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
  const exports::Source& source = filesystem(request).source;
  const FlushClient& client = OpenFiles::client(info->fh);
  // One that takes no writes has nothing to flush; one that has turned so may have.
  if (source.read_only() && !client.dirty() && !client.has_news(source.flush_refusals())) {
    fuse_reply_err(request, 0);
    return;
  }
  start_flush(request, info, FlushClient::Answer::may_be_ignored);
}

void fsync_file(fuse_req_t request, fuse_ino_t, int, fuse_file_info* info) {
  start_flush(request, info, FlushClient::Answer::counts);
}

void fallocate_file(fuse_req_t request, fuse_ino_t, int mode, off_t offset, off_t length,
                    fuse_file_info* info) {
  const Filesystem& fs = filesystem(request);
  const auto begin = static_cast<u64>(offset);
  const auto bytes = static_cast<u64>(length);
  // A hole in a file reads as zeros, which a discarded sector need not.
  const bool zeroes = mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE) ||
                      (mode & ~FALLOC_FL_KEEP_SIZE) == FALLOC_FL_ZERO_RANGE;
  int error = check_range(fs, begin, bytes);
  if (bytes >> kSectorShift > ~u32{0}) error = EFBIG;
  if (!zeroes) error = EOPNOTSUPP;
  if (fs.source.read_only()) error = EROFS;
  if (Worker::current().stopping()) error = ESHUTDOWN;
  if (error != 0 || bytes == 0) {
    fuse_reply_err(request, error);
    return;
  }
  Worker::current().start_zeroing(request, begin, bytes, OpenFiles::client(info->fh));
}

void readdir(fuse_req_t request, fuse_ino_t inode, size_t bytes, off_t offset, fuse_file_info*) {
  const Filesystem& fs = filesystem(request);
  const std::array<std::pair<const char*, fuse_ino_t>, 3> entries = {
      {{".", kRoot}, {"..", kRoot}, {fs.file_name.c_str(), kFile}}};
  if (inode != kRoot) {
    fuse_reply_err(request, ENOTDIR);
    return;
  }
  std::array<char, 1024> buffer;
  const std::size_t room = std::min(bytes, buffer.size());
  std::size_t used = 0;
  for (auto i = static_cast<std::size_t>(offset); i < entries.size(); ++i) {
    const struct stat status = attributes(fs, entries[i].second);
    const std::size_t needed =
        fuse_add_direntry(request, buffer.data() + used, room - used, entries[i].first, &status,
                          static_cast<off_t>(i + 1));
    if (needed > room - used) break;
    used += needed;
  }
  fuse_reply_buf(request, buffer.data(), used);
}

fuse_lowlevel_ops make_operations() {
  fuse_lowlevel_ops ops{};
  ops.init = init;
  ops.lookup = lookup;
  ops.getattr = getattr;
  ops.setattr = setattr;
  ops.open = open_file;
  ops.release = release;
  ops.read = read_file;
  ops.write = write_file;
  ops.flush = flush;
  ops.fsync = fsync_file;
  ops.fallocate = fallocate_file;
  ops.readdir = readdir;
  return ops;
}

// libfuse derives the number of pages from the size of writes; here they are to differ.
void limit_transfers(std::span<iovec> parts) {
  DMR_ASSERT(parts.size() == 2 && parts[1].iov_len >= offsetof(fuse_init_out, map_alignment));
  auto* const out = static_cast<fuse_init_out*>(parts[1].iov_base);
  out->max_write = kMaxTransferBytes;
}

ssize_t write_reply(int, iovec* parts, int count, void*) {
  if (std::exchange(answering_init, false)) {
    limit_transfers(std::span(parts, static_cast<std::size_t>(count)));
  }
  return writev(Worker::current_device(), parts, count);
}

// Not called: the workers read for themselves, where a write's data is to lie.
ssize_t read_nothing(int, void*, std::size_t, void*) {
  errno = ENODEV;
  return -1;
}

}  // namespace

u64 OpenFiles::add(exports::Source& source) {
  auto client =
      std::make_unique<runtime::ConnectedClient>(source.clients(), source.flush_refusals());
  const auto handle = reinterpret_cast<u64>(static_cast<FlushClient*>(client.get()));
  const std::lock_guard lock(mutex_);
  files_.emplace(handle, std::move(client));
  return handle;
}

void OpenFiles::remove(u64 handle) {
  const std::lock_guard lock(mutex_);
  files_.erase(handle);
}

FlushClient& OpenFiles::client(u64 handle) { return *reinterpret_cast<FlushClient*>(handle); }

std::size_t OpenFiles::count() const {
  const std::lock_guard lock(mutex_);
  return files_.size();
}

const fuse_lowlevel_ops& operations() {
  static const fuse_lowlevel_ops kOperations = make_operations();
  return kOperations;
}

const fuse_custom_io& worker_io() {
  static const fuse_custom_io kIo = {.writev = write_reply,
                                     .read = read_nothing,
                                     .splice_receive = nullptr,
                                     .splice_send = nullptr};
  return kIo;
}

}  // namespace dmr::fuse

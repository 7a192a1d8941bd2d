// SPDX-License-Identifier: GPL-2.0-or-later
// Blocking I/O on the file or device itself: below all decorators, and for work at open.
#include <linux/falloc.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

#include "runtime/device/layer.h"
#include "runtime/device/zeros.h"

namespace dmr::runtime {
namespace {

// Not const: constants would take this room in the program file.
alignas(4096) std::byte zero_storage[kZeroBytes];

constexpr unsigned kMaxInterrupts = 1000;  // EINTR in a row before it is given up

class FileLayer final : public Layer {
 public:
  explicit FileLayer(int fd) : fd_(fd) {}
  [[nodiscard]] std::string_view kind() const override { return "file"; }

  LayerResult run(const LayerIo& io) override {
    switch (io.op) {
      case IoOp::read:
      case IoOp::write:
        return {.error = transfer(io)};
      case IoOp::flush:
        return {.error = ::fdatasync(fd_) == 0 ? 0 : errno};
      case IoOp::discard:
        return {.error = allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, io)};
      case IoOp::write_zeroes:
        return {.error = write_zeroes(io)};
    }
    return {.error = EINVAL};
  }

 private:
  [[nodiscard]] int allocate(int mode, const LayerIo& io) const {
    return ::fallocate(fd_, mode, static_cast<off_t>(io.offset), static_cast<off_t>(io.length)) == 0
               ? 0
               : errno;
  }

  [[nodiscard]] int write_zeroes(const LayerIo& io) const {
    const int error = allocate(FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, io);
    if (error == EOPNOTSUPP) {
      LayerIo plain = io;
      plain.op = IoOp::write;
      plain.data = nullptr;
      return transfer(plain);
    }
    if (error == 0 && io.fua && ::fdatasync(fd_) != 0) return errno;
    return error;
  }

  [[nodiscard]] int transfer(const LayerIo& io) const {
    unsigned interrupts = 0;
    for (u64 done = 0; done < io.length;) {
      const u64 left = io.length - done;
      const u64 now = io.data == nullptr ? std::min<u64>(left, kZeroBytes) : left;
      iovec part{io.data == nullptr ? zero_bytes() : io.data + done, now};
      const auto offset = static_cast<off_t>(io.offset + done);
      const ssize_t moved = io.op == IoOp::read
                                ? ::preadv2(fd_, &part, 1, offset, 0)
                                : ::pwritev2(fd_, &part, 1, offset, io.fua ? RWF_DSYNC : 0);
      if (moved < 0 && errno == EINTR && ++interrupts < kMaxInterrupts) continue;
      if (moved < 0) return errno;
      if (moved == 0) return EIO;  // the file has become shorter
      done += static_cast<u64>(moved);
    }
    return 0;
  }

  const int fd_;
};

}  // namespace

std::byte* zero_bytes() { return zero_storage; }

std::unique_ptr<Layer> make_file_layer(int fd) { return std::make_unique<FileLayer>(fd); }

}  // namespace dmr::runtime

// SPDX-License-Identifier: GPL-2.0-or-later
// Requests are done one after the other, on the thread of the queue; they complete in process().
#include "demo/bare_disk.h"

#include <sys/eventfd.h>

#include <array>
#include <cerrno>
#include <deque>
#include <poll.h>
#include <utility>

#include "core/base/assert.h"
#include "runtime/device/file_descriptor.h"
#include "runtime/device/layer.h"

namespace dmr::demo {
namespace {

class BareQueue final : public runtime::Queue {
 public:
  BareQueue(runtime::Device& device, int wake) : device_(device), wake_(wake) {}
  ~BareQueue() override { DMR_ASSERT(waiting_.empty()); }

  void submit(std::span<runtime::QueueRequest* const> batch) override {
    waiting_.insert(waiting_.end(), batch.begin(), batch.end());
  }

  unsigned process(bool wait) override {
    const unsigned completed = complete();
    if (completed > 0 || !wait) return completed;
    std::array<pollfd, 2> polled = {pollfd{wake_.get(), POLLIN, 0}, pollfd{watched_, POLLIN, 0}};
    while (::poll(polled.data(), polled.size(), -1) < 0 && errno == EINTR) {
    }
    if (polled[0].revents != 0) {
      eventfd_t value = 0;
      (void)::eventfd_read(wake_.get(), &value);
    }
    readable_ = readable_ || polled[1].revents != 0;
    return complete();
  }

  void watch(int fd) override { watched_ = fd; }
  bool watched_readable() override { return std::exchange(readable_, false); }
  void wake() override { (void)::eventfd_write(wake_.get(), 1); }
  void answers_received() override {}
  unsigned in_flight() const override { return static_cast<unsigned>(waiting_.size()); }
  bool register_memory(std::span<std::byte>) override { return false; }

 private:
  unsigned complete() {
    unsigned count = 0;
    while (!waiting_.empty()) {
      runtime::QueueRequest* const request = waiting_.front();
      waiting_.pop_front();
      execute(*request);
      request->done(*request);
      ++count;
    }
    return count;
  }

  void execute(runtime::QueueRequest& request) {
    const runtime::LayerIo io{.op = request.op,
                              .fua = request.fua || request.then_flush,
                              .offset = request.sector.value * kSectorBytes,
                              .length = u64{request.sectors} * kSectorBytes,
                              .data = request.data};
    request.error = device_.layers()->run(io).error;
    request.bad_sector = request.sector;
  }

  runtime::Device& device_;
  const runtime::FileDescriptor wake_;
  std::deque<runtime::QueueRequest*> waiting_;
  int watched_ = -1;
  bool readable_ = false;
};

}  // namespace

runtime::Expected<std::unique_ptr<runtime::Queue>> BareDisk::make_queue() {
  const int wake = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake < 0) return runtime::fail_errno("eventfd", errno);
  return std::make_unique<BareQueue>(device_, wake);
}

}  // namespace dmr::demo

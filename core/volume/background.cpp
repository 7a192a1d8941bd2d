// SPDX-License-Identifier: GPL-2.0-or-later
// The beginning and the end of a loop that runs beside the requests.
#include "core/volume/background.h"

namespace dmr {

Status BackgroundLoop::open(std::size_t frame_bytes) {
  memory_ = static_cast<std::byte*>(host_.allocate(frame_bytes, 64));
  if (memory_ == nullptr) return Status::no_memory;
  bytes_ = frame_bytes;
  frames_.init(host_, memory_, bytes_);
  return Status::ok;
}

void BackgroundLoop::close() {
  root_.reset();
  if (memory_ == nullptr) return;
  DMR_ASSERT(frames_.used() == 0);
  host_.unpoison(memory_, bytes_);
  host_.release(memory_, bytes_);
  memory_ = nullptr;
}

void BackgroundLoop::start(Task<Status>&& task) {
  DMR_ASSERT(!root_.has_value());
  root_.emplace(static_cast<Task<Status>&&>(task));
  DMR_ASSERT(root_->has_frame());
  ended_.context = this;
  ended_.run = [](Ready& node) {
    auto* self = static_cast<BackgroundLoop*>(node.context);
    DMR_ASSERT(self->stopped_ != nullptr);
    self->executor_.post(*self->stopped_);
  };
  root_->start(executor_, ended_);
}

void BackgroundLoop::request_stop(Ready& stopped) {
  stopped_ = &stopped;
  wake();
}

}  // namespace dmr

// SPDX-License-Identifier: GPL-2.0-or-later
// Memory for the coroutine frames of one operation. Nested tasks end in the reverse order of their
// start, so a stack serves them; its size is the operation's reservation for its whole nesting.
#pragma once

#include "core/base/assert.h"
#include "core/host/host.h"

namespace dmr {

class FrameStack {
 public:
  static constexpr std::size_t kAlign = 16;

  void init(Host& host, std::byte* memory, std::size_t bytes) {
    host_ = &host;
    base_ = memory;
    size_ = bytes;
    used_ = 0;
    host.poison(memory, bytes);
  }

  // Null when the reservation is too small for this nesting: a value to handle.
  [[nodiscard]] void* push(std::size_t bytes) {
    const std::size_t need = kHeader + ((bytes + kAlign - 1) & ~(kAlign - 1));
    if (need > size_ - used_) return nullptr;
    std::byte* at = base_ + used_;
    host_->unpoison(at, need);
    *reinterpret_cast<FrameStack**>(at) = this;
    used_ += need;
    if (used_ > high_water_) high_water_ = used_;
    return at + kHeader;
  }

  static void pop(void* frame, std::size_t bytes) {
    std::byte* at = static_cast<std::byte*>(frame) - kHeader;
    FrameStack* self = *reinterpret_cast<FrameStack**>(at);
    const std::size_t need = kHeader + ((bytes + kAlign - 1) & ~(kAlign - 1));
    DMR_ASSERT(at + need == self->base_ + self->used_);  // last started, first ended
    self->used_ -= need;
    self->host_->poison(at, need);
  }

  [[nodiscard]] std::size_t used() const { return used_; }
  [[nodiscard]] std::size_t available() const { return size_ - used_; }
  [[nodiscard]] std::size_t high_water() const { return high_water_; }

 private:
  static constexpr std::size_t kHeader = kAlign;

  Host* host_ = nullptr;
  std::byte* base_ = nullptr;
  std::size_t size_ = 0;
  std::size_t used_ = 0;
  std::size_t high_water_ = 0;
};

}  // namespace dmr

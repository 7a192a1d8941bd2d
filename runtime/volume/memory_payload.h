// SPDX-License-Identifier: GPL-2.0-or-later
// The data of a request in plain memory, as the engine sees it. In user space every Payload is one,
// so the device I/O of the engine goes straight to that memory.
#pragma once

#include <cstring>

#include "core/host/host.h"

namespace dmr::runtime {

class MemoryPayload final : public Payload {
 public:
  MemoryPayload() = default;
  explicit MemoryPayload(std::byte* memory) : memory_(memory) {}

  void copy_out(u64 offset_bytes, std::span<std::byte> to) const override {
    std::memcpy(to.data(), memory_ + offset_bytes, to.size());
  }
  void copy_in(u64 offset_bytes, std::span<const std::byte> from) override {
    std::memcpy(memory_ + offset_bytes, from.data(), from.size());
  }
  [[nodiscard]] std::byte* at(u64 offset_bytes) const { return memory_ + offset_bytes; }

 private:
  std::byte* memory_ = nullptr;
};

}  // namespace dmr::runtime

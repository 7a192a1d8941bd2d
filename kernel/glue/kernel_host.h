// SPDX-License-Identifier: GPL-2.0-or-later
// The engine's Host in the kernel: every call goes to the C shim.
#pragma once

#include "core/volume/volume.h"
#include "kernel/dmr_shim.h"

namespace dmr::kernel {

class KernelHost final : public Host {
 public:
  explicit KernelHost(void* target) : target_(target) {}

  void submit(DeviceIo& io) override;
  void submit_batch(std::span<DeviceIo* const> batch) override;
  u64 now_ns() override;
  void wake_at(u64 deadline_ns) override;
  void after_grace(GraceWork& work) override;
  i64 epoch_in_flight(u32 slot) override;
  void* allocate(std::size_t bytes, std::size_t alignment) override;
  void release(void* memory, std::size_t bytes) override;
  void request_pages(u32 count) override;
  void random(std::span<std::byte> out) override;
  void event(const Event& event) override;
  // KASAN watches the kernel's own allocator, not pools within an allocation.
  void poison(const void*, std::size_t) override {}
  void unpoison(const void*, std::size_t) override {}

 private:
  void* const target_;
};

// What stands behind the shim's `void* volume`.
struct KernelVolume {
  explicit KernelVolume(void* target) : host(target), volume(host, VolumeConfig{}) {}

  KernelHost host;
  Volume volume;
};

[[nodiscard]] inline Volume& volume_of(void* volume) {
  return static_cast<KernelVolume*>(volume)->volume;
}
[[nodiscard]] inline const Volume& volume_of(const void* volume) {
  return static_cast<const KernelVolume*>(volume)->volume;
}

// Negative errno of the kernel.
[[nodiscard]] int errno_of(Status status);

}  // namespace dmr::kernel

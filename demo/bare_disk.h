// SPDX-License-Identifier: GPL-2.0-or-later
// A device as it is, served by the same exports as a volume but without the engine: what fails on
// it fails for the client. The demonstration's other half, and a yardstick for benchmarks.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "exports/source/source.h"
#include "runtime/device/device.h"

namespace dmr::demo {

class BareDisk final : public exports::Source {
 public:
  explicit BareDisk(runtime::Device& device) : device_(device) {}

  std::string name() const override { return "bare"; }
  u64 sectors() const override { return device_.sectors(); }
  u32 logical_block_bytes() const override { return device_.logical_block_bytes(); }
  u32 block_bytes() const override { return 4096; }
  bool read_only() const override { return device_.read_only(); }
  bool zeroes_fast() const override { return false; }
  runtime::Expected<std::unique_ptr<runtime::Queue>> make_queue() override;
  u64 flush_refusals() const override { return 0; }  // its own go to who flushes
  runtime::ClientBook& clients() override { return clients_; }

 private:
  runtime::Device& device_;
  runtime::ClientBook clients_;
};

}  // namespace dmr::demo

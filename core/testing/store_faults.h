// SPDX-License-Identifier: GPL-2.0-or-later
// Faults of a StoreBench's disks that several tests need. Not freestanding.
#pragma once

#include <functional>
#include <utility>

#include "core/testing/store_bench.h"

namespace dmr::testing {

// The write of a checkpoint header that says this.
inline bool is_checkpoint_header(const DeviceIo& io, u32 state) {
  if (io.op != IoOp::write) return false;
  const auto& header = *reinterpret_cast<const format::CheckpointHeader*>(io.buffer);
  return header.header.kind == static_cast<u8>(format::Kind::checkpoint_header) &&
         header.state == state;
}

// From the call on, the first flush behind a write like this is refused, and what lies in the cache
// stays readable only.
inline auto stranding_flush_behind(StoreBench& bench, std::function<bool(const DeviceIo&)> is_it) {
  return [&bench, is_it = std::move(is_it), due = false, over = false](const DeviceIo& io) mutable {
    due = due || (!over && io.op == IoOp::write && is_it(io));
    if (!due || io.op != IoOp::flush) return MemoryDisks::Fate{};
    due = false;
    over = true;
    bench.disks.strand_cache(1);
    return MemoryDisks::Fate{IoStatus::transport};
  };
}

}  // namespace dmr::testing

// SPDX-License-Identifier: GPL-2.0-or-later
// The engine's named limits and pool sizes, with their defaults.
#pragma once

#include "core/base/types.h"

namespace dmr {

inline constexpr u64 kMillisecond = 1'000'000;  // in nanoseconds
inline constexpr u64 kSecond = 1000 * kMillisecond;

struct VolumeConfig {
  // The four pools, made at open. Exhausted ones make slow work wait.
  u32 health_records = 64;  // weak or suspect blocks that wait to be moved
  u32 io_contexts = 32;     // device I/Os of operations, two for each
  u32 work_items = 16;      // operations under way
  u32 buffers = 8;          // 64 KiB each
  u32 frame_bytes = 16384;  // coroutine frames of one operation, for its whole nesting

  u32 read_attempts = 3;   // per sector, after the request itself has failed
  u32 write_attempts = 2;  // per block, likewise
  u32 spare_attempts = 8;  // spare blocks tried for one block before the write fails
  u32 probes = 3;          // spread addresses that must fail before a breaker opens
  u64 recover_deadline_ns = 30 * kSecond;  // a reader waits at most this long for salvage
  u64 device_timeout_ns =
      30 * kSecond;  // of the devices: a failure slower than half is no medium error
  u64 breaker_rest_ns = 5 * kSecond;  // an open breaker does not probe again before
  u64 move_turn_ns = kSecond;         // mark and forget hold their ranges about this long at a time
  u32 scrub_kib_per_s = 32768;        // a scrub reads no faster than this
  u64 page_wait_ns = 5 * kSecond;     // a commit waits this long for index memory, then fails
};
// Salvages hold buffers for long: what needs none is not to wait for their end.
static_assert(VolumeConfig{}.buffers < VolumeConfig{}.work_items);

}  // namespace dmr

// SPDX-License-Identifier: GPL-2.0-or-later
// A picture of a volume for its user, taken on the executor. Counters count since the volume was
// opened, except those that describe the map.
#pragma once

#include "core/base/types.h"
#include "core/error/classify.h"
#include "core/format/format.h"
#include "core/pool/fixed_pool.h"

namespace dmr {

struct MemberStats {
  format::MemberState state = format::MemberState::absent;
  bool present = false;  // handed in, and proven to be the right device
  bool breaker_open = false;
  u64 sectors = 0;
  u64 data_blocks = 0;  // of a spare: blocks that can hold data
  u64 used_blocks = 0;
  u64 free_blocks = 0;
  u64 bad_blocks = 0;
  u64 errors[2][kErrorClasses] = {};  // [0] reads, [1] writes and flushes; as seen by the engine
};

enum class ScrubState : u8 {
  idle,
  running,
  paused,
  held,  // would run, but its host does not let it for now
};
inline constexpr u32 kScrubStates = 4;

// Of the pass that is under way, or of the last one since the volume was opened.
struct ScrubStats {
  ScrubState state = ScrubState::idle;
  Sector position;            // all before it has been looked at
  u64 passes = 0;             // that came to the volume's end, since it was opened
  u64 read_sectors = 0;       // looked at
  u64 skipped_sectors = 0;    // not: known as lost, or on a spare that is gone or does not answer
  u64 failed_reads = 0;       // of single blocks
  u64 unreadable_blocks = 0;  // which no second try gave whole
};

struct VolumeStats {
  bool writable = false;
  bool read_only_by_failure = false;  // metadata could not be written
  bool restored_older = false;        // from a backup that misses changes: it takes no writes
  u64 volume_sectors = 0;
  u32 block_sectors = 0;
  u64 remapped_blocks = 0;  // whose home is on a spare
  u64 lost_sectors = 0;
  u64 runs = 0;
  u64 weak_blocks = 0;  // wait to be moved
  u64 index_bytes = 0;
  u64 recovered_reads = 0;    // failed reads that were answered with data in the end
  u64 failed_reads = 0;       // ... that were answered with an error
  u64 redirected_writes = 0;  // blocks whose write went to a spare
  u64 retried_writes = 0;     // blocks that main took at the second try
  u64 failed_writes = 0;
  u64 relocated_blocks = 0;
  u64 returned_blocks = 0;
  u64 held_requests = 0;  // that waited for a range being moved
  u64 commits = 0;
  u64 commit_records = 0;
  u64 commit_flushes = 0;  // flushes of spares for commits
  u64 checkpoints = 0;
  ScrubStats scrub;
  PoolCounters health_records;
  PoolCounters io_contexts;
  PoolCounters work_items;
  PoolCounters buffers;
  u32 members = 0;
  MemberStats member[kMaxMembers];
};

}  // namespace dmr

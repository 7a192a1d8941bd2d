// SPDX-License-Identifier: GPL-2.0-or-later
// What one operation of the slow path owns from its first step to its last: frames, buffer, I/O
// contexts, its place in the range lock, and the records that it wants committed.
#pragma once

#include <optional>

#include "core/format/format.h"
#include "core/index/index.h"
#include "core/pool/fixed_pool.h"
#include "core/task/flush_state.h"
#include "core/task/task.h"
#include "core/volume/range_lock.h"
#include "core/volume/request.h"

namespace dmr {

inline constexpr u32 kBufferBytes = sizeof(IoBuffer);
inline constexpr u32 kBufferSectors = kBufferBytes / kSectorBytes;

// Records that become durable together, and the spares that must be flushed before.
struct CommitEntry {
  CommitEntry* next = nullptr;
  const format::Record* records = nullptr;
  u32 count = 0;
  u32 flush_members = 0;  // bit m: data was written to spare m for these records
  // How often each member had refused a flush before the first of that data; kMaxMembers counts.
  const u64* refused = nullptr;
  Status status = Status::ok;
  bool finished = false;
  Ready node;
};

// A block that was read only after retries: to be moved while it still can be read.
struct HealthRecord {
  HealthRecord* next = nullptr;
  Block block;
  u32 failures = 0;
};

inline constexpr u32 kItemRecords = 32;  // of one operation before it commits

// Records that an operation collects, and the spares that it has written to. One block adds at most
// one mapping, one refused old home and kMaxSpareAttempts refused new ones.
struct Changes {
  format::Record* records = nullptr;
  u32 capacity = 0;
  u32 count = 0;
  u32 flush_members = 0;
  u64 refused[kMaxMembers] = {};  // see CommitEntry

  // To be called before data is written to a spare.
  void before_data(const FlushBook& flush) {
    if (flush_members == 0) flush.count_refused(refused);
  }
  // A mapping that continues the last one grows it.
  void add(const format::Record& record);
  [[nodiscard]] bool has_room_for_block() const;
};
inline constexpr u32 kMaxSpareAttempts = 8;

// The tools of whoever moves data: an operation, or the mover.
struct Tools {
  IoBuffer* buffer = nullptr;  // null when the operation was sure not to need one
  DeviceIo* io[2] = {};
  LostMask unreadable;   // result of a salvage
  bool retried = false;  // result of a salvage: the medium gave something only at a later try
  u64 failed_at_ns = 0;  // when the operation first saw its error
};

struct WorkItem {
  WorkItem* next = nullptr;
  Request* request = nullptr;  // null once it has been answered
  IoOp op = IoOp::read;        // copies of what the operation needs after the answer
  bool fua = false;
  bool medium_suspect = false;  // the request failed with an error of the medium
  u32 sectors = 0;
  Sector bad_sector;
  FrameStack frames;
  Tools tools;
  LockEntry lock;
  u64 deadline_ns = 0;
  CommitEntry commit;
  format::Record records[kItemRecords];
  Changes changes;
#ifdef DMR_DELIBERATE_BUGS
  Home early_home;
  Block early_block;
#else
  static constexpr Home early_home{};
  static constexpr Block early_block{};
#endif
  bool failed = false;        // device I/O of the request has failed: recover, do not just repeat
  bool payload_busy = false;  // device I/O uses the payload: not even a deadline may answer now
  Ready finished;
  void* owner = nullptr;
  std::optional<Task<Status>> root;
};

}  // namespace dmr

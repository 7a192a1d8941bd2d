// SPDX-License-Identifier: GPL-2.0-or-later
// What a host hands to the engine when the hot path cannot finish it alone, and the commands of
// its user. Both belong to the host and must live until their `done` has been called.
#pragma once

#include <span>

#include "core/base/result.h"
#include "core/host/host.h"
#include "core/task/executor.h"

namespace dmr {

// A user's request (or the piece of one) that needs the executor: its device I/O failed, or it met
// a held range, or writes a lost sector. `done` is called on the executor, once.
struct Request {
  Request* next = nullptr;
  IoOp op = IoOp::read;  // read, write, write_zeroes or discard; flush: see Volume::flush_begin
  bool fua = false;
  Member member = kMain;          // of a flush
  IoStatus error = IoStatus::ok;  // how the device I/O failed; ok when none was tried
  u64 elapsed_ns = 0;             // how long that I/O took
  Sector sector;                  // of the volume, in whole logical blocks of main
  u32 sectors = 0;                // 1 to kMaxRequestSectors
  Payload* payload = nullptr;     // data; none with write_zeroes and discard
  u64 payload_offset = 0;
  Status status = Status::ok;  // result
  Sector bad_sector;           // result of a failed read or write: the first that failed
  bool device_error = false;   // result: its device as a whole is to blame, nothing was marked
  bool own = false;            // the engine's: nobody waits for this read
  void (*done)(Request&) = nullptr;
  void* context = nullptr;  // the host's
  Ready node;               // the engine's
  u64 deadline_ns = 0;      // the engine's: when a read is answered at the latest
};

// A host cuts larger requests.
inline constexpr u32 kMaxRequestSectors = 8192;  // 4 MiB

struct SectorRange {
  Sector begin;
  u64 sectors = 0;
};

enum class CommandKind : u8 {
  mark,        // move these ranges to a spare now; what cannot be read is lost
  forget,      // bring these ranges home to main, where main takes them
  checkpoint,  // write the map in full
};

// A command of the user. One runs at a time, others wait in order. What it moves is held: so that
// nobody waits long for it on a slow disk, mark and forget end after a while with a rest, which is
// another command. When the volume closes, the status is `closed` and the rest is left undone.
struct Command {
  Command* next = nullptr;
  CommandKind kind = CommandKind::mark;
  std::span<const SectorRange> ranges;  // ascending, not overlapping, inside the volume
  Status status = Status::ok;           // result: the first failure, ok when all went well
  u64 blocks_changed = 0;               // result
  u64 blocks_unchanged = 0;             // result: were there already, or could not be moved
  u64 sectors_lost = 0;                 // result: newly lost
  Sector bad_sector;                    // result: where the first failure was
  Sector rest;  // result: all before it has been dealt with; the ranges' end when nothing is left
  void (*done)(Command&) = nullptr;
  void* context = nullptr;

  // After `done`: the rest is worth another command.
  [[nodiscard]] bool has_rest() const {
    if (status == Status::closed || status == Status::read_only || status == Status::invalid) {
      return false;
    }
    return !ranges.empty() && rest < ranges.back().begin + ranges.back().sectors;
  }
};

// What of ascending ranges does not lie before `rest`; a range that lies on both sides is cut.
[[nodiscard]] inline std::span<SectorRange> ranges_from(Sector rest,
                                                        std::span<SectorRange> ranges) {
  while (!ranges.empty() && ranges.front().begin + ranges.front().sectors <= rest) {
    ranges = ranges.subspan(1);
  }
  if (!ranges.empty() && ranges.front().begin < rest) {
    ranges.front().sectors -= rest - ranges.front().begin;
    ranges.front().begin = rest;
  }
  return ranges;
}

}  // namespace dmr

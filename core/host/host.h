// SPDX-License-Identifier: GPL-2.0-or-later
// What the engine asks of its host: device I/O, time, memory at open, grace periods, events.
// Every function is called on the volume's executor only, unless it says otherwise.
#pragma once

#include <span>

#include "core/base/types.h"

namespace dmr {

enum class IoOp : u8 { read, write, flush, discard, write_zeroes };
[[nodiscard]] constexpr bool is_write(IoOp op) {
  return op == IoOp::write || op == IoOp::write_zeroes;
}

// What a device answered. The host translates errno or BLK_STS_* into it; the engine classifies.
enum class IoStatus : u8 {
  ok,
  medium,       // ENODATA, BLK_STS_MEDIUM
  unspecified,  // EIO, EREMOTEIO: dm-error, null_blk, loop and files give nothing better
  transport,    // ENOLINK, ECOMM
  timeout,      // ETIMEDOUT
  offline,      // ENODEV, ENXIO: the device is gone
  no_space,     // ENOSPC of a file or a thin device
  read_only,    // EROFS, EPERM
  unsupported,  // EOPNOTSUPP
  again,        // EAGAIN, EINTR, EBUSY
  resource,     // ENOMEM, ENOBUFS
};

// Memory of a caller's request that only the host can address (a bio in the kernel).
// A null Payload in a write stands for zeros.
class Payload {
 public:
  virtual void copy_out(u64 offset_bytes, std::span<std::byte> to) const = 0;
  virtual void copy_in(u64 offset_bytes, std::span<const std::byte> from) = 0;

 protected:
  ~Payload() = default;
};

// One device I/O of the engine. The engine owns it; the host uses `host_word` until completion.
// A read or write names either `buffer` (contiguous, 4 KiB aligned) or `payload` + offset.
// A write with neither writes zeros. `sector` and `sectors` are in 512-byte sectors.
struct DeviceIo {
  DeviceIo* next = nullptr;
  Member member = kMain;
  IoOp op = IoOp::read;
  bool fua = false;
  IoStatus status = IoStatus::ok;  // result
  Sector sector;
  u32 sectors = 0;
  std::byte* buffer = nullptr;
  Payload* payload = nullptr;
  u64 payload_offset = 0;
  u64 elapsed_ns = 0;                 // result: from submission to completion
  void (*done)(DeviceIo&) = nullptr;  // set by the engine; the host calls it on the executor
  void* context = nullptr;            // the engine's
  void* host_word[4] = {};            // the host's
};

// A callback after a grace period. The engine owns it until `done` has been called.
struct GraceWork {
  GraceWork* next = nullptr;
  void (*done)(GraceWork&) = nullptr;
  void* context = nullptr;
  void* host_word[2] = {};
};

enum class EventKind : u8 {
  remapped,           // blocks moved to a spare because a write was refused
  relocated,          // weak or marked blocks moved away while they could be read
  lost,               // sectors could not be read
  recovered,          // a lost sector was written again
  returned,           // blocks went home to main
  weak,               // a read came back only after retries
  spare_block_bad,    // a spare block refused data and was set aside
  spare_low,          // less than an eighth of the spare blocks is free
  spare_exhausted,    // no spare block is left (told once until one is free again);
                      // with sectors: no room to record what became of them
  member_failed,      // a spare was retired
  breaker_open,       // the device as a whole fails: nothing is marked any more
  breaker_closed,     // the device answers again
  device_error,       // an error that is not of the medium went up
  flush_failed,       // a member refused a flush
  metadata_repaired,  // a damaged copy of metadata was rewritten from a good one
  metadata_failed,    // metadata could not be written: the volume is read-only
  pool_exhausted,     // slow work had to wait for a pool
  scrub_ended,        // a pass has come to the volume's end; sectors: looked at
  scrub_paused,       // at this sector of the volume: the member does not answer
};

inline constexpr u32 kEventKinds = static_cast<u32>(EventKind::scrub_paused) + 1;

struct Event {
  EventKind kind = EventKind::remapped;
  Member member = kMain;
  IoStatus status = IoStatus::ok;
  Sector sector;  // of the volume, or of `member` where the kind is about a device
  u64 sectors = 0;
};

class Host {
 public:
  // Starts one I/O. Its completion is delivered later on the executor, never inside this call.
  virtual void submit(DeviceIo& io) = 0;
  // Starts several; a host that can batch overrides what this costs.
  virtual void submit_batch(std::span<DeviceIo* const> batch) = 0;

  // Monotonic time.
  virtual u64 now_ns() = 0;
  // Asks for one call of Volume::on_timer at or soon after this time; an earlier request stays.
  virtual void wake_at(u64 deadline_ns) = 0;

  // Calls work.done once every lookup that runs now has ended (RCU; a round of the queues).
  virtual void after_grace(GraceWork& work) = 0;
  // Requests in flight that entered epoch slot `slot`, summed over all queues or CPUs.
  virtual i64 epoch_in_flight(u32 slot) = 0;

  // Zeroed memory for open (pools, directory, bitmaps), or null. Not called on the I/O path.
  virtual void* allocate(std::size_t bytes, std::size_t alignment) = 0;
  virtual void release(void* memory, std::size_t bytes) = 0;
  // Asks for `count` more index pages; the host hands each to Volume::give_page, now or later.
  virtual void request_pages(u32 count) = 0;

  virtual void random(std::span<std::byte> out) = 0;
  virtual void event(const Event& event) = 0;

  // Marks free pool memory for AddressSanitizer; nothing elsewhere.
  virtual void poison(const void* memory, std::size_t bytes) = 0;
  virtual void unpoison(const void* memory, std::size_t bytes) = 0;

 protected:
  ~Host() = default;
};

}  // namespace dmr

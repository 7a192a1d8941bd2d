// SPDX-License-Identifier: GPL-2.0-or-later
// A volume in user space: the engine, its devices, and the control thread that is its executor.
// Exports add queues; everything else is asked through call() and the commands here.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/index/index.h"
#include "core/log/store.h"
#include "core/volume/config.h"
#include "core/volume/request.h"
#include "core/volume/scrubber.h"
#include "core/volume/stats.h"
#include "runtime/device/device.h"
#include "runtime/queue/client_book.h"
#include "runtime/queue/queue.h"
#include "runtime/volume/event_log.h"
#include "runtime/volume/user_host.h"

namespace dmr::runtime {

struct VolumeOptions {
  std::string name;  // for log lines
  bool read_only = false;
  bool allow_degraded = false;   // start with a member missing
  bool ignore_identity = false;  // serial or WWN may differ
  VolumeConfig config;
};

struct CommandResult {
  Status status = Status::ok;
  u64 blocks_changed = 0;
  u64 blocks_unchanged = 0;
  u64 sectors_lost = 0;
  Sector bad_sector;           // of the first failure
  std::optional<Sector> rest;  // its time was over: from here on nothing has been done
};

class UserVolume {
 public:
  // Opens the set: `main` (null when it is missing) and the spares in any order. A spare that is
  // missing is simply not in the list (refused without allow_degraded). `findings` gets what was
  // found damaged, repaired or not, also when opening fails (in words: text_of in
  // runtime/volume/open_set.h). Exit status 3 where safety refuses (another main, divergent
  // members).
  static Expected<std::unique_ptr<UserVolume>> open(std::unique_ptr<Device> main,
                                                    std::vector<std::unique_ptr<Device>> spares,
                                                    const VolumeOptions& options,
                                                    std::vector<Finding>* findings = nullptr);
  // close() if that has not been done.
  virtual ~UserVolume() = default;

  // Ends all own work, writes a checkpoint, stops the control thread. Every queue must be gone.
  virtual Expected<void> close() = 0;

  // A queue for one thread; it may be made by another. At most kMaxQueues. The volume must outlive
  // it.
  virtual Expected<std::unique_ptr<Queue>> make_queue() = 0;

  // ---- any thread ----
  // Flushes that a member refused so far.
  [[nodiscard]] virtual u64 flush_refusals() const = 0;
  [[nodiscard]] virtual ClientBook& clients() = 0;  // who has heard of them
  [[nodiscard]] virtual const std::string& name() const = 0;
  [[nodiscard]] virtual u64 sectors() const = 0;
  [[nodiscard]] virtual u32 logical_block_bytes() const = 0;   // unit of requests: main's
  [[nodiscard]] virtual u32 physical_block_bytes() const = 0;  // preferred: the remap block or more
  [[nodiscard]] virtual u32 block_bytes() const = 0;           // the remap unit
  [[nodiscard]] virtual bool writable()
      const = 0;  // false also after metadata could not be written
  [[nodiscard]] virtual bool read_only() const = 0;  // as it was opened
  [[nodiscard]] virtual bool supports_discard() const = 0;
  [[nodiscard]] virtual Geometry geometry() const = 0;
  [[nodiscard]] virtual format::Superblock superblock() = 0;
  // By member number; null where a member is missing.
  [[nodiscard]] virtual std::vector<Device*> devices() const = 0;

  [[nodiscard]] virtual VolumeStats stats() = 0;
  [[nodiscard]] virtual IoCounters io_counters() = 0;
  [[nodiscard]] virtual EventLog& events() = 0;
  // Up to `limit` runs at or after `cursor` (0 to begin), which is moved on; empty at the end.
  virtual std::vector<Run> map(u64& cursor, std::size_t limit) = 0;
  // Ranges ascending, not overlapping, inside the volume. `done` runs on the control thread. At
  // `until_ns` (of monotonic_ns()) it ends with a rest, after at least one turn.
  virtual void command(CommandKind kind, std::vector<SectorRange> ranges,
                       std::function<void(const CommandResult&)> done, u64 until_ns = ~u64{0}) = 0;
  // For the time before close(): commands that run end soon, and new ones at once, with the status
  // `closed` and `bad_sector` where the rest begins. Returns when all have been answered.
  virtual void end_commands() = 0;
  // Orders of the scrub, as Volume::scrub takes them.
  virtual Status scrub(ScrubAction action, Sector from) = 0;
  // How fast it reads at most; `invalid`: outside of the range of Tunable::scrub_kib_per_s.
  virtual Status set_scrub_rate(u64 kib_per_s) = 0;
  [[nodiscard]] virtual u32 scrub_rate() = 0;
  // command(), waiting for its end.
  CommandResult command(CommandKind kind, std::vector<SectorRange> ranges);
};

// Locks the process in memory, marks it as one that I/O depends on, keeps the OOM killer off; each
// as far as it is allowed. Returns what could not be done, one line each, for the debug log.
std::vector<std::string> protect_process();

}  // namespace dmr::runtime

// SPDX-License-Identifier: GPL-2.0-or-later
// A virtual disk: durable content, a volatile write cache, faults. It is as nasty as a disk may be:
// a flush covers only writes that had completed before it was sent, a power cut keeps any subset of
// the sectors that were not flushed, a failed write changes any subset of its sectors.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "core/host/host.h"
#include "sim/data.h"
#include "sim/world.h"

namespace dmr::sim {

inline constexpr u32 kForever = ~u32{0};

// Trouble with the medium at one sector.
struct Fault {
  bool on_read = true;
  bool on_write = false;
  bool healed_by_write = false;  // a write goes well and ends it (needs on_write == false)
  bool grows = false;            // each time it strikes it may spread to a neighbour
  u32 times = kForever;          // strikes before it goes away by itself
  IoStatus status = IoStatus::medium;
  u64 since_ns = 0;  // set_fault() fills it
};

// Trouble with the device as a whole, or its cable.
struct Ailment {
  u32 chance_of_1000 = 0;  // that an I/O fails
  IoStatus status = IoStatus::transport;
  bool flush_only = false;
  bool cache_kept = true;  // a failed flush: false loses the unflushed data without another word
};

// One write to one sector that is not known to be durable yet.
struct CachedWrite {
  u64 id = 0;         // of the I/O
  u64 completed = 0;  // stamp; 0 while the I/O is under way
  bool lost = false;  // dropped by a failed flush: readable, but no flush makes it durable
  Data data;
};

// What is on the disk when power comes back, for one sector: 0 is the durable content, i the i-th
// cached write since.
using Chooser = std::function<u32(Sector, u32 candidates)>;
inline const Chooser kKeepNothing = [](Sector, u32) { return u32{0}; };
inline const Chooser kKeepAll = [](Sector, u32 candidates) { return candidates - 1; };

struct DiskCounters {
  u64 reads = 0;
  u64 writes = 0;
  u64 flushes = 0;
  u64 media_errors = 0;
  u64 device_errors = 0;
  u64 failed_writes = 0;   // of those errors
  u64 failed_flushes = 0;  // that were to make metadata durable
  u64 torn_blocks = 0;     // 4 KiB blocks that a power cut left partly new
};

// Told of trouble as it happens, before whoever sent the I/O hears of it.
class DiskWatcher {
 public:
  virtual void media_error(Member disk, Sector sector, IoOp op, const Data& latent) = 0;
  virtual void device_error(Member disk, IoOp op, IoStatus status, Sector sector, u32 sectors) = 0;
  virtual void answered(Member disk) = 0;  // a read, with data

 protected:
  ~DiskWatcher() = default;
};

class SimDisk {
 public:
  SimDisk(World& world, Member name, u64 sectors) : world_(world), name_(name), cells_(sectors) {}
  SimDisk(const SimDisk&) = delete;
  SimDisk& operator=(const SimDisk&) = delete;

  [[nodiscard]] u64 sectors() const { return cells_.size(); }
  void set_watcher(DiskWatcher* watcher) { watcher_ = watcher; }

  // The three moments of an I/O: sent (a stamp), applied (its effect), completed (its answer
  // leaves). `write_data(i)` gives and `read_data(i, data)` takes sector i of the I/O.
  using WriteData = std::function<Data(u32)>;
  using ReadData = std::function<void(u32, const Data&)>;
  IoStatus read(Sector sector, u32 sectors, const ReadData& read_data);
  IoStatus write(u64 id, Sector sector, u32 sectors, const WriteData& write_data);
  void write_completed(u64 id, Sector sector, u32 sectors, bool durable);
  IoStatus flush(u64 sent);
  IoStatus discard(u64 id, Sector sector, u32 sectors);

  // A write that was sent but not applied when the power went: each sector may be written or not.
  void write_at_power_cut(u64 id, Sector sector, u32 sectors, const WriteData& write_data);
  // Ends with an empty cache. Faults stay, ailments end.
  void power_cut(const Chooser& choose);
  [[nodiscard]] Chooser random_subset();
  // Sectors with cached writes, ascending.
  [[nodiscard]] std::vector<Sector> unflushed() const;

  // Faults.
  void set_fault(Sector sector, const Fault& fault);
  void heal(Sector sector);
  [[nodiscard]] bool has_fault(Sector sector) const { return cells_[sector.value].fault != 0; }
  // ... and has done so for that long.
  [[nodiscard]] bool refuses_reads(Sector sector, u64 long_ns) const {
    const u32 fault = cells_[sector.value].fault;
    return fault != 0 && faults_[fault].on_read &&
           faults_[fault].since_ns + long_ns <= world_.now_ns();
  }
  [[nodiscard]] u32 fault_count() const { return fault_count_; }
  Ailment ailment;
  bool native_fua = true;  // else a FUA write is a write and a flush with one answer
  // A write that fails without any effect.
  IoStatus refuse_write(Sector sector, u32 sectors, IoStatus status);
  // The next I/O fails like this, whatever it is.
  void fail_next(IoStatus status) { fail_next_ = status; }

  // For the tests and for injected damage: past cache and faults.
  [[nodiscard]] const Data& newest(Sector sector) const;
  [[nodiscard]] const Data& durable(Sector sector) const { return cells_[sector.value].durable; }
  void overwrite(Sector sector, Data data);
  // What is on it and in its cache, to go back to it; its troubles stay as they are.
  struct Image {
    std::vector<Data> cells;
    std::vector<std::pair<u32, std::vector<CachedWrite>>> cached;
  };
  [[nodiscard]] Image save() const;
  void restore(const Image& image);
  // What a power cut may leave of a sector: the durable content, then each cached write.
  [[nodiscard]] std::vector<Data> candidates(Sector sector) const;
  // Flips one bit of the durable content.
  void flip_bit(Sector sector, u32 bit);

  [[nodiscard]] const DiskCounters& counters() const { return counters_; }

 private:
  struct Cell {
    Data durable;
    std::vector<CachedWrite> cached;  // in the order of their effect
    u32 fault = 0;                    // index into faults_, 0 is none
    bool listed = false;              // in dirty_
  };

  [[nodiscard]] IoStatus strike(Sector sector, IoOp op);
  [[nodiscard]] IoStatus ails(IoOp op, Sector sector, u32 sectors);
  void spread(Sector sector, const Fault& fault);
  void cache(Sector sector, u64 id, Data data);
  void settle(Cell& cell, std::size_t index);

  World& world_;
  const Member name_;
  DiskWatcher* watcher_ = nullptr;
  IoStatus fail_next_ = IoStatus::ok;
  std::vector<Cell> cells_;
  std::vector<Fault> faults_ = std::vector<Fault>(1);
  std::vector<u32> free_faults_;
  u32 fault_count_ = 0;
  std::vector<u32> dirty_;  // cells with cached writes, some of them settled since
  DiskCounters counters_;
};

}  // namespace dmr::sim

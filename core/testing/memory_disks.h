// SPDX-License-Identifier: GPL-2.0-or-later
// Disks in memory behind the fake host: a volatile write cache, faults on demand, and power cuts
// that leave any chosen subset of the sectors that were not yet durable. Not freestanding.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "core/base/assert.h"
#include "core/testing/fake_host.h"

namespace dmr::testing {

using SectorBytes = std::array<std::byte, kSectorBytes>;

// A sector that may or may not be there after a power cut.
struct LooseSector {
  Member member = kMain;
  u64 sector = 0;
  SectorBytes bytes{};
};

class MemoryDisks : public FakeHost {
 public:
  using Image = std::vector<std::byte>;

  // What becomes of an I/O: its status, and whether a write that fails is stored all the same.
  struct Fate {
    IoStatus status = IoStatus::ok;
    bool is_stored = false;
  };

  void add(u64 sectors) { disks_.push_back(Disk{sectors, Image(sectors * kSectorBytes), {}}); }
  // A disk that nobody may read or write: it has a size and no bytes.
  void add_untouchable(u64 sectors) { disks_.push_back(Disk{sectors, {}, {}}); }
  [[nodiscard]] u64 sectors(Member m) const { return disks_[m].sectors; }
  [[nodiscard]] u32 members() const { return static_cast<u32>(disks_.size()); }

  // Host. I/Os wait until complete_all().
  void submit(DeviceIo& io) override {
    DMR_ASSERT(io.member < disks_.size());
    waiting_.push_back(&io);
  }

  // Ends all I/Os that wait now; before_completion sees the disks while they are in flight.
  void complete_all() {
    if (waiting_.empty()) return;
    if (before_completion) before_completion();
    const std::vector<DeviceIo*> batch = std::exchange(waiting_, {});
    for (DeviceIo* io : batch) {
      const Fate fate = decide(*io);
      io->status = fate.status;
      if (fate.status == IoStatus::ok || fate.is_stored) apply(*io);
    }
    for (DeviceIo* io : batch) io->done(*io);
  }
  [[nodiscard]] bool idle() const { return waiting_.empty(); }

  // The sectors that a power cut now may keep or lose, those that would not change left out.
  [[nodiscard]] std::vector<LooseSector> loose() const {
    std::vector<LooseSector> all;
    for (Member m = 0; m < disks_.size(); ++m) {
      for (const auto& [sector, cached] : disks_[m].cache) {
        if (!cached.stranded) add_loose(all, m, sector, cached.bytes);
      }
    }
    for (const DeviceIo* io : waiting_) {
      for (u32 i = 0; io->op == IoOp::write && i < io->sectors; ++i) {
        SectorBytes bytes;
        std::memcpy(bytes.data(), io->buffer + std::size_t{i} * kSectorBytes, kSectorBytes);
        add_loose(all, io->member, io->sector.value + i, bytes);
      }
    }
    return all;
  }
  [[nodiscard]] std::vector<Image> durable() const {
    std::vector<Image> images;
    for (const Disk& disk : disks_) images.push_back(disk.durable);
    return images;
  }
  // The same disks with these bytes and nothing in their caches.
  void restore(const std::vector<Image>& images) {
    DMR_ASSERT(waiting_.empty() && images.size() == disks_.size());
    for (Member m = 0; m < disks_.size(); ++m) {
      disks_[m].durable = images[m];
      disks_[m].cache.clear();
    }
  }
  // The same, with those of the loose sectors whose bit is set: what a power cut leaves.
  void restore(const std::vector<Image>& images, const std::vector<LooseSector>& loose,
               const std::vector<bool>& kept) {
    restore(images);
    for (std::size_t i = 0; i < loose.size(); ++i) {
      if (!kept[i]) continue;
      std::memcpy(disks_[loose[i].member].durable.data() + loose[i].sector * kSectorBytes,
                  loose[i].bytes.data(), kSectorBytes);
    }
  }
  // What a refused flush may do.
  void drop_cache(Member m) { disks_[m].cache.clear(); }
  // The same, in another way: what lies in the cache can be read until the power goes, and no flush
  // writes it out.
  void strand_cache(Member m) {
    for (auto& [sector, cached] : disks_[m].cache) cached.stranded = true;
  }
  // For damage: the durable bytes of a disk whose cache holds nothing.
  [[nodiscard]] Image& bytes(Member m) {
    DMR_ASSERT(disks_[m].cache.empty());
    return disks_[m].durable;
  }

  std::function<void()> before_completion;
  std::function<Fate(const DeviceIo&)> fault;
  u64 reads = 0;
  u64 writes = 0;
  u64 flushes = 0;

 private:
  struct Cached {
    SectorBytes bytes{};
    bool stranded = false;
  };
  struct Disk {
    u64 sectors = 0;
    Image durable;
    std::map<u64, Cached> cache;
  };

  void add_loose(std::vector<LooseSector>& all, Member m, u64 sector,
                 const SectorBytes& bytes) const {
    if (std::memcmp(disks_[m].durable.data() + sector * kSectorBytes, bytes.data(), kSectorBytes) !=
        0) {
      all.push_back({m, sector, bytes});
    }
  }

  Fate decide(const DeviceIo& io) {
    if (io.op == IoOp::read) ++reads;
    if (io.op == IoOp::flush) ++flushes;
    if (io.op == IoOp::write) ++writes;
    return fault ? fault(io) : Fate{};
  }

  void apply(DeviceIo& io) {
    Disk& disk = disks_[io.member];
    if (io.op == IoOp::flush) {
      for (const auto& [sector, cached] : disk.cache) {
        if (cached.stranded) continue;
        std::memcpy(disk.durable.data() + sector * kSectorBytes, cached.bytes.data(), kSectorBytes);
      }
      std::erase_if(disk.cache, [](const auto& entry) { return !entry.second.stranded; });
      return;
    }
    DMR_ASSERT(io.op == IoOp::read || io.op == IoOp::write);
    DMR_ASSERT(io.sectors > 0 && io.buffer != nullptr);
    DMR_ASSERT(io.sector.value + io.sectors <= disk.durable.size() / kSectorBytes);
    if (disk.cache.empty() && (io.op == IoOp::read || io.fua)) {
      std::byte* durable = disk.durable.data() + io.sector.value * kSectorBytes;
      const std::size_t bytes = std::size_t{io.sectors} * kSectorBytes;
      std::memcpy(io.op == IoOp::read ? io.buffer : durable,
                  io.op == IoOp::read ? durable : io.buffer, bytes);
      return;
    }
    for (u32 i = 0; i < io.sectors; ++i) {
      const u64 sector = io.sector.value + i;
      std::byte* at = io.buffer + std::size_t{i} * kSectorBytes;
      std::byte* durable = disk.durable.data() + sector * kSectorBytes;
      const auto cached = disk.cache.find(sector);
      if (io.op == IoOp::read) {
        std::memcpy(at, cached != disk.cache.end() ? cached->second.bytes.data() : durable,
                    kSectorBytes);
      } else if (io.fua) {
        std::memcpy(durable, at, kSectorBytes);
        if (cached != disk.cache.end()) disk.cache.erase(cached);
      } else {
        Cached& cached_now = disk.cache[sector];
        cached_now.stranded = false;
        std::memcpy(cached_now.bytes.data(), at, kSectorBytes);
      }
    }
  }

  std::vector<Disk> disks_;
  std::vector<DeviceIo*> waiting_;
};

}  // namespace dmr::testing

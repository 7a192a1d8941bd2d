// SPDX-License-Identifier: GPL-2.0-or-later
// The simulator as the engine's host: I/O at random times, grace periods, timers.
#include "sim/host.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/format/format.h"

namespace dmr::sim {

SimHost::SimHost(World& world, std::vector<std::unique_ptr<SimDisk>>& disks)
    : world_(world), disks_(disks) {}

SimHost::~SimHost() { free_all(); }

u64 SimHost::delay() {
  Random& random = world_.random();
  if (random.chance(troubles.slow_of_1000)) {
    ++slow_ios_;
    return random.range(1, troubles.slow_ns);
  }
  if (random.chance(troubles.lag_of_1000)) return random.range(1, kLag_ns);
  return random.range(1, 100'000);
}

void SimHost::submit(DeviceIo& io) {
  start(io, Lane::rest);
  world_.preempt();
}

void SimHost::submit_batch(std::span<DeviceIo* const> batch) {
  for (DeviceIo* io : batch) start(*io, Lane::rest);
  world_.preempt();
}

void SimHost::start(DeviceIo& io, Lane lane) {
  DMR_ASSERT(io.member < disks_.size());
  DMR_ASSERT(io.op == IoOp::flush ||
             (io.sectors > 0 && io.sector.value + io.sectors <= disks_[io.member]->sectors()));
  const u64 id = ++ios_;
  running_.push_back(Running{.io = &io,
                             .id = id,
                             .sent = world_.stamp(),
                             .sent_ns = world_.now_ns(),
                             .applied = false,
                             .place = io.sector});
  const u64 effect = delay();
  world_.after(effect, lane, [this, id] { apply(id); });
  world_.after(effect + 1 + (delay() / 4), lane, [this, id, lane] { complete(id, lane); });
}

SimHost::Running* SimHost::find(u64 id) {
  for (Running& running : running_) {
    if (running.id == id) return &running;
  }
  DMR_ASSERT(false);
  return nullptr;
}

Data sector_of(const DeviceIo& io, u32 i) {
  std::array<std::byte, kSectorBytes> bytes{};
  if (io.op == IoOp::write && io.buffer != nullptr) {
    std::memcpy(bytes.data(), io.buffer + std::size_t{i} * kSectorBytes, kSectorBytes);
  } else if (io.op == IoOp::write && io.payload != nullptr) {
    io.payload->copy_out(io.payload_offset + u64{i} * kSectorBytes, bytes);
  }
  return pack(bytes);
}

namespace {

bool carries_metadata(const DeviceIo& io) {
  return io.op == IoOp::write && io.buffer != nullptr && io.member != kMain &&
         std::memcmp(io.buffer, format::kMagic, sizeof(format::kMagic)) == 0;
}

}  // namespace

IoStatus SimHost::write_to_disk(Running& running, SimDisk& disk) {
  const DeviceIo& io = *running.io;
  MetadataFate fate;
  if (on_metadata_write && carries_metadata(io)) fate = on_metadata_write(io);
  if (io.member != kMain && world_.random().chance(troubles.spare_data_lost_of_1000) &&
      !carries_metadata(io)) {
    disk.fail_next(world_.random().coin() ? IoStatus::unspecified : IoStatus::transport);
  }
  const auto data = [&io, &fate](u32 i) {
    Data sector = sector_of(io, i);
    if (fate.kind != MetadataFate::Kind::corrupt || fate.bit / (kSectorBytes * 8) != i) {
      return sector;
    }
    return with_bit_flipped(sector, fate.bit % (kSectorBytes * 8));
  };
  switch (fate.kind) {
    case MetadataFate::Kind::as_asked:
    case MetadataFate::Kind::corrupt:
      break;
    case MetadataFate::Kind::lost:
      return IoStatus::ok;
    case MetadataFate::Kind::misdirected:
      running.place = fate.to;
      break;
    case MetadataFate::Kind::refused:
      disk.fail_next(fate.status);
      break;
    case MetadataFate::Kind::refused_clean:
      return disk.refuse_write(io.sector, io.sectors, fate.status);
    case MetadataFate::Kind::refused_after: {
      disk.fail_next(fate.status);
      const IoStatus status = disk.write(running.id, io.sector, io.sectors, data);
      const u64 id = ++ios_;
      disk.write_at_power_cut(id, io.sector, io.sectors, data);
      disk.write_completed(id, io.sector, io.sectors, true);
      return status;
    }
  }
  return disk.write(running.id, running.place, io.sectors, data);
}

IoStatus SimHost::flush_disk(SimDisk& disk, u64 sent) {
  const u64 at = troubles.flush_refused_at;
  ++flushes_;
  if (flushes_ == at || flushes_ == troubles.flush_refused_again_at ||
      (at != 0 && flushes_ > at && troubles.flushes_stay_refused)) {
    disk.fail_next(IoStatus::transport);
  }
  return disk.flush(sent);
}

IoStatus SimHost::on_disk(Running& running) {
  DeviceIo& io = *running.io;
  SimDisk& disk = *disks_[io.member];
  const bool fails = troubles.io_fails_at != 0 && running.id >= troubles.io_fails_at &&
                     running.id - troubles.io_fails_at < troubles.io_fails_count;
  if (fails) disk.fail_next(troubles.io_status);
  const auto read_data = [&io](u32 i, const Data& data) {
    if (io.buffer != nullptr) {
      unpack(data, SectorBytes(io.buffer + std::size_t{i} * kSectorBytes, kSectorBytes));
      return;
    }
    std::array<std::byte, kSectorBytes> bytes;
    unpack(data, bytes);
    io.payload->copy_in(io.payload_offset + u64{i} * kSectorBytes, bytes);
  };
  switch (io.op) {
    case IoOp::read:
      return disk.read(io.sector, io.sectors, read_data);
    case IoOp::write:
    case IoOp::write_zeroes:
      return write_to_disk(running, disk);
    case IoOp::flush:
      return flush_disk(disk, running.sent);
    case IoOp::discard:
      return disk.discard(running.id, io.sector, io.sectors);
  }
  return IoStatus::unsupported;
}

void SimHost::apply(u64 id) {
  Running* running = find(id);
  running->applied = true;
  // Some time before it is answered. So a disk that loses its cache in a refused flush may take
  // and answer a later one before anybody knows of the refusal.
  act(*running);
}

void SimHost::act(Running& running) {
  DeviceIo& io = *running.io;
  io.status = on_disk(running);
  world_.note(io.op == IoOp::read    ? "disk {}: read {}+{}, status {}"
              : io.op == IoOp::flush ? "disk {}: flush {}+{}, status {}"
              : io.fua               ? "disk {}: write {}+{} fua, status {}"
                                     : "disk {}: write {}+{}, status {}",
              io.member, io.sector.value, io.sectors, static_cast<u64>(io.status));
}

void SimHost::complete(u64 id, Lane lane) {
  Running running = *find(id);
  std::erase_if(running_, [id](const Running& r) { return r.id == id; });
  DMR_ASSERT(running.applied);
  DeviceIo& io = *running.io;
  io.elapsed_ns = world_.now_ns() - running.sent_ns;
  if (io.op != IoOp::read && io.op != IoOp::flush) {
    // Of a failed write nothing is promised, so a flush need not take it along.
    if (io.status == IoStatus::ok) {
      SimDisk& disk = *disks_[io.member];
      const bool flush = io.fua && !disk.native_fua;
      disk.write_completed(id, running.place, io.sectors, io.fua && !flush);
      if (flush) io.status = flush_disk(disk, world_.stamp());
    }
  }
  if (io.status != IoStatus::ok && on_failure) on_failure(io);
  io.done(io);
  if (lane == Lane::rest) kick();
}

void SimHost::kick() {
  if (kicked_ || engine_ == nullptr) return;
  kicked_ = true;
  world_.after(world_.random().below(20'000), Lane::rest, [this] {
    kicked_ = false;
    if (engine_ != nullptr && engine_->run()) kick();
  });
}

void SimHost::post(World::Action action) {
  ++posted_;
  world_.after(world_.random().below(20'000), Lane::rest, [this, act = std::move(action)] {
    --posted_;
    act();
    kick();
  });
}

u64 SimHost::now_ns() { return world_.now_ns(); }

void SimHost::wake_at(u64 deadline_ns) {
  const u64 at = std::max(deadline_ns, world_.now_ns() + 1);
  if (wake_ns_ <= at) return;
  wake_ns_ = at;
  ++timers_;
  const u64 late_ns = timers_ == troubles.timer_late_at ? kTimerLate_ns : 0;
  world_.after(at - world_.now_ns() + late_ns, Lane::rest, [this, at] {
    if (wake_ns_ != at || engine_ == nullptr) return;
    wake_ns_ = ~u64{0};
    engine_->on_timer();
    kick();
  });
}

SimHost::Section SimHost::begin_section() {
  sections_.push_back(next_section_);
  return next_section_++;
}

void SimHost::end_section(Section section) {
  std::erase(sections_, section);
  for (Grace& grace : graces_) {
    if (grace.work == nullptr || std::erase(grace.waits_for, section) == 0) continue;
    if (grace.waits_for.empty()) end_grace(grace);
  }
  std::erase_if(graces_, [](const Grace& grace) { return grace.work == nullptr; });
}

void SimHost::end_grace(Grace& grace) {
  GraceWork* work = std::exchange(grace.work, nullptr);
  world_.after(delay(), Lane::rest, [this, work] {
    work->done(*work);
    kick();
  });
}

void SimHost::after_grace(GraceWork& work) {
  world_.preempt();
  Grace grace{.work = &work, .waits_for = sections_};
  if (grace.waits_for.empty()) {
    end_grace(grace);
  } else {
    graces_.push_back(std::move(grace));
  }
}

i64 SimHost::epoch_in_flight(u32 slot) {
  world_.preempt();
  return in_flight_[slot];
}

}  // namespace dmr::sim

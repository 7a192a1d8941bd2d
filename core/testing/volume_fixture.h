// SPDX-License-Identifier: GPL-2.0-or-later
// A whole volume over disks in memory, driven step by step: what the engine asks for is counted and
// can be made to fail. Simple on purpose; the simulator is the place for crashes and odd timing.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "core/testing/fake_host.h"
#include "core/volume/volume.h"

namespace dmr::testing {

struct MemoryDisk {
  std::vector<std::byte> bytes;
  std::set<u64> bad_read;  // sectors
  std::set<u64> bad_write;
  std::map<u64, u32> transient_reads;  // sector -> failures left
  IoStatus status = IoStatus::medium;
  std::optional<IoStatus> gone;  // every I/O fails like this
  bool refuses_flush = false;
  bool native_fua = true;
  bool has_cache = true;
  u64 reads = 0;
  u64 writes = 0;
  u64 flushes = 0;

  [[nodiscard]] u64 sectors() const { return bytes.size() / kSectorBytes; }
};

struct BytesPayload final : Payload {
  explicit BytesPayload(std::size_t count) : bytes(count) {}
  void copy_out(u64 offset, std::span<std::byte> to) const override {
    std::memcpy(to.data(), bytes.data() + offset, to.size());
  }
  void copy_in(u64 offset, std::span<const std::byte> from) override {
    std::memcpy(bytes.data() + offset, from.data(), from.size());
  }
  std::vector<std::byte> bytes;
};

class VolumeFixture : public FakeHost {
 public:
  struct Answer {
    Status status = Status::closed;
    u64 bad_sector = 0;
    std::vector<std::byte> data;
  };

  explicit VolumeFixture(u64 main_sectors = 16384, u64 spare_sectors = 16384, u32 spares = 1,
                         u32 block = 8, format::Policy policy = format::Policy::redirect)
      : block_sectors(block) {
    disks.resize(1 + spares);
    disks[0].bytes.resize(main_sectors * kSectorBytes);
    for (u32 i = 1; i <= spares; ++i) disks[i].bytes.resize(spare_sectors * kSectorBytes);
    give_page = [this](void* page) {
      if (volume) volume->give_page(page);
    };
    format(policy);
  }
  ~VolumeFixture() {
    if (volume) (void)close();
    DMR_ASSERT(bytes_held == 0);
  }
  VolumeFixture(const VolumeFixture&) = delete;
  VolumeFixture& operator=(const VolumeFixture&) = delete;

  void submit(DeviceIo& io) override { submitted.push_back(&io); }

  // Runs the engine until it has nothing left to do; true when `done` has become true.
  void pump() {
    for (u32 i = 0; i < 1'000'000; ++i) {
      bool more = volume && volume->run();
      if (executor != nullptr) more = executor->run() || more;
      if (!submitted.empty()) {
        std::vector<DeviceIo*> batch;
        batch.swap(submitted);
        for (DeviceIo* io : batch) {
          perform(*io);
          now += 1000;
          io->done(*io);
        }
      } else if (!grace.empty()) {
        (void)end_grace();
      } else if (!more) {
        return;
      }
    }
    DMR_ASSERT(false);  // the engine never came to rest
  }

  Status open(bool read_only = false) {
    volume.emplace(static_cast<Host&>(*this), config);
    Volume::Open request;
    request.load = load_request();
    request.read_only = read_only;
    request.done = [](Volume::Open&) {};
    volume->open(request);
    pump();
    if (request.status != Status::ok) volume.reset();
    return request.status;
  }

  Status close() {
    Volume::Close request;
    request.done = [](Volume::Close&) {};
    volume->close(request);
    pump();
    volume.reset();
    return request.status;
  }

  // Submits as a host does whose device I/O failed (or that met a hold, with error ok).
  Answer slow(IoOp op, u64 sector, u32 sectors, u8 fill = 0, IoStatus error = IoStatus::medium,
              bool fua = false) {
    BytesPayload payload(std::size_t{sectors} * kSectorBytes);
    std::memset(payload.bytes.data(), fill, payload.bytes.size());
    Request request;
    request.op = op;
    request.error = error;
    request.fua = fua;
    request.sector = Sector(sector);
    request.sectors = sectors;
    request.payload = op == IoOp::read || op == IoOp::write ? &payload : nullptr;
    bool done = false;
    request.context = &done;
    request.done = [](Request& r) { *static_cast<bool*>(r.context) = true; };
    volume->submit(request);
    pump();
    DMR_ASSERT(done);
    return {request.status, request.bad_sector.value, std::move(payload.bytes)};
  }

  // A request as an export sends it: hot path first, the slow path where the rules say so.
  Answer read(u64 sector, u32 sectors) { return hot(IoOp::read, sector, sectors, 0); }
  Answer write(u64 sector, u32 sectors, u8 fill) { return hot(IoOp::write, sector, sectors, fill); }

  Command run_command(CommandKind kind, std::span<const SectorRange> ranges) {
    Command command;
    command.kind = kind;
    command.ranges = ranges;
    command.done = [](Command&) {};
    volume->command(command);
    pump();
    return command;
  }

  [[nodiscard]] u64 count(EventKind kind) const {
    u64 n = 0;
    for (const Event& event : events) n += event.kind == kind ? 1 : 0;
    return n;
  }

  u32 block_sectors;
  VolumeConfig config;
  std::vector<MemoryDisk> disks;
  std::set<Member> missing;  // at the next opening, which then is one without them
  std::optional<Volume> volume;
  Executor* executor = nullptr;
  std::function<void(const DeviceIo&)> before_io;  // sees each I/O before it is performed

 private:
  [[nodiscard]] LoadRequest load_request() const {
    LoadRequest load;
    load.members = static_cast<u32>(disks.size());
    load.allow_degraded = !missing.empty();
    for (u32 i = 0; i < disks.size(); ++i) load.device[i] = device(i);
    return load;
  }
  [[nodiscard]] MemberDevice device(u32 index) const {
    MemberDevice found;
    found.present = !missing.contains(static_cast<Member>(index));
    found.native_fua = disks[index].native_fua;
    found.has_cache = disks[index].has_cache;
    found.sectors = disks[index].sectors();
    return found;
  }

  void format(format::Policy policy) {
    Executor own;
    executor = &own;
    MetadataStore store(*this, own);
    DMR_ASSERT(store.open_memory() == Status::ok);
    std::vector<std::byte> memory(16384);
    FrameStack frames;
    frames.init(*this, memory.data(), memory.size());
    FormatRequest request;
    request.members = static_cast<u32>(disks.size());
    request.block_sectors = block_sectors;
    request.policy = policy;
    request.name = "test";
    for (u32 i = 0; i < disks.size(); ++i) request.device[i] = device(i);
    {
      Ready finished;
      finished.run = [](Ready&) {};
      Task<Status> task = store.format(frames, request);
      task.start(own, finished);
      pump();
      DMR_ASSERT(task.result() == Status::ok);
    }
    store.close_memory();
    unpoison(memory.data(), memory.size());
    executor = nullptr;
  }

  void perform(DeviceIo& io) {
    if (before_io) before_io(io);
    MemoryDisk& disk = disks[io.member];
    const u64 begin = io.sector.value;
    const std::size_t bytes = std::size_t{io.sectors} * kSectorBytes;
    io.elapsed_ns = 1000;
    if (disk.gone || missing.contains(io.member)) {
      io.status = disk.gone.value_or(IoStatus::offline);
      return;
    }
    if (io.op == IoOp::flush) {
      ++disk.flushes;
      io.status = disk.refuses_flush ? IoStatus::unspecified : IoStatus::ok;
      return;
    }
    DMR_ASSERT(begin + io.sectors <= disk.sectors());
    std::byte* at = disk.bytes.data() + begin * kSectorBytes;
    const bool reads = io.op == IoOp::read;
    ++(reads ? disk.reads : disk.writes);
    for (u64 s = begin; s < begin + io.sectors; ++s) {
      const bool bad = reads ? disk.bad_read.contains(s) : disk.bad_write.contains(s);
      const auto transient = disk.transient_reads.find(s);
      const bool passing = reads && transient != disk.transient_reads.end() &&
                           transient->second > 0 && transient->second-- > 0;
      if (!bad && !passing) continue;
      io.status = disk.status;
      return;
    }
    if (reads) {
      if (io.payload != nullptr) {
        io.payload->copy_in(io.payload_offset, {at, bytes});
      } else {
        std::memcpy(io.buffer, at, bytes);
      }
    } else if (io.op == IoOp::write) {
      if (io.payload != nullptr) {
        io.payload->copy_out(io.payload_offset, {at, bytes});
      } else if (io.buffer != nullptr) {
        std::memcpy(at, io.buffer, bytes);
      } else {
        std::memset(at, 0, bytes);
      }
    } else if (io.op == IoOp::write_zeroes) {
      std::memset(at, 0, bytes);
    }
  }

  Answer hot(IoOp op, u64 sector, u32 sectors, u8 fill) {
    Answer whole{Status::ok, 0, std::vector<std::byte>(std::size_t{sectors} * kSectorBytes)};
    for (u32 done = 0; done < sectors;) {
      const Sector at(sector + done);
      const Route route = volume->route(at, sectors - done, op == IoOp::write);
      const Answer part = hot_piece(op, at, route, fill);
      if (part.status != Status::ok) return part;
      std::memcpy(whole.data.data() + std::size_t{done} * kSectorBytes, part.data.data(),
                  part.data.size());
      done += route.sectors;
    }
    return whole;
  }

  Answer hot_piece(IoOp op, Sector at, const Route& route, u8 fill) {
    if (route.kind != RouteKind::device) {
      if (op == IoOp::read && route.kind != RouteKind::held) {
        return {Status::io_error, at.value, {}};
      }
      return slow(op, at.value, route.sectors, fill, IoStatus::ok);
    }
    BytesPayload payload(std::size_t{route.sectors} * kSectorBytes);
    std::memset(payload.bytes.data(), fill, payload.bytes.size());
    DeviceIo io;
    io.member = route.member;
    io.op = op;
    io.sector = route.sector;
    io.sectors = route.sectors;
    io.payload = &payload;
    perform(io);
    if (op == IoOp::write && route.member != kMain) {
      volume->spare_write_failed(route.member, route.sector, route.sectors, io.status);
    }
    if (io.status != IoStatus::ok) return slow(op, at.value, route.sectors, fill, io.status);
    if (op == IoOp::write && route.member != kMain) volume->spare_written(route.member);
    return {Status::ok, 0, std::move(payload.bytes)};
  }
};

}  // namespace dmr::testing

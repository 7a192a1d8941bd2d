// SPDX-License-Identifier: GPL-2.0-or-later
// Performs and judges the I/O of the engine on images.
#include "tests/fuzz/image_host.h"

namespace dmr::fuzz {
namespace {

constexpr u32 kMaxRounds = 200'000;  // of one task: far more than any honest one takes
constexpr std::size_t kFrameBytes = 16384;

// A source of records for begin_writing(): those that were loaded.
class ModelSource final : public RecordSource {
 public:
  ModelSource(const cli::MapModel& map, const Geometry& geometry)
      : mappings_(map.mappings()), geometry_(geometry) {}
  void rewind() override { next_ = 0; }
  bool next(format::Record& record) override {
    if (next_ == mappings_.size()) return false;
    record = format::encode_mapping(mappings_[next_++], geometry_);
    return true;
  }

 private:
  std::vector<format::Mapping> mappings_;
  const Geometry geometry_;
  std::size_t next_ = 0;
};

}  // namespace

ImageHost::ImageHost(std::vector<Disk>& disks) : disks_(disks) {
  give_page = [this](void* page) { volume_->give_page(page); };
}

LoadRequest ImageHost::load_request() const {
  LoadRequest load;
  load.members = static_cast<u32>(disks_.size());
  for (u32 i = 0; i < load.members; ++i) {
    load.device[i].present = true;
    load.device[i].sectors = disks_[i].size() / kSectorBytes;
  }
  return load;
}

Loaded ImageHost::load(bool write, Status* repaired) {
  Loaded loaded;
  Executor own;
  executor_ = &own;
  std::unique_ptr<std::byte, void (*)(void*)> memory(
      static_cast<std::byte*>(std::aligned_alloc(64, kFrameBytes)), std::free);
  {
    MetadataStore store(*this, own);
    expect(store.open_memory() == Status::ok, "a store opens");
    FrameStack frames;
    frames.init(*this, memory.get(), kFrameBytes);
    const auto run = [&](Task<Status> task) {
      bool ended = false;
      Ready finished;
      finished.context = &ended;
      finished.run = [](Ready& ready) { *static_cast<bool*>(ready.context) = true; };
      task.start(own, finished);
      pump();
      expect(ended, "a task of the store ends");
      return task.result();
    };
    loaded.status = run(store.load(frames, load_request(), loaded.map, loaded.findings));
    if (loaded.status == Status::ok) loaded.geometry = store.geometry();
    if (loaded.status == Status::ok && write) {
      allowed = Writes::metadata;
      ModelSource source(loaded.map, loaded.geometry);
      *repaired = run(store.begin_writing(frames, source));
      allowed = Writes::none;
    }
    store.close_memory();
  }
  unpoison(memory.get(), kFrameBytes);
  executor_ = nullptr;
  expect(bytes_held == 0, "all memory is given back");
  return loaded;
}

Volume* ImageHost::open() {
  volume_.emplace(static_cast<Host&>(*this), config_);
  opening.emplace();
  Volume::Open request;
  request.load = load_request();
  request.findings = &*opening;
  bool ended = false;
  request.context = &ended;
  request.done = [](Volume::Open& open) { *static_cast<bool*>(open.context) = true; };
  volume_->open(request);
  pump();
  expect(ended, "opening ends");
  open_status = request.status;
  if (request.status == Status::ok) return &*volume_;
  volume_.reset();
  expect(bytes_held == 0, "a volume that refuses to open holds no memory");
  return nullptr;
}

void ImageHost::close() {
  Volume::Close request;
  bool ended = false;
  request.context = &ended;
  request.done = [](Volume::Close& close) { *static_cast<bool*>(close.context) = true; };
  volume_->close(request);
  pump();
  expect(ended, "closing ends");
  volume_.reset();
  expect(bytes_held == 0, "a closed volume holds no memory");
}

void ImageHost::pump() {
  for (u32 round = 0; round < kMaxRounds; ++round) {
    bool more = volume_ && volume_->run();
    if (executor_ != nullptr) more = executor_->run() || more;
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
  fail("the engine comes to rest");
}

void ImageHost::check_write(const DeviceIo& io) const {
  expect(allowed != Writes::none, "nothing is written before it is known to be right");
  if (allowed == Writes::all) return;
  expect(io.member != kMain, "opening does not write to main");
  const u64 end = io.sector.value + io.sectors;
  for (const auto& [first, last] : metadata[io.member]) {
    if (io.sector.value >= first && end <= last) return;
  }
  fail("metadata is written where metadata lies");
}

bool ImageHost::fails(const DeviceIo& io) {
  const auto inside = [&](const std::pair<Member, u64>& bad) {
    return bad.first == io.member && bad.second >= io.sector.value &&
           bad.second < io.sector.value + io.sectors;
  };
  if (io.op == IoOp::read) return std::any_of(unreadable.begin(), unreadable.end(), inside);
  std::erase_if(unreadable, inside);  // written anew
  return false;
}

void ImageHost::perform(DeviceIo& io) {
  io.elapsed_ns = 1000;
  io.status = IoStatus::ok;
  expect(io.member < disks_.size(), "I/O names a member that there is");
  if (io.op == IoOp::flush) return;
  Disk& disk = disks_[io.member];
  const u64 sectors = disk.size() / kSectorBytes;
  expect(io.sectors > 0 && io.sector.value < sectors && io.sectors <= sectors - io.sector.value,
         "I/O lies inside its device");
  if (io.op != IoOp::read) {
    check_write(io);
    for (u32 i = 0; i < io.sectors; ++i) written.emplace_back(io.member, io.sector.value + i);
  }
  if (fails(io)) {
    io.status = IoStatus::medium;
    return;
  }
  std::byte* const at = disk.data() + io.sector.value * kSectorBytes;
  const std::size_t bytes = std::size_t{io.sectors} * kSectorBytes;
  if (io.op == IoOp::read && io.payload != nullptr) {
    io.payload->copy_in(io.payload_offset, {at, bytes});
  } else if (io.op == IoOp::read) {
    std::memcpy(io.buffer, at, bytes);
  } else if (io.op == IoOp::write && io.payload != nullptr) {
    io.payload->copy_out(io.payload_offset, {at, bytes});
  } else if (io.op == IoOp::write && io.buffer != nullptr) {
    std::memcpy(at, io.buffer, bytes);
  } else if (io.op != IoOp::discard) {
    std::memset(at, 0, bytes);
  }
}

}  // namespace dmr::fuzz

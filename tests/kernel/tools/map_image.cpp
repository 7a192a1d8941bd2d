// SPDX-License-Identifier: GPL-2.0-or-later
// Makes a volume whose map is large already, which would take minutes block by block.
//   map_image NAME MAIN SPARE COUNT
// COUNT blocks, every second one counted from the end of main, live on the spare. Their content is
// what the spare had there.
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <memory>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

#include "core/log/store.h"
#include "core/testing/fake_host.h"

namespace {

using namespace dmr;

constexpr std::size_t kStackBytes = 65536;
constexpr u64 kMostRounds = 10'000'000;

[[noreturn]] void give_up(const std::string& what) {
  std::fprintf(stderr, "map_image: %s\n", what.c_str());
  std::exit(1);
}

// Real devices behind the unit tests' host. I/Os wait until complete_all().
class Devices final : public testing::FakeHost {
 public:
  void add(const char* path) {
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    const off_t bytes = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
    if (bytes <= 0) give_up(std::string(path) + " cannot be used");
    fds_.push_back(fd);
    sectors_.push_back(static_cast<u64>(bytes) / kSectorBytes);
  }
  [[nodiscard]] u64 sectors(Member m) const { return sectors_[m]; }

  void complete_all() {
    const std::vector<DeviceIo*> batch = std::exchange(submitted, {});
    for (DeviceIo* io : batch) {
      io->status = perform(*io) ? IoStatus::ok : IoStatus::unspecified;
      io->done(*io);
    }
  }

 private:
  bool perform(const DeviceIo& io) {
    const int fd = fds_[io.member];
    const auto at = static_cast<off_t>(io.sector.value * kSectorBytes);
    const std::size_t bytes = std::size_t{io.sectors} * kSectorBytes;
    if (io.op == IoOp::flush) return fdatasync(fd) == 0;
    const ssize_t done =
        io.op == IoOp::read ? pread(fd, io.buffer, bytes, at) : pwrite(fd, io.buffer, bytes, at);
    return done == static_cast<ssize_t>(bytes);
  }

  std::vector<int> fds_;
  std::vector<u64> sectors_;
};

class IgnoredRecords final : public RecordSink {
 public:
  void reset() override {}
  Status snapshot(const format::Record&) override { return Status::ok; }
  Status replay(const format::Record&) override { return Status::ok; }
};

class EverySecondBlock final : public RecordSource {
 public:
  EverySecondBlock(const SpareLayout& layout, u64 first, u64 count)
      : layout_(layout), first_(first), count_(count) {}
  void rewind() override { at_ = home_ = 0; }
  bool next(format::Record& record) override {
    if (at_ == count_) return false;
    while (!layout_.is_data(SpareBlock(home_), 1)) ++home_;
    record = format::Record{};
    record.block = first_ + 2 * at_;
    record.home = home_++;
    record.length = 1;
    record.type = static_cast<u8>(format::RecordType::mapping);
    record.member = 1;
    ++at_;
    return true;
  }

 private:
  const SpareLayout& layout_;
  u64 first_;
  u64 count_;
  u64 at_ = 0;
  u64 home_ = 0;
};

class Maker {
 public:
  explicit Maker(Devices& devices)
      : devices_(devices),
        stack_(static_cast<std::byte*>(std::aligned_alloc(64, kStackBytes))),
        store_(devices, executor_) {
    frames_.init(devices, stack_, kStackBytes);
    need(store_.open_memory(), "memory");
  }
  Maker(const Maker&) = delete;
  Maker& operator=(const Maker&) = delete;
  ~Maker() {
    store_.close_memory();
    devices_.unpoison(stack_, kStackBytes);
    std::free(stack_);
  }

  void make(const char* name, u64 count) {
    FormatRequest format;
    LoadRequest load;
    format.name = name;
    format.members = load.members = 2;
    for (Member m = 0; m < 2; ++m) {
      format.device[m].present = true;
      format.device[m].sectors = devices_.sectors(m);
      load.device[m] = format.device[m];
    }
    IgnoredRecords records;
    NoFindings findings;
    need(run(store_.format(frames_, format)), "format");
    need(run(store_.load(frames_, load, records, findings)), "load");
    const u64 blocks = store_.geometry().blocks();
    const SpareLayout& layout = store_.layout(1);
    if (blocks < 2 * count || layout.data_blocks < count) give_up("the devices are too small");
    EverySecondBlock source(layout, blocks - 2 * count, count);
    need(run(store_.begin_writing(frames_, source)), "begin");
    need(run(store_.checkpoint(frames_, source)), "checkpoint");
    need(run(store_.checkpoint(frames_, source)), "checkpoint");
  }

 private:
  static void need(Status status, const char* step) {
    if (status != Status::ok) give_up(std::string(step) + " failed");
  }
  Status run(Task<Status> task) {
    bool done = false;
    Ready finished;
    finished.context = &done;
    finished.run = [](Ready& ready) { *static_cast<bool*>(ready.context) = true; };
    task.start(executor_, finished);
    u64 round = 0;
    while (!done) {  // `finished` sets it
      if (++round > kMostRounds) give_up("no end");
      (void)executor_.run();
      if (!done) devices_.complete_all();
    }
    return task.result();
  }

  Devices& devices_;
  Executor executor_;
  FrameStack frames_;
  std::byte* stack_;
  MetadataStore store_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) give_up("usage: map_image NAME MAIN SPARE COUNT");
  Devices devices;
  devices.add(argv[2]);
  devices.add(argv[3]);
  Maker(devices).make(argv[1], std::strtoull(argv[4], nullptr, 10));
}

// SPDX-License-Identifier: GPL-2.0-or-later
// The volume as exports and commands see it: every question goes to the executor.
#include "runtime/volume/user_volume.h"

#include <algorithm>
#include <semaphore>

#include "runtime/volume/open_set.h"
#include "runtime/volume/running_command.h"
#include "runtime/volume/volume_runner.h"

namespace dmr::runtime {
namespace {

class Findings final : public FindingSink {
 public:
  void found(const Finding& finding) override { list.push_back(finding); }
  std::vector<Finding> list;
};

class OpenVolume final : public UserVolume {
 public:
  OpenVolume(const VolumeOptions& options, MemberSlots slots)
      : name_(options.name.empty() ? std::string("volume") : options.name),
        read_only_(options.read_only),
        slots_(std::move(slots)),
        events_(name_) {}
  ~OpenVolume() override {
    if (open_) (void)OpenVolume::close();
  }

  Expected<void> open(const VolumeOptions& options, std::vector<Finding>* findings);
  Expected<void> close() override;
  Expected<std::unique_ptr<Queue>> make_queue() override;

  [[nodiscard]] u64 flush_refusals() const override { return volume().flush_refusals(); }
  [[nodiscard]] ClientBook& clients() override { return runner_->clients(); }
  [[nodiscard]] const std::string& name() const override { return name_; }
  [[nodiscard]] u64 sectors() const override { return volume().geometry().volume_sectors; }
  [[nodiscard]] u32 logical_block_bytes() const override {
    return volume().unit_sectors() * kSectorBytes;
  }
  [[nodiscard]] u32 physical_block_bytes() const override {
    const Device* main = slots_.device[kMain].get();
    return std::max(block_bytes(), main == nullptr ? 0 : main->physical_block_bytes());
  }
  [[nodiscard]] u32 block_bytes() const override {
    return volume().geometry().block_sectors * kSectorBytes;
  }
  [[nodiscard]] bool writable() const override { return volume().writable(); }
  [[nodiscard]] bool read_only() const override { return read_only_; }
  [[nodiscard]] bool supports_discard() const override { return true; }
  [[nodiscard]] Geometry geometry() const override { return volume().geometry(); }
  [[nodiscard]] format::Superblock superblock() override;
  [[nodiscard]] std::vector<Device*> devices() const override { return slots_.pointers(); }
  [[nodiscard]] VolumeStats stats() override;
  [[nodiscard]] IoCounters io_counters() override;
  [[nodiscard]] EventLog& events() override { return events_; }
  std::vector<Run> map(u64& cursor, std::size_t limit) override;
  void command(CommandKind kind, std::vector<SectorRange> ranges,
               std::function<void(const CommandResult&)> done, u64 until_ns) override;
  void end_commands() override { commands_.end_all(); }
  Status scrub(ScrubAction action, Sector from) override;
  Status set_scrub_rate(u64 kib_per_s) override;
  [[nodiscard]] u32 scrub_rate() override;

 private:
  [[nodiscard]] Volume& volume() const { return runner_->engine(); }

  const std::string name_;
  const bool read_only_;
  MemberSlots slots_;
  EventLog events_;
  CommandBook commands_;
  std::unique_ptr<VolumeRunner> runner_;
  bool open_ = false;
};

Expected<void> OpenVolume::open(const VolumeOptions& options, std::vector<Finding>* findings) {
  const std::vector<Device*> devices = slots_.pointers();
  auto host = UserHost::create(devices, events_);
  if (!host) return std::unexpected(host.error());
  runner_ = std::make_unique<VolumeRunner>(std::move(*host), options.config);

  Findings sink;
  std::binary_semaphore ended{0};
  Volume::Open request;
  request.load = load_request(slots_, options);
  request.read_only = options.read_only;
  request.findings = &sink;
  request.context = &ended;
  request.done = [](Volume::Open& done) {
    static_cast<std::binary_semaphore*>(done.context)->release();
  };
  runner_->call([&] { volume().open(request); });
  ended.acquire();
  if (findings != nullptr) *findings = sink.list;
  if (request.status != Status::ok) {
    return std::unexpected(open_error(request.status, sink.list, slots_, options));
  }
  open_ = true;
  return {};
}

Expected<void> OpenVolume::close() {
  if (!open_) return {};
  if (runner_->queues() != 0) return fail(name_ + ": cannot be closed while exports use it");
  open_ = false;
  std::binary_semaphore ended{0};
  Volume::Close request;
  request.context = &ended;
  request.done = [](Volume::Close& done) {
    static_cast<std::binary_semaphore*>(done.context)->release();
  };
  runner_->call([&] { volume().close(request); });
  ended.acquire();
  if (request.status == Status::ok || read_only_) return {};
  return fail(name_ +
              ": the last checkpoint could not be written; the next start replays the "
              "journal instead");
}

Expected<std::unique_ptr<Queue>> OpenVolume::make_queue() {
  DMR_ASSERT(open_);
  const std::vector<Device*> devices = slots_.pointers();
  auto queue = VolumeQueue::create(*runner_, devices);
  if (!queue) return std::unexpected(queue.error());
  return std::unique_ptr<Queue>(std::move(*queue));
}

format::Superblock OpenVolume::superblock() {
  format::Superblock result;
  runner_->call([&] { result = volume().superblock(); });
  return result;
}

VolumeStats OpenVolume::stats() {
  VolumeStats result;
  runner_->call([&] { result = volume().stats(); });
  return result;
}

IoCounters OpenVolume::io_counters() {
  IoCounters sum;
  runner_->call([&] { sum = runner_->io_counters(); });
  return sum;
}

std::vector<Run> OpenVolume::map(u64& cursor, std::size_t limit) {
  std::vector<Run> runs;
  runs.reserve(std::min<std::size_t>(limit, 4096));
  runner_->call([&] {
    Index::Cursor at{.next = Block(cursor)};
    Run run;
    while (runs.size() < limit && volume().next_run(at, run)) runs.push_back(run);
    cursor = at.next.value;
  });
  return runs;
}

void OpenVolume::command(CommandKind kind, std::vector<SectorRange> ranges,
                         std::function<void(const CommandResult&)> done, u64 until_ns) {
  runner_->post(RunningCommand::make(volume(), commands_, kind, std::move(ranges), until_ns,
                                     std::move(done)));
}

Status OpenVolume::scrub(ScrubAction action, Sector from) {
  Status status = Status::ok;
  runner_->call([&] { status = volume().scrub(action, from); });
  return status;
}

Status OpenVolume::set_scrub_rate(u64 kib_per_s) {
  Status status = Status::ok;
  runner_->call([&] { status = volume().tune(Tunable::scrub_kib_per_s, kib_per_s); });
  return status;
}

u32 OpenVolume::scrub_rate() {
  u32 kib_per_s = 0;
  runner_->call([&] { kib_per_s = volume().tuned(Tunable::scrub_kib_per_s); });
  return kib_per_s;
}

}  // namespace

CommandResult UserVolume::command(CommandKind kind, std::vector<SectorRange> ranges) {
  CommandResult result;
  std::binary_semaphore ended{0};
  command(kind, std::move(ranges), [&](const CommandResult& answer) {
    result = answer;
    ended.release();
  });
  ended.acquire();
  return result;
}

Expected<std::unique_ptr<UserVolume>> UserVolume::open(std::unique_ptr<Device> main,
                                                       std::vector<std::unique_ptr<Device>> spares,
                                                       const VolumeOptions& options,
                                                       std::vector<Finding>* findings) {
  auto slots = arrange_members(std::move(main), std::move(spares));
  if (!slots) return std::unexpected(slots.error());
  auto volume = std::make_unique<OpenVolume>(options, std::move(*slots));
  if (auto opened = volume->open(options, findings); !opened) {
    return std::unexpected(opened.error());
  }
  return volume;
}

}  // namespace dmr::runtime

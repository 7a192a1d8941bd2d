// SPDX-License-Identifier: GPL-2.0-or-later
// One computer: disks, host and volume, and its turning on and off.
#include "sim/machine.h"

#include <new>
#include <utility>

#include <fmt/format.h>

#include "support/machine_crc32c.h"

namespace dmr::sim {

Machine::Machine(u64 seed, const Shape& shape)
    : world(seed),
      host(world, disks),
      oracle(world, shape.main_sectors, shape.config),
      queue(world, host, oracle),
      shape_(shape) {
  use_crc32c(crc32c_of_this_machine());
  disks.push_back(std::make_unique<SimDisk>(world, kMain, shape.main_sectors));
  for (u64 s = 0; s < shape.main_sectors; ++s) {
    disks[0]->overwrite(Sector(s), Oracle::adopted(Sector(s)));
  }
  for (const u64 sectors : shape.spare_sectors) {
    disks.push_back(std::make_unique<SimDisk>(world, static_cast<Member>(disks.size()), sectors));
  }
  for (u32 m = 0; m < disks.size(); ++m) {
    disks[m]->set_watcher(&oracle);
    disks[m]->native_fua = ((shape.fua_by_flush >> m) & 1U) == 0;
  }
  oracle.set_view(this);
  host.on_failure = [this](const DeviceIo& io) {
    // A failure that takes so long is a timeout in disguise, whatever its name.
    if (io.op != IoOp::flush && io.elapsed_ns > shape_.config.device_timeout_ns / 2) {
      oracle.device_error(io.member, io.op, IoStatus::timeout, io.sector, io.sectors);
    }
    if (io.op == IoOp::write) arrive_late(io);
  };
  host.on_event = [this](const Event& event) {
    // Where so much is bad that probes meet bad sectors too, the breaker opens with good reason.
    if (event.kind == EventKind::spare_exhausted) oracle.spare_exhausted();
    if (event.kind == EventKind::metadata_failed) oracle.metadata_failed();
    // The FUA write that it refused may have been a flush below, with writes of users in its cache.
    if (event.kind == EventKind::member_failed && disks[event.member]->native_fua) {
      oracle.expect_flush_error();
    }
    if (event.kind == EventKind::returned || event.kind == EventKind::recovered) {
      check_new_home_on_main(event);
    }
    if (event.kind == EventKind::breaker_open && much_is_bad(event.member)) {
      oracle.device_error(event.member, IoOp::read, IoStatus::transport, Sector(0), 0);
    }
  };
  memory_.reset(new (std::align_val_t{alignof(Volume)}) std::byte[sizeof(Volume)]);
}

Machine::~Machine() {
  if (volume_ != nullptr) power_cut();
  operator delete[](memory_.release(), std::align_val_t{alignof(Volume)});
}

bool Machine::run_until(const std::function<bool()>& done, const char* what) {
  const u64 limit = world.now_ns() + kPatience_ns;
  while (!done()) {
    if (oracle.broken() || stopped()) return false;
    if (!world.step()) {
      oracle.fail(Rule::nothing_hangs,
                  fmt::format("{} waits for something that never comes", what));
      return false;
    }
    if (world.now_ns() > limit) {
      oracle.fail(Rule::nothing_hangs, fmt::format("{} took too long", what));
      return false;
    }
  }
  return true;
}

LoadRequest Machine::load_request() const {
  LoadRequest load;
  load.members = static_cast<u32>(disks.size());
  for (u32 m = 0; m < load.members; ++m) {
    load.device[m].present = ((absent >> m) & 1U) == 0;
    load.device[m].sectors = disks[m]->sectors();
    load.device[m].native_fua = disks[m]->native_fua;
  }
  return load;
}

namespace {

// The store alone on the executor: for formatting.
struct Formatter final : Engine {
  explicit Formatter(SimHost& host) : store(host, executor) {
    frames.init(host, memory.data(), memory.size());
    finished.context = this;
    finished.run = [](Ready& node) { static_cast<Formatter*>(node.context)->ended = true; };
  }
  ~Formatter() = default;
  bool run() override { return executor.run(); }
  void on_timer() override {}
  void give_page(void*) override {}

  Executor executor;
  MetadataStore store;
  std::vector<std::byte> memory = std::vector<std::byte>(MetadataStore::kFrameBytes);
  FrameStack frames;
  Ready finished;
  bool ended = false;
};

}  // namespace

Status Machine::format() {
  Formatter formatter(host);
  const Status memory = formatter.store.open_memory();
  if (memory != Status::ok) return memory;
  FormatRequest request;
  const LoadRequest load = load_request();
  request.members = load.members;
  request.block_sectors = shape_.block_sectors;
  request.policy = shape_.policy;
  request.name = "sim";
  for (u32 m = 0; m < load.members; ++m) request.device[m] = load.device[m];
  host.attach(&formatter);
  Status status = Status::timed_out;
  {
    Task<Status> task = formatter.store.format(formatter.frames, request);
    if (!task.has_frame()) return Status::again;
    task.start(formatter.executor, formatter.finished);
    host.kick();
    if (run_until([&] { return formatter.ended; }, "format")) status = task.result();
  }
  host.attach(nullptr);
  formatter.store.close_memory();
  world.note("format: status {}", static_cast<u64>(status));
  return status;
}

void Machine::begin_open(Volume::Open& open, bool read_only, bool allow_degraded) {
  DMR_ASSERT(volume_ == nullptr);
  findings_.clear();
  volume_ = new (memory_.get()) Volume(host, shape_.config);
  open_ended_ = false;
  open.load = load_request();
  open.load.allow_degraded = allow_degraded;
  oracle.opening(absent != 0);
  open.read_only = read_only;
  open.findings = this;
  open.context = &open_ended_;
  open.done = [](Volume::Open& done) { *static_cast<bool*>(done.context) = true; };
  host.attach(this);
  host.pages_at_once = true;
  world.note("open");
  volume_->open(open);
  host.kick();
}

Status Machine::opened(const Volume::Open& open) {
  host.pages_at_once = false;
  ++counters_.opens;
  counters_.findings += findings_.size();
  if (open.status == Status::ok && !findings_.empty()) ++counters_.repaired;
  world.note("open: status {}, {} findings", static_cast<u64>(open.status), findings_.size());
  if (open.status != Status::ok) {
    drop_volume();
    return open.status;
  }
  queue.attach(volume_);
  return Status::ok;
}

Status Machine::open(bool read_only, bool allow_degraded) {
  Volume::Open open;
  begin_open(open, read_only, allow_degraded);
  if (!run_until([this] { return open_ended_; }, "open")) return Status::timed_out;
  return opened(open);
}

bool Machine::open_and_cut(u64 events) {
  Volume::Open open;
  begin_open(open, false, false);
  for (; events > 0 && !open_ended_ && world.step(); --events) {
  }
  if (open_ended_) {
    (void)opened(open);
    return false;
  }
  power_cut();
  return true;
}

// After an opening that failed or a proper close: everything was given back.
void Machine::drop_volume() {
  host.attach(nullptr);
  volume_->~Volume();
  volume_ = nullptr;
  queue.attach(nullptr);
  if (host.memory_held() != 0) {
    oracle.fail(Rule::nothing_hangs,
                fmt::format("{} pieces of memory were not released", host.memory_held()));
  }
}

Status Machine::close() {
  DMR_ASSERT(volume_ != nullptr);
  if (!drain()) return Status::timed_out;
  bool ended = false;
  Volume::Close close;
  close.context = &ended;
  close.done = [](Volume::Close& done) { *static_cast<bool*>(done.context) = true; };
  world.note("close");
  volume_->close(close);
  host.kick();
  if (!run_until([&] { return ended; }, "close")) return Status::timed_out;
  oracle.closed();
  world.note("close: status {}", static_cast<u64>(close.status));
  if (host.in_flight() != 0) oracle.fail(Rule::nothing_hangs, "closed with I/O under way");
  drop_volume();
  return close.status;
}

void Machine::power_cut(const Chooser* choose) {
  power_off();
  for (auto& disk : disks) disk->power_cut(choose != nullptr ? *choose : disk->random_subset());
}

void Machine::power_off() {
  world.note("power cut");
  host.pages_at_once = false;
  ++counters_.power_cuts;
  host.power_off();
  queue.forget_all();
  volume_ = nullptr;
  oracle.power_cut();
}

Status Machine::run_command(CommandKind kind, std::span<const SectorRange> ranges) {
  command_ended_ = false;
  command_ = Command{};
  command_.kind = kind;
  command_.ranges = ranges;
  command_.context = &command_ended_;
  command_.done = [](Command& done) { *static_cast<bool*>(done.context) = true; };
  if (kind == CommandKind::mark) {
    for (const SectorRange& range : ranges) oracle.mark(range.begin, range.sectors);
  }
  host.post([this] { volume_->command(command_); });
  if (!run_until([this] { return command_ended_; }, "a command")) return Status::timed_out;
  return command_.status;
}

void Machine::scrub(ScrubAction action, Sector from, u32 kib_per_s) {
  world.note("user: scrub {} from {}, {} KiB/s", static_cast<u64>(action), from.value, kib_per_s);
  host.post([this, action, from, kib_per_s] {
    (void)volume_->tune(Tunable::scrub_kib_per_s, kib_per_s);
    (void)volume_->scrub(action, from);
  });
}

void Machine::hold_scrub(bool on) {
  world.note("host: scrub held {}", on ? 1 : 0);
  host.post([this, on] { volume_->hold_scrub(on); });
}

void Machine::request(UserRequest& request) {
  const auto ended = std::make_shared<bool>(false);
  request.done = [ended](UserRequest&) { *ended = true; };
  queue.start(request);
  (void)run_until([&] { return *ended; }, "a request");
}

bool Machine::drain() {
  return run_until([this] { return queue.in_flight() == 0 && host.quiet(); }, "the last request");
}

void Machine::read_back() {
  if (!drain()) return;
  constexpr u32 kChunk = 64;
  std::vector<UserRequest> chunks((oracle.sectors() + kChunk - 1) / kChunk);
  for (u64 i = 0; i < chunks.size(); ++i) {
    Ticket& t = chunks[i].ticket;
    t.sector = Sector(i * kChunk);
    t.sectors = static_cast<u32>(std::min<u64>(kChunk, oracle.sectors() - t.sector.value));
    queue.start(chunks[i]);
  }
  if (!drain()) return;
  std::vector<UserRequest> singles;
  for (const UserRequest& chunk : chunks) {
    for (u32 i = 0; chunk.failed && i < chunk.ticket.sectors; ++i) {
      singles.emplace_back().ticket.sector = chunk.ticket.sector + i;
    }
  }
  for (UserRequest& single : singles) {
    single.ticket.sectors = 1;
    queue.start(single);
  }
  (void)drain();
}

bool Machine::run() { return volume_->run(); }
void Machine::on_timer() { volume_->on_timer(); }
void Machine::give_page(void* page) { volume_->give_page(page); }

void Machine::found(const Finding& finding) {
  findings_.push_back(finding);
  world.note("finding {} on member {} copy {} at {}", static_cast<u64>(finding.kind),
             finding.member, finding.copy, finding.address.value);
}

bool Machine::fatal_finding() const {
  for (const Finding& finding : findings_) {
    if (finding.fatal) return true;
  }
  return false;
}

}  // namespace dmr::sim

// SPDX-License-Identifier: GPL-2.0-or-later
// The engine's host in the simulator: I/O that completes late and in any order, grace periods that
// wait for the simulated read sections, memory that can run out.
#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "core/host/host.h"
#include "sim/disk.h"
#include "sim/world.h"

namespace dmr::sim {

// Whoever runs on the executor: the volume, or the store while a set is formatted.
class Engine {
 public:
  virtual bool run() = 0;  // true: call again
  virtual void on_timer() = 0;
  virtual void give_page(void* page) = 0;

 protected:
  ~Engine() = default;
};

// What becomes of one write of metadata.
struct MetadataFate {
  enum class Kind : u8 {
    as_asked,
    lost,           // reported as done, never done: what was there before stays
    corrupt,        // one bit of it is wrong
    misdirected,    // done at another place
    refused,        // fails, and parts of it may be there
    refused_clean,  // fails, and nothing of it is there
    refused_after,  // reported as failed, and durable all the same
  };
  Kind kind = Kind::as_asked;
  u32 bit = 0;  // corrupt: which
  Sector to;    // misdirected: where
  IoStatus status = IoStatus::transport;
};

struct HostTroubles {
  u32 lag_of_1000 = 20;               // I/Os that take up to 20 ms
  u32 slow_of_1000 = 0;               // I/Os that take seconds instead of microseconds
  u64 slow_ns = 0;                    // at most
  u32 spare_data_lost_of_1000 = 0;    // writes of data to spares that the cable fails
  u32 page_refused_of_1000 = 0;       // index pages that never come
  u64 memory_fails_at = 0;            // the n-th allocation finds no memory; 0: none
  u64 page_fails_at = 0;              // the n-th index page never comes; 0: none
  u64 timer_late_at = 0;              // the n-th timer goes off a minute late; 0: none
  u64 flush_refused_at = 0;           // the n-th flush is refused; 0: none
  u64 flush_refused_again_at = 0;     // ... and this one
  bool flushes_stay_refused = false;  // all after it are refused, too
  u64 io_fails_at = 0;                // the n-th I/O fails with this status; 0: none
  u64 io_fails_count = 1;             // ... and so many in all, in the order of their sending
  IoStatus io_status = IoStatus::transport;
};

// Sector `i` of what a write carries.
[[nodiscard]] Data sector_of(const DeviceIo& io, u32 i);

class SimHost final : public Host {
 public:
  SimHost(World& world, std::vector<std::unique_ptr<SimDisk>>& disks);
  ~SimHost();
  SimHost(const SimHost&) = delete;
  SimHost& operator=(const SimHost&) = delete;

  // Host.
  void submit(DeviceIo& io) override;
  void submit_batch(std::span<DeviceIo* const> batch) override;
  u64 now_ns() override;
  void wake_at(u64 deadline_ns) override;
  void after_grace(GraceWork& work) override;
  i64 epoch_in_flight(u32 slot) override;
  void* allocate(std::size_t bytes, std::size_t alignment) override;
  void release(void* memory, std::size_t bytes) override;
  void request_pages(u32 count) override;
  void random(std::span<std::byte> out) override;
  void event(const Event& event) override;
  void poison(const void* memory, std::size_t bytes) override;
  void unpoison(const void* memory, std::size_t bytes) override;

  // The executor.
  void attach(Engine* engine) {
    engine_ = engine;
    ++life_;
  }
  void post(World::Action action);  // runs on the executor, soon
  void kick();                      // the executor has something to do

  // The hot path. A read section may last over several events; grace periods wait for its end.
  using Section = u64;
  [[nodiscard]] Section begin_section();
  void end_section(Section section);
  void enter(u32 slot) { ++in_flight_[slot]; }
  void leave(u32 slot) { --in_flight_[slot]; }
  // No read section is open and nothing waits to be heard by the executor.
  [[nodiscard]] bool quiet() const { return sections_.empty() && posted_ == 0; }
  [[nodiscard]] bool has_fua(Member member) const { return disks_[member]->native_fua; }
  // An I/O of the hot path: completes in its lane, not on the executor.
  void start(DeviceIo& io, Lane lane);

  // Everything that was under way is gone, as is the engine's memory. Writes under way become
  // cached ones: what of the caches survives is for the disks' own power_cut() to say.
  void power_off();

  HostTroubles troubles;
  std::function<void(const Event&)> on_event;
  std::function<void(const DeviceIo&)> on_failure;  // each I/O that failed, before its `done`
  // Asked about each write of metadata before it is done.
  std::function<MetadataFate(const DeviceIo&)> on_metadata_write;
  bool pages_at_once = false;  // while a volume opens
  [[nodiscard]] u64 ios() const { return ios_; }
  [[nodiscard]] u64 flushes() const { return flushes_; }
  [[nodiscard]] u64 allocations() const { return allocations_; }
  [[nodiscard]] u64 memory_held() const { return memory_.size(); }
  [[nodiscard]] u64 pages() const { return pages_; }
  [[nodiscard]] u64 timers() const { return timers_; }
  [[nodiscard]] u64 slow_ios() const { return slow_ios_; }
  [[nodiscard]] u64 pages_refused() const { return pages_refused_; }
  [[nodiscard]] u64 events_of(EventKind kind) const { return events_[static_cast<u32>(kind)]; }
  [[nodiscard]] std::size_t in_flight() const { return running_.size(); }

 private:
  static constexpr u64 kLag_ns = 20'000'000;
  static constexpr u64 kPageLate_ns = 10'000'000'000;
  static constexpr u64 kTimerLate_ns = 60'000'000'000;
  static constexpr u32 kSlots = 64;
  struct Running {
    DeviceIo* io = nullptr;
    u64 id = 0;
    u64 sent = 0;
    u64 sent_ns = 0;
    bool applied = false;
    Sector place;  // where a write has gone
  };
  struct Grace {
    GraceWork* work = nullptr;
    std::vector<Section> waits_for;
  };

  void apply(u64 id);
  void act(Running& running);
  void complete(u64 id, Lane lane);
  [[nodiscard]] Running* find(u64 id);
  [[nodiscard]] IoStatus flush_disk(SimDisk& disk, u64 sent);
  [[nodiscard]] IoStatus on_disk(Running& running);
  [[nodiscard]] IoStatus write_to_disk(Running& running, SimDisk& disk);
  [[nodiscard]] u64 delay();
  [[nodiscard]] u64 page_delay();
  void end_grace(Grace& grace);
  void free_all();
  void give_page();

  World& world_;
  std::vector<std::unique_ptr<SimDisk>>& disks_;
  Engine* engine_ = nullptr;
  u64 life_ = 0;    // of the engine: pages asked for in an earlier one never come
  u32 posted_ = 0;  // actions that wait for the executor
  bool kicked_ = false;
  u64 wake_ns_ = ~u64{0};
  std::vector<Running> running_;
  u64 ios_ = 0;
  u64 flushes_ = 0;
  std::vector<Section> sections_;
  Section next_section_ = 1;
  std::vector<Grace> graces_;
  i64 in_flight_[kSlots] = {};
  std::unordered_map<void*, std::size_t> memory_;
  u64 allocations_ = 0;
  u64 pages_ = 0;
  u64 pages_refused_ = 0;
  u64 timers_ = 0;
  u64 slow_ios_ = 0;
  u64 events_[kEventKinds] = {};
};

}  // namespace dmr::sim

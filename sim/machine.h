// SPDX-License-Identifier: GPL-2.0-or-later
// A whole computer: disks, the engine on its host, clients' queue, and the oracle that watches. It
// can be switched on and off, properly or by pulling the plug.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/log/store.h"
#include "core/volume/volume.h"
#include "sim/host.h"
#include "sim/oracle.h"
#include "sim/queue.h"

namespace dmr::sim {

// What is built, decided before the first event.
struct Shape {
  u64 main_sectors = 2048;
  u32 block_sectors = 8;
  std::vector<u64> spare_sectors = {2048};
  format::Policy policy = format::Policy::redirect;
  u32 fua_by_flush = 0;  // bit m: member m has no FUA of its own
  VolumeConfig config;
};

struct MachineCounters {
  u64 opens = 0;
  u64 power_cuts = 0;
  u64 findings = 0;
  u64 repaired = 0;  // openings that reported damage and went well
};

class Machine final : private Engine, private FindingSink, private VolumeView {
 public:
  static constexpr u64 kSecond_ns = 1'000'000'000;
  // No request, command, opening or closing may take longer in virtual time.
  static constexpr u64 kPatience_ns = 300 * kSecond_ns;

  Machine(u64 seed, const Shape& shape);
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  // Each of these runs the world until it has its answer. timed_out: it never came, and the oracle
  // knows.
  Status format();
  Status open(bool read_only = false, bool allow_degraded = false);
  Status close();
  // Begins to open and pulls the plug after so many events; false: it was open before that.
  bool open_and_cut(u64 events);
  Status run_command(CommandKind kind, std::span<const SectorRange> ranges);
  void request(UserRequest& request);
  // Gives the order, at this rate; its answer is not waited for.
  void scrub(ScrubAction action, Sector from = Sector(0), u32 kib_per_s = 32768);
  // As a host does that needs the members quiet.
  void hold_scrub(bool on);
  // Pulls the plug. The volume is off afterwards.
  void power_cut(const Chooser* choose = nullptr);
  // The same, but what of the disks' caches survives is still open.
  void power_off();

  // Steps the world until `done` or the patience ends; false then, and the oracle knows.
  bool run_until(const std::function<bool()>& done, const char* what);
  // Waits end without an answer, and without blame, after so many more events; 0: never.
  void stop_after(u64 events) { stop_at_ = events == 0 ? 0 : world.events_run() + events; }
  [[nodiscard]] bool stop_is_set() const { return stop_at_ != 0; }
  [[nodiscard]] bool stopped() const { return stop_at_ != 0 && world.events_run() >= stop_at_; }
  // Waits for all requests.
  bool drain();
  // Reads every sector; the oracle compares.
  void read_back();
  // In the map.
  bool is_lost(Sector sector) override;
  // Compares the map with what the oracle knows; to be called with no request under way.
  void audit();

  [[nodiscard]] bool is_open() const { return volume_ != nullptr; }
  [[nodiscard]] Volume& volume() { return *volume_; }
  [[nodiscard]] const Shape& shape() const { return shape_; }
  [[nodiscard]] const std::vector<Finding>& findings() const { return findings_; }
  [[nodiscard]] bool fatal_finding() const;
  [[nodiscard]] const MachineCounters& counters() const { return counters_; }
  [[nodiscard]] LoadRequest load_request() const;

  World world;
  std::vector<std::unique_ptr<SimDisk>> disks;
  SimHost host;
  Oracle oracle;
  SimQueue queue;
  u32 absent = 0;  // bit m: member m is not handed in at the next opening

 private:
  // Engine.
  bool run() override;
  void on_timer() override;
  void give_page(void* page) override;
  // FindingSink.
  void found(const Finding& finding) override;
  // VolumeView.
  bool home_is_gone(Sector sector) override;
  bool can_redirect() override;
  u64 exhaustions() override { return volume_ == nullptr ? 0 : volume_->exhaustions(); }
  bool breaker_open_with_reason() override;
  Sector sector_at(Member member, Sector device_sector) override;

  [[nodiscard]] bool much_is_bad(Member member) const;
  [[nodiscard]] bool home_at(Sector sector, Run& run);
  void audit_home(const Run& run, std::vector<std::vector<bool>>& owned);
  void begin_open(Volume::Open& open, bool read_only, bool allow_degraded);
  Status opened(const Volume::Open& open);
  void drop_volume();
  void arrive_late(const DeviceIo& io);
  void check_new_home_on_main(const Event& event);

  const Shape shape_;
  std::unique_ptr<std::byte[]> memory_;  // of the volume, which may end without its destructor
  Volume* volume_ = nullptr;
  bool open_ended_ = false;
  u64 late_writes_ = 0;
  u64 stop_at_ = 0;
  bool command_ended_ = false;
  Command command_;  // here, so that a stop leaves it where the engine knows it
  std::vector<Finding> findings_;
  MachineCounters counters_;
};

}  // namespace dmr::sim

// SPDX-License-Identifier: GPL-2.0-or-later
// The course of one run: who asks what, and what breaks when.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "sim/machine.h"
#include "sim/metadata.h"
#include "sim/run.h"

namespace dmr::sim {

class Scenario {
 public:
  explicit Scenario(const Plan& plan);

  void play();
  [[nodiscard]] Report report() const;

 private:
  static constexpr u32 kClients = 6;
  struct Client {
    UserRequest request;
    bool busy = false;
  };
  struct Order {
    Command command;
    std::vector<SectorRange> ranges;
    bool busy = false;
  };

  [[nodiscard]] static Shape shape_for(u64 seed, const Profile& profile);
  void roll_dice(u32 step);
  void step();
  void advance();
  void start_request();
  void give_order(CommandKind kind);
  void order_scrub();
  void break_main();
  void age();
  void break_spare();
  void break_metadata();
  void add_fault(SimDisk& disk, Sector sector);
  void fall_ill(bool spare);
  void recover();
  void pull_plug();
  void restart();
  void reopen();
  // Damage to metadata, and whether it was noticed (damage.cpp).
  void watch_metadata_writes();
  [[nodiscard]] MetadataFate fate_of(const DeviceIo& io);
  [[nodiscard]] Sector astray(Member member, const format::BlockHeader& header);
  void meddle();
  void refuse_commits();
  void refuse_metadata();
  void damage_at_rest();
  void flip_bit(const MetadataMap& map, const MetaBlock& block);
  [[nodiscard]] bool damage_is_there() const;
  void check_findings(bool damaged);
  [[nodiscard]] bool is_expected(const Finding& finding) const;
  using Failures = std::array<u64, kMaxMembers>;
  [[nodiscard]] u64 failures(Member member) const;
  void note_mended(const Failures& before);
  [[nodiscard]] bool may_still_tear(Member member) const;
  Status open_without_some();
  void take_statistics();
  void finish();
  [[nodiscard]] bool was_healthy() const;
  [[nodiscard]] bool broken() const { return machine_->oracle.broken(); }

  const Plan plan_;
  const u64 seed_;
  const Profile& profile_;
  std::unique_ptr<Machine> machine_;
  Random dice_;  // of the scenario alone: the engine's course does not change what is asked of it
  std::vector<Client> clients_ = std::vector<Client>(kClients);
  std::vector<Order> orders_ = std::vector<Order>(2);
  bool moved_ = false;  // blocks, by the user
  bool ended_ = false;  // the set was refused for damage that is beyond repair
  bool metadata_touched_ = false;
  // By member, one bit each, and until an opening has mended what came of it: the power was cut
  // while it was in use; the volume was opened without it.
  u32 cut_short_ = 0;
  u32 left_out_ = 0;
  Failures failures_mended_ = {};  // failures() at the last such opening
  bool all_were_here_ = true;      // at the last opening
  bool must_open_ = false;         // what was damaged is one fault in a whole set
  bool meddling_ = false;          // the next write of metadata
  bool meddled_ = false;           // since the last opening
  bool commits_refused_ = false;
  bool metadata_refused_ = false;
  struct Damage {
    Member member;
    Sector at;
    Data content;  // that is wrong
  };
  std::vector<Damage> damage_;
  u32 step_ = 0;  // that is played, counted from 1
  Totals totals_;
};

}  // namespace dmr::sim

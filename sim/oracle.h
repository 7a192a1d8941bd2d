// SPDX-License-Identifier: GPL-2.0-or-later
// What a user of the volume may see. For every sector it keeps the writes whose data a read may
// return now, and those that may be there after a power cut; and why an error may be answered.
// It knows requests and what the disks did, nothing of how the engine works.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "core/host/host.h"
#include "core/volume/config.h"
#include "sim/data.h"
#include "sim/disk.h"
#include "sim/world.h"

namespace dmr::sim {

// The rules of the contract, by their numbers.
enum class Rule : u8 {
  none,
  never_wrong_data,
  lost_means_lost,
  writes_survive,
  flush_means_flush,
  one_home_per_block,
  damage_is_noticed,
  only_medium_errors_remap,
  the_right_disks,
  healthy_costs_nothing,
  nothing_hangs,
};
[[nodiscard]] const char* rule_name(Rule rule);

struct Violation {
  Rule rule = Rule::none;
  std::string text;
};

// One request as the oracle follows it. Stamps are World::stamp().
struct Ticket {
  IoOp op = IoOp::read;
  bool fua = false;
  Sector sector;
  u32 sectors = 0;
  u64 begun = 0;
  u64 write = 0;  // number of a write: with the sector it makes the token
  u64 begun_ns = 0;
  u64 flush_floor = 0;     // of a flush: Oracle::flush_floor_ when the user asked for it
  bool home_gone = false;  // then, of some of it
  u64 exhaustions = 0;     // of the view, then
};

// What the oracle asks about the volume when an error needs an excuse.
class VolumeView {
 public:
  virtual bool is_lost(Sector sector) = 0;       // in the map
  virtual bool home_is_gone(Sector sector) = 0;  // its member is not there
  virtual bool can_redirect() = 0;  // a live spare has a free block, the volume is writable
  virtual u64 exhaustions() = 0;    // how often a block has found no spare block
  // The breaker of a member is open, and so much of it is bad that probes meet bad places, too.
  virtual bool breaker_open_with_reason() = 0;
  // Whose data lies there; sectors() when nobody's. For content that does not name its sector.
  virtual Sector sector_at(Member member, Sector device_sector) = 0;

 protected:
  ~VolumeView() = default;
};

class Oracle final : public DiskWatcher {
 public:
  Oracle(World& world, u64 sectors, const VolumeConfig& config);

  void set_view(VolumeView* view) { view_ = view; }
  [[nodiscard]] u64 sectors() const { return states_.size(); }
  // The data that main held before the volume was made.
  [[nodiscard]] static Data adopted(Sector sector) { return {make_token(sector, 0), nullptr}; }

  // Requests.
  void begin(Ticket& ticket);
  void end_read(const Ticket& ticket, bool ok, Sector bad, const std::vector<u64>& tokens);
  void end_write(const Ticket& ticket, bool ok);  // write, write_zeroes, discard
  void end_flush(const Ticket& ticket, bool ok);

  // What happened to the devices.
  void media_error(Member disk, Sector sector, IoOp op, const Data& latent) override;
  void device_error(Member disk, IoOp op, IoStatus status, Sector sector, u32 sectors) override;
  void answered(Member disk) override { ++answers_[disk]; }
  void user_flush_refused() { flush_refused_ = world_.stamp(); }
  // A member was retired: one flush of the user may fail, and none has to.
  void expect_flush_error() { ++flush_errors_owed_; }
  // No spare block was free at that moment, or no room for a record.
  void spare_exhausted() { last_exhausted_ = world_.stamp(); }
  // The host has too little memory: any slow request may fail.
  void expect_refusals() { refusals_expected_ = true; }

  // Commands of the user.
  void mark(Sector begin, u64 count);

  // At each opening; `absent`: some member of the set is not there.
  void opening(bool absent) {
    member_absent_ = absent && view_ != nullptr;
    untold_since_ns_ = 0;
    flush_errors_owed_ = 0;
    flush_floor_ = flush_refused_;
    commit_unknown_ = 0;
  }

  void power_cut();
  void closed();
  // The volume has turned read-only, perhaps with a commit of unknown outcome: a write that was
  // under way then and fails may take effect at the next opening, whatever reads show until then.
  // Nothing may be written over it before.
  void metadata_failed() { commit_unknown_ = world_.stamp(); }
  // With no request under way: does the map agree with what is known of this sector?
  void audit_sector(Sector sector, bool lost);
  // Its place on main has shown an error of the medium, or the user had it moved.
  [[nodiscard]] bool moved_with_reason(Sector sector) const {
    return states_[sector.value].main_failed || states_[sector.value].marked;
  }

  void fail(Rule rule, std::string text);
  [[nodiscard]] const Violation& violation() const { return violation_; }
  [[nodiscard]] bool broken() const { return violation_.rule != Rule::none; }
  [[nodiscard]] u64 sectors_compared() const { return sectors_compared_; }

 private:
  static constexpr u64 kUnderWay = ~u64{0};
  // An open circuit breaker passes errors on for a while after the device has come back.
  static constexpr u64 kTroubleLasts_ns = 40'000'000'000;

  // From a refused flush to the moment when every flush of the user hears of it.
  static constexpr u64 kTellingTakes_ns = 100'000'000;

  // A write of one sector. It took effect at some moment in [low, high].
  struct Version {
    u64 value = 0;
    u64 write = 0;
    u64 begun = 0;
    u64 low = 0;
    u64 read_low = 0;  // the same, as far as reads without a power cut in between have shown
    u64 high = kUnderWay;
    bool acknowledged = false;
    bool seen = false;  // a failed write whose data was read later: it took effect
    bool durable = false;
    bool gone = false;     // the sector was lost since, and stays so until a later write
    bool discard = false;  // may read as zeros or as before, now this and now that
  };
  enum class Lost : u8 { no, perhaps, yes };
  struct State {
    std::vector<Version> versions;
    Lost lost = Lost::no;
    u32 read_failures = 0;    // of the medium, since the last write
    u32 outage_failures = 0;  // of the device, but it did not say so; likewise
    // It failed like that, then the device gave other data, then it failed again.
    bool failed_around_answer = false;
    Member outage_disk = kMain;  // at the last such failure, and how often it had answered then
    u64 outage_answers = 0;
    u64 failed_value = 0;      // the data that lay under the last failure of the medium
    u64 excused_until = 0;     // stamp: an error of a read that began before is no surprise
    bool main_failed = false;  // its place on main has ever shown an error of the medium
    bool marked = false;       // moved by the user's own command
    bool listed = false;       // in unflushed_
  };

  void check_read(const Ticket& ticket, Sector sector, u64 token);
  void check_read_error(const Ticket& ticket, Sector sector);
  void check_write_error(const Ticket& ticket);
  [[nodiscard]] bool may_return(const State& state, const Version& version, u64 begun) const;
  void settle_order(State& state, Version& version, u64 begun);
  void prune(State& state);
  [[nodiscard]] bool is_undecided(const Version& version) const {
    return commit_unknown_ != 0 && !version.acknowledged && version.begun < commit_unknown_ &&
           commit_unknown_ < version.high;
  }
  // Often enough for anybody to call the sector bad.
  [[nodiscard]] static bool failed_often(const State& state) {
    return state.read_failures >= 2 || (state.read_failures == 1 && state.outage_failures > 0);
  }
  // Two outages that do not say what they are look like a bad sector, too, to whoever tries it
  // again between them: the contract lets the engine call it lost. It need not stay so for others.
  [[nodiscard]] static bool may_be_lost(const State& state) {
    return failed_often(state) || state.failed_around_answer;
  }
  [[nodiscard]] bool device_trouble_since(u64 stamp) const;
  [[nodiscard]] std::string describe(Sector sector) const;

  World& world_;
  const VolumeConfig config_;
  VolumeView* view_ = nullptr;
  std::vector<State> states_;
  std::vector<u32> unflushed_;       // sectors with versions that are not durable
  std::multiset<u64> active_reads_;  // when they began
  u64 writes_ = 0;
  u64 flush_refused_ = 0;  // the last time that a member refused a flush
  // No flush promises what was begun before this: a member refused one, and the user has heard.
  u64 flush_floor_ = 0;
  u64 last_device_error_ = 0;
  u64 device_error_ns_ = 0;
  u32 flush_errors_owed_ = 0;  // refusals that no user's flush has failed for yet
  u64 told_ = 0;               // when a flush failed, by what no other had failed for
  u64 untold_since_ns_ = 0;    // the oldest such refusal; 0: none
  bool refusals_expected_ = false;
  u64 commit_unknown_ = 0;         // stamp; 0: none is
  u64 answers_[kMaxMembers] = {};  // reads that each disk has answered with data
  u64 last_exhausted_ = 0;
  bool member_absent_ = false;
  std::vector<u64> spare_refusals_;  // stamps of writes that a spare's medium refused
  u64 sectors_compared_ = 0;
  Violation violation_;
};

}  // namespace dmr::sim

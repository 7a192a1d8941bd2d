// SPDX-License-Identifier: GPL-2.0-or-later
// One life of a volume: clients, commands, troubles, restarts, and the final look.
#include "sim/scenario.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace dmr::sim {

Shape Scenario::shape_for(u64 seed, const Profile& profile) {
  Random dice(seed ^ 0x5A5A5A5A5A5A5A5AU);
  Shape shape;
  shape.main_sectors = dice.range(profile.main_low, profile.main_high);
  const u32 blocks[] = {8, 8, 8, 1, 2, 16, 128};
  shape.block_sectors = blocks[dice.below(std::size(blocks))];
  // The engine probes other blocks before it calls one bad: there must be some.
  shape.main_sectors = std::max(shape.main_sectors, u64{40} * shape.block_sectors);
  shape.spare_sectors.clear();
  for (u64 n = dice.range(profile.spares_low, profile.spares_high); n > 0; --n) {
    // Large blocks need room around the metadata, small ones more metadata.
    const u64 scale = shape.block_sectors > 16 ? 4 : 1;
    const u64 extra = shape.block_sectors < 8 ? 2048 : 0;
    shape.spare_sectors.push_back(scale * dice.range(profile.spare_low, profile.spare_high) +
                                  extra);
  }
  if (dice.chance(profile.rewrite_policy)) shape.policy = format::Policy::rewrite;
  if (dice.chance(profile.small_pools)) {
    shape.config.work_items = static_cast<u32>(dice.range(1, 3));
    shape.config.buffers = static_cast<u32>(dice.range(3, 4));
    shape.config.io_contexts = shape.config.work_items * 2 + 2;
    shape.config.health_records = static_cast<u32>(dice.range(1, 4));
  }
  shape.fua_by_flush = dice.below32(1U << kMaxMembers);
  return shape;
}

Scenario::Scenario(const Plan& plan)
    : plan_(plan),
      seed_(plan.seed),
      profile_(*plan.profile),
      machine_(std::make_unique<Machine>(seed_, shape_for(seed_, profile_))),
      dice_(seed_) {
  machine_->world.trace_to(plan.trace);
  machine_->host.troubles.lag_of_1000 = profile_.lag;
  machine_->host.troubles.page_refused_of_1000 = profile_.pages_refused;
  if (profile_.pages_refused != 0) machine_->oracle.expect_refusals();
  if (profile_.slow != 0) {
    machine_->host.troubles.slow_of_1000 = profile_.slow;
    machine_->host.troubles.slow_ns = 25 * Machine::kSecond_ns;
  }
}

// Each step has dice of its own, so that one that is left out changes no other's choices.
void Scenario::roll_dice(u32 step) {
  dice_ = Random(seed_ ^ 0xC3C3C3C3C3C3C3C3U ^ (u64{step} << 40U));
  machine_->world.set_step(step);
}

void Scenario::play() {
  roll_dice(0);
  if (machine_->format() != Status::ok || machine_->open() != Status::ok) {
    std::string shape = fmt::format("main {}, block {}, spares", machine_->shape().main_sectors,
                                    machine_->shape().block_sectors);
    for (const u64 sectors : machine_->shape().spare_sectors) shape += fmt::format(" {}", sectors);
    machine_->oracle.fail(Rule::the_right_disks, "a fresh set cannot be made and opened: " + shape);
    return;
  }
  machine_->host.troubles.spare_data_lost_of_1000 = profile_.spare_data_lost;
  watch_metadata_writes();
  for (u32 i = 1; i <= plan_.steps && !broken() && !ended_; ++i) {
    if (plan_.only != nullptr && !plan_.only->contains(i)) continue;
    step_ = i;
    roll_dice(step_);
    step();
  }
  if (broken() || ended_) return;
  roll_dice(plan_.steps + 1);
  finish();
}

void Scenario::step() {
  struct Choice {
    u32 weight;
    void (Scenario::*action)();
  };
  const Choice choices[] = {
      {profile_.main_fault, &Scenario::break_main},
      {profile_.aging * step_ / plan_.steps, &Scenario::age},
      {profile_.spare_fault, &Scenario::break_spare},
      {profile_.metadata_fault, &Scenario::break_metadata},
      {profile_.metadata_write, &Scenario::meddle},
      {profile_.commit_refused, &Scenario::refuse_commits},
      {profile_.metadata_refused, &Scenario::refuse_metadata},
      {profile_.power_cut, &Scenario::pull_plug},
      {profile_.restart, &Scenario::restart},
  };
  for (const Choice& choice : choices) {
    if (dice_.chance(choice.weight)) (this->*choice.action)();
    if (broken() || ended_) return;
  }
  if (dice_.chance(profile_.main_ailment)) fall_ill(false);
  if (dice_.chance(profile_.spare_ailment)) fall_ill(true);
  if (dice_.chance(150)) recover();
  if (dice_.chance(profile_.mark)) give_order(CommandKind::mark);
  if (dice_.chance(profile_.forget)) give_order(CommandKind::forget);
  if (dice_.chance(profile_.checkpoint)) give_order(CommandKind::checkpoint);
  if (dice_.chance(profile_.scrub)) order_scrub();
  start_request();
  advance();
}

// Lets the world go on for a while, and sees that nobody waits for ever.
void Scenario::advance() {
  Machine& m = *machine_;
  for (u64 events = dice_.below(dice_.chance(100) ? 60 : 10); events > 0 && !broken(); --events) {
    if (!m.world.step()) break;
  }
  const u64 oldest = m.queue.oldest_ns();
  if (oldest == ~u64{0}) return;
  if (m.world.idle() || m.world.now_ns() > oldest + Machine::kPatience_ns) {
    m.oracle.fail(Rule::nothing_hangs, "a request is not answered");
  }
}

void Scenario::start_request() {
  const auto free =
      std::find_if(clients_.begin(), clients_.end(), [](const Client& c) { return !c.busy; });
  if (free == clients_.end()) return;
  Client& client = *free;
  Ticket& t = client.request.ticket;
  t = Ticket{};
  const u64 sectors = machine_->oracle.sectors();
  const u64 kind = dice_.below(1000);
  if (kind < profile_.flush) {
    t.op = IoOp::flush;
  } else {
    const u64 which = dice_.below(100);
    t.op = which < 45   ? IoOp::read
           : which < 88 ? IoOp::write
           : which < 95 ? IoOp::write_zeroes
                        : IoOp::discard;
    t.fua = t.op != IoOp::read && t.op != IoOp::discard && dice_.chance(150);
    // Half of all requests meet in a small corner, where they overlap.
    const u64 reach = dice_.coin() ? std::min<u64>(sectors, 96) : sectors;
    t.sector = Sector(dice_.below(reach));
    const u64 most = dice_.chance(50) ? 300 : dice_.chance(300) ? 40 : 10;
    t.sectors = static_cast<u32>(std::min(dice_.range(1, most), sectors - t.sector.value));
  }
  client.busy = true;
  client.request.done = [&client](UserRequest&) { client.busy = false; };
  machine_->queue.start(client.request);
}

void Scenario::give_order(CommandKind kind) {
  const auto free =
      std::find_if(orders_.begin(), orders_.end(), [](const Order& o) { return !o.busy; });
  if (free == orders_.end()) return;
  Order& order = *free;
  order.command = Command{};
  order.ranges.clear();
  u64 at = dice_.below(dice_.coin() ? 96 : machine_->oracle.sectors());
  for (u64 n = dice_.range(1, 4); n > 0 && kind != CommandKind::checkpoint; --n) {
    const u64 left = machine_->oracle.sectors() - at;
    const u64 count = std::min(left, dice_.range(1, dice_.chance(200) ? 400 : 20));
    order.ranges.push_back({Sector(at), count});
    if (kind == CommandKind::mark) machine_->oracle.mark(Sector(at), count);
    at += count + dice_.range(1, 50);
    if (at >= machine_->oracle.sectors()) break;
  }
  order.command.kind = kind;
  order.command.ranges = order.ranges;
  order.command.context = &order;
  order.command.done = [](Command& done) { static_cast<Order*>(done.context)->busy = false; };
  order.busy = true;
  moved_ = moved_ || kind != CommandKind::checkpoint;
  machine_->world.note("user: command {} from {}", static_cast<u64>(kind), at);
  machine_->host.post([this, &order] { machine_->volume().command(order.command); });
}

void Scenario::order_scrub() {
  const u64 which = dice_.below(100);
  const ScrubAction action = which < 80   ? ScrubAction::start
                             : which < 90 ? ScrubAction::pause
                                          : ScrubAction::stop;
  const u64 from = dice_.chance(200) ? dice_.below(machine_->oracle.sectors()) : 0;
  machine_->scrub(action, Sector(from), dice_.coin() ? 32768 : 64);
  machine_->hold_scrub(dice_.chance(150));
}

void Scenario::pull_plug() {
  machine_->power_cut();
  for (Client& client : clients_) client.busy = false;
  for (Order& order : orders_) order.busy = false;
  cut_short_ |= ~machine_->absent;
  damage_at_rest();
  reopen();
}

void Scenario::restart() {
  recover();
  const auto busy = [this] {
    return std::any_of(orders_.begin(), orders_.end(), [](const Order& o) { return o.busy; });
  };
  if (!machine_->run_until([&] { return !busy(); }, "a command") || !machine_->drain()) return;
  take_statistics();
  (void)machine_->close();  // its status is that of the last checkpoint: the journal has all
  if (broken()) return;
  damage_at_rest();
  reopen();
}

void Scenario::reopen() {
  Machine& m = *machine_;
  m.absent = 0;
  meddling_ = commits_refused_ = metadata_refused_ = false;
  Failures before = {};
  for (u32 i = 1; i < m.disks.size(); ++i) before[i] = failures(static_cast<Member>(i));
  // Power may go again while the volume opens.
  for (u32 cuts = 0; cuts < 3 && dice_.chance(profile_.power_cut * 4); ++cuts) {
    if (!m.open_and_cut(dice_.below(400))) break;
    cut_short_ = ~0U;
    must_open_ = false;
  }
  if (broken()) return;
  const bool opened_before = m.is_open();
  if (opened_before) all_were_here_ = true;
  const bool damaged = !opened_before && damage_is_there();
  const Status status = opened_before ? Status::ok : open_without_some();
  if (broken()) return;
  check_findings(damaged);
  const bool must_open = std::exchange(must_open_, false);
  meddled_ = false;
  if (status != Status::ok) {
    if (metadata_touched_ && !must_open) {
      ended_ = true;
      ++totals_.refused_opens;
      return;
    }
    m.oracle.fail(Rule::damage_is_noticed,
                  fmt::format("a set with {} was refused with status {}",
                              must_open ? "one fault" : "no damage", static_cast<u32>(status)));
    return;
  }
  cut_short_ &= m.absent;
  left_out_ = m.absent;
  note_mended(before);
  m.audit();
  if (!broken() && dice_.chance(300)) m.read_back();
}

// Sometimes a spare is not there: then the set opens only when it is told to. Not when another was
// away before: the one that is left would be the stale one, and the user has been warned.
Status Scenario::open_without_some() {
  Machine& m = *machine_;
  const bool all_here = std::exchange(all_were_here_, false);
  if (!all_here || !dice_.chance(profile_.absent)) {
    const Status status = m.open();
    all_were_here_ = status == Status::ok;
    return status;
  }
  m.absent = 1U << dice_.range(1, m.disks.size() - 1);
  ++totals_.absent_members;
  Status status = m.open();
  if (broken()) return status;
  if (status != Status::member_missing) {
    m.oracle.fail(Rule::the_right_disks,
                  fmt::format("a set with a member missing was opened with status {}",
                              static_cast<u32>(status)));
    return status;
  }
  status = m.open(false, true);
  if (status != Status::member_missing || broken()) return status;
  m.absent = 0;  // it was the last one that is not retired
  return m.open();
}

void Scenario::finish() {
  restart();
  if (broken() || ended_) return;
  if (machine_->absent != 0) restart();  // whoever was away comes back
  if (broken() || ended_) return;
  machine_->read_back();
  machine_->audit();
  if (broken()) return;
  if (was_healthy() && machine_->queue.slow_requests() > 0) {
    machine_->oracle.fail(Rule::healthy_costs_nothing,
                          fmt::format("{} requests to healthy blocks went to the executor",
                                      machine_->queue.slow_requests()));
    return;
  }
  take_statistics();
  (void)machine_->close();
}

// No disk has ever failed anything, and nobody moved a block.
bool Scenario::was_healthy() const {
  const auto failed = [](const auto& disk) {
    return disk->counters().media_errors + disk->counters().device_errors > 0;
  };
  return !moved_ && std::none_of(machine_->disks.begin(), machine_->disks.end(), failed);
}

void Scenario::take_statistics() {
  const VolumeStats stats = machine_->volume().stats();
  totals_.commits += stats.commits;
  totals_.checkpoints += stats.checkpoints;
  totals_.remapped_blocks = stats.remapped_blocks;
  totals_.lost_sectors = stats.lost_sectors;
}

Report Scenario::report() const {
  Report report;
  report.seed = seed_;
  report.profile = profile_.name;
  report.last_step = step_;
  report.violation = machine_->oracle.violation();
  if (!report.ok()) report.history = machine_->world.history(120);
  Totals& t = report.totals;
  t = totals_;
  t.runs = 1;
  t.requests = machine_->queue.requests();
  t.slow_requests = machine_->queue.slow_requests();
  t.power_cuts = machine_->counters().power_cuts;
  t.opens = machine_->counters().opens;
  t.repaired_opens = machine_->counters().repaired;
  t.sectors_compared = machine_->oracle.sectors_compared();
  t.events = machine_->world.events_run();
  t.slow_ios = machine_->host.slow_ios();
  for (const auto& disk : machine_->disks) {
    t.media_errors += disk->counters().media_errors;
    t.device_errors += disk->counters().device_errors;
    t.torn_blocks += disk->counters().torn_blocks;
  }
  return report;
}

}  // namespace dmr::sim

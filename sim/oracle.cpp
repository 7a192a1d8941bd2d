// SPDX-License-Identifier: GPL-2.0-or-later
// What a read may return now, and which errors are allowed.
#include "sim/oracle.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace dmr::sim {

const char* rule_name(Rule rule) {
  switch (rule) {
    case Rule::none:
      return "none";
    case Rule::never_wrong_data:
      return "1 never wrong data";
    case Rule::lost_means_lost:
      return "2 lost means lost, precisely";
    case Rule::writes_survive:
      return "3 writes survive";
    case Rule::flush_means_flush:
      return "4 flush means flush";
    case Rule::one_home_per_block:
      return "5 one home per block";
    case Rule::damage_is_noticed:
      return "6 damaged metadata is noticed";
    case Rule::only_medium_errors_remap:
      return "7 only medium errors remap";
    case Rule::the_right_disks:
      return "8 the right disks or none";
    case Rule::healthy_costs_nothing:
      return "9 a healthy block costs nothing";
    case Rule::nothing_hangs:
      return "10 nothing hangs for ever";
  }
  return "unknown";
}

Oracle::Oracle(World& world, u64 sectors, const VolumeConfig& config)
    : world_(world), config_(config), states_(sectors) {
  for (u64 s = 0; s < sectors; ++s) {
    states_[s].versions.push_back(Version{
        .value = adopted(Sector(s)).token, .high = 0, .acknowledged = true, .durable = true});
  }
}

void Oracle::fail(Rule rule, std::string text) {
  if (broken()) return;
  world_.note("VIOLATION of rule {}", static_cast<u64>(rule));
  violation_ = Violation{rule, std::move(text)};
}

std::string Oracle::describe(Sector sector) const {
  const State& state = states_[sector.value];
  std::string out = fmt::format("sector {}: lost {}, read failures {}, writes", sector.value,
                                static_cast<int>(state.lost), state.read_failures);
  for (const Version& v : state.versions) {
    out += fmt::format(" #{}[{},{}]{}{}{}{}", v.write, std::max(v.low, v.read_low),
                       v.high == kUnderWay ? u64{0} : v.high, v.acknowledged ? "a" : "",
                       v.durable ? "d" : "", v.seen ? "s" : "", v.discard ? "D" : "");
  }
  return out;
}

void Oracle::begin(Ticket& ticket) {
  ticket.begun = world_.stamp();
  ticket.begun_ns = world_.now_ns();
  ticket.flush_floor = flush_floor_;
  if (view_ != nullptr) ticket.exhaustions = view_->exhaustions();
  // Somebody else's write may give the block a new home before this one ends.
  for (u32 i = 0; member_absent_ && i < ticket.sectors && !ticket.home_gone; ++i) {
    ticket.home_gone = view_->home_is_gone(ticket.sector + i);
  }
  if (ticket.op == IoOp::read) active_reads_.insert(ticket.begun);
  if (ticket.op == IoOp::read || ticket.op == IoOp::flush) return;
  ticket.write = ++writes_;
  const bool zero = ticket.op != IoOp::write;
  for (u64 s = ticket.sector.value; s < ticket.sector.value + ticket.sectors; ++s) {
    State& state = states_[s];
    state.versions.push_back(Version{.value = zero ? 0 : make_token(Sector(s), ticket.write),
                                     .write = ticket.write,
                                     .begun = ticket.begun,
                                     .low = ticket.begun,
                                     .read_low = ticket.begun,
                                     .discard = ticket.op == IoOp::discard});
    if (ticket.op != IoOp::discard && state.lost == Lost::yes) state.lost = Lost::perhaps;
    if (state.listed) continue;
    state.listed = true;
    unflushed_.push_back(static_cast<u32>(s));
  }
}

bool Oracle::may_return(const State& state, const Version& version, u64 begun) const {
  if (version.gone) return false;
  for (const Version& other : state.versions) {
    if (&other == &version || other.discard) continue;
    if (!other.acknowledged && !other.seen) continue;
    if (other.high > begun) continue;
    // A discard may show now and then, whatever was read in between, until the next write.
    const u64 low = version.discard ? other.begun : std::max(other.low, other.read_low);
    if (version.high <= low) return false;
  }
  return true;
}

// A read showed that `version` came after all others that had ended when it began.
void Oracle::settle_order(State& state, Version& version, u64 begun) {
  if (version.high > begun) return;
  version.seen = true;
  for (const Version& other : state.versions) {
    if (&other == &version || other.high > begun) continue;
    version.read_low = std::max(version.read_low, other.high);
    if (other.acknowledged && version.acknowledged) {
      version.low = std::max(version.low, other.high);
      version.high = std::max(version.high, version.low);
    }
  }
}

void Oracle::check_read(const Ticket& ticket, Sector sector, u64 token) {
  State& state = states_[sector.value];
  ++sectors_compared_;
  Version* match = nullptr;
  u32 matches = 0;
  for (Version& version : state.versions) {
    if (version.value != token || !may_return(state, version, ticket.begun)) continue;
    match = &version;
    ++matches;
  }
  if (match == nullptr) {
    fail(Rule::never_wrong_data,
         fmt::format("a read begun at {} returned {:#x} (write {} of sector {}); {}", ticket.begun,
                     token, (token >> kTokenSectorBits) - 1, sector_of_token(token).value,
                     describe(sector)));
    return;
  }
  if (state.lost == Lost::yes) {
    fail(Rule::lost_means_lost, "a lost sector gave data; " + describe(sector));
    return;
  }
  if (matches == 1 && !match->discard) settle_order(state, *match, ticket.begun);
}

void Oracle::end_read(const Ticket& ticket, bool ok, Sector bad, const std::vector<u64>& tokens) {
  if (ok) {
    for (u32 i = 0; i < ticket.sectors && !broken(); ++i) {
      check_read(ticket, ticket.sector + i, tokens[i]);
    }
  } else if (bad < ticket.sector || bad.value >= ticket.sector.value + ticket.sectors) {
    fail(Rule::lost_means_lost, fmt::format("a failed read of {}+{} names sector {}",
                                            ticket.sector.value, ticket.sectors, bad.value));
  } else {
    check_read_error(ticket, bad);
  }
  active_reads_.erase(active_reads_.find(ticket.begun));
}

bool Oracle::device_trouble_since(u64 stamp) const {
  if (refusals_expected_ || last_device_error_ >= stamp) return true;
  if (view_ != nullptr && view_->breaker_open_with_reason()) return true;
  return last_device_error_ != 0 && world_.now_ns() - device_error_ns_ < kTroubleLasts_ns;
}

void Oracle::check_read_error(const Ticket& ticket, Sector sector) {
  State& state = states_[sector.value];
  if (state.lost != Lost::no || failed_often(state)) return;
  if (state.failed_around_answer && view_ != nullptr && view_->is_lost(sector)) return;
  if (state.excused_until >= ticket.begun || device_trouble_since(ticket.begun)) return;
  if (ticket.home_gone || (view_ != nullptr && view_->home_is_gone(sector))) return;
  // Nobody waits longer than this for salvage, whatever comes of it.
  if (world_.now_ns() - ticket.begun_ns >= config_.recover_deadline_ns) return;
  fail(Rule::lost_means_lost, "a good sector gave an error; " + describe(sector));
}

void Oracle::check_write_error(const Ticket& ticket) {
  if (ticket.op == IoOp::discard) return;
  if (device_trouble_since(ticket.begun) || last_exhausted_ >= ticket.begun) return;
  const auto since = std::lower_bound(spare_refusals_.begin(), spare_refusals_.end(), ticket.begun);
  if (spare_refusals_.end() - since >= static_cast<i64>(config_.spare_attempts)) return;
  if (view_ != nullptr && view_->exhaustions() != ticket.exhaustions) return;
  if (view_ != nullptr && !view_->can_redirect()) return;
  if (ticket.home_gone) return;  // the rest of the block moves along, and must be there
  fail(Rule::writes_survive, fmt::format("a write of {}+{} failed while a spare had room",
                                         ticket.sector.value, ticket.sectors));
}

void Oracle::end_write(const Ticket& ticket, bool ok) {
  const u64 now = world_.stamp();
  if (!ok) check_write_error(ticket);
  for (u64 s = ticket.sector.value; s < ticket.sector.value + ticket.sectors; ++s) {
    State& state = states_[s];
    for (Version& version : state.versions) {
      if (version.write != ticket.write) continue;
      version.high = now;
      version.acknowledged = ok;
      if (ok && ticket.fua) version.durable = true;
    }
    // Data that is not older than this write may have been lost while it was under way: its own
    // (a piece is there before the last one is), or that of a write at the same time.
    const bool failed_since =
        state.read_failures != 0 &&
        std::any_of(state.versions.begin(), state.versions.end(), [&](const Version& version) {
          return version.value == state.failed_value && version.high > ticket.begun;
        });
    if (ok && ticket.op != IoOp::discard && !failed_since) {
      if (state.lost != Lost::no || state.read_failures != 0 || state.failed_around_answer) {
        state.excused_until = now;
      }
      state.lost = Lost::no;
      state.read_failures = 0;
      state.outage_failures = 0;
      state.failed_around_answer = false;
    }
    prune(state);
  }
}

void Oracle::end_flush(const Ticket& ticket, bool ok) {
  if (!ok) {
    // A refusal fails all that were asked for before the user was told of it.
    const bool beside = ticket.begun < told_;
    if (ticket.flush_floor == flush_refused_ && !beside && flush_errors_owed_ == 0) {
      fail(Rule::flush_means_flush, "a flush failed although every member took it");
    }
    if (!beside) {
      told_ = world_.stamp();
      flush_errors_owed_ -= flush_errors_owed_ > 0 ? 1 : 0;
    }
    untold_since_ns_ = 0;
    flush_floor_ = flush_refused_;
    return;
  }
  if (untold_since_ns_ != 0 && ticket.begun_ns > untold_since_ns_ + kTellingTakes_ns) {
    fail(Rule::flush_means_flush, "a member refused a flush, and nobody was told");
    return;
  }
  if (ticket.begun_ns > device_error_ns_ + kTellingTakes_ns) flush_errors_owed_ = 0;
  std::vector<u32> left;
  for (const u32 at : unflushed_) {
    State& state = states_[at];
    bool open = false;
    for (Version& version : state.versions) {
      if (version.durable) continue;
      const bool covered = version.high < ticket.begun && version.begun > ticket.flush_floor;
      if (covered && version.acknowledged) {
        version.durable = true;
      } else {
        open = true;
      }
    }
    prune(state);
    state.listed = open;
    if (open) left.push_back(at);
  }
  unflushed_ = std::move(left);
}

// What neither a read nor a power cut can bring back is forgotten.
void Oracle::prune(State& state) {
  if (state.versions.size() < 2) return;
  const u64 oldest_read = active_reads_.empty() ? kUnderWay : *active_reads_.begin();
  std::erase_if(state.versions, [&](const Version& version) {
    const bool undecided = is_undecided(version);
    return std::any_of(state.versions.begin(), state.versions.end(), [&](const Version& other) {
      const u64 low = undecided ? other.begun : other.low;
      return other.durable && !other.discard && &other != &version && version.high <= low &&
             other.high <= oldest_read;
    });
  });
}

}  // namespace dmr::sim

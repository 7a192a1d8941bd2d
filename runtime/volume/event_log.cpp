// SPDX-License-Identifier: GPL-2.0-or-later
// Names and sentences of events, and how many of them the log is given.
#include "runtime/volume/event_log.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "runtime/volume/log_line.h"

namespace dmr::runtime {

const char* name_of(EventKind kind) {
  switch (kind) {
    case EventKind::remapped:
      return "remapped";
    case EventKind::relocated:
      return "relocated";
    case EventKind::lost:
      return "lost";
    case EventKind::recovered:
      return "recovered";
    case EventKind::returned:
      return "returned";
    case EventKind::weak:
      return "weak";
    case EventKind::spare_block_bad:
      return "spare_block_bad";
    case EventKind::spare_low:
      return "spare_low";
    case EventKind::spare_exhausted:
      return "spare_exhausted";
    case EventKind::member_failed:
      return "member_failed";
    case EventKind::breaker_open:
      return "breaker_open";
    case EventKind::breaker_closed:
      return "breaker_closed";
    case EventKind::device_error:
      return "device_error";
    case EventKind::flush_failed:
      return "flush_failed";
    case EventKind::metadata_repaired:
      return "metadata_repaired";
    case EventKind::metadata_failed:
      return "metadata_failed";
    case EventKind::pool_exhausted:
      return "pool_exhausted";
    case EventKind::scrub_ended:
      return "scrub_ended";
    case EventKind::scrub_paused:
      return "scrub_paused";
  }
  return "unknown";
}

const char* name_of(IoStatus status) {
  switch (status) {
    case IoStatus::ok:
      return "ok";
    case IoStatus::medium:
      return "medium";
    case IoStatus::unspecified:
      return "unspecified";
    case IoStatus::transport:
      return "transport";
    case IoStatus::timeout:
      return "timeout";
    case IoStatus::offline:
      return "offline";
    case IoStatus::no_space:
      return "no_space";
    case IoStatus::read_only:
      return "read_only";
    case IoStatus::unsupported:
      return "unsupported";
    case IoStatus::again:
      return "again";
    case IoStatus::resource:
      return "resource";
  }
  return "unknown";
}

std::string text_of(const Event& event) {
  const std::string member =
      event.member == kMain ? std::string("main") : fmt::format("spare {}", event.member);
  const std::string where =
      event.sectors > 1 ? fmt::format("{} sectors from {}", event.sectors, event.sector.value)
                        : fmt::format("sector {}", event.sector.value);
  const std::string why =
      event.status == IoStatus::ok ? std::string() : fmt::format(" ({})", name_of(event.status));
  switch (event.kind) {
    case EventKind::remapped:
      return fmt::format("{}: {} refused a write{}; the data is on a spare", where, member, why);
    case EventKind::relocated:
      return where + ": moved to a spare while readable";
    case EventKind::lost:
      return fmt::format("{}: lost{}; reads fail until {} written", where, why,
                         event.sectors > 1 ? "they are" : "it is");
    case EventKind::recovered:
      return where + ": written again, no longer lost";
    case EventKind::returned:
      return where + ": went home to main";
    case EventKind::weak:
      return where + ": weak, read only after retries";
    case EventKind::spare_block_bad:
      return fmt::format("{}: {} refused data there{}; set aside", member, where, why);
    case EventKind::spare_low:
      return "less than an eighth of the spare blocks is free";
    case EventKind::spare_exhausted:
      if (event.sectors == 0) return "no spare block is left: refused writes will fail";
      return where + ": the metadata has no room to record what became of it";
    case EventKind::member_failed:
      return member + ": retired after an error" + why;
    case EventKind::breaker_open:
      return member + ": fails as a whole" + why + "; nothing is marked";
    case EventKind::breaker_closed:
      return member + ": answers again";
    case EventKind::device_error:
      return fmt::format("{}: {} failed, not because of the medium{}", member, where, why);
    case EventKind::flush_failed:
      return member + ": refused a flush" + why;
    case EventKind::metadata_repaired:
      return member + ": damaged metadata was rewritten from a good copy";
    case EventKind::metadata_failed:
      return "metadata could not be written" + why + "; the volume is read-only";
    case EventKind::pool_exhausted:
      return "slow work had to wait for a pool";
    case EventKind::scrub_ended:
      return fmt::format("the scrub has come to the volume's end: {} sectors looked at",
                         event.sectors);
    case EventKind::scrub_paused:
      return fmt::format("the scrub is paused at sector {}: {} does not answer{}",
                         event.sector.value, member, why);
  }
  return "unknown event";
}

void EventLog::add(const Event& event) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto ms =
      static_cast<u64>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
  const std::lock_guard lock(mutex_);
  LoggedEvent& entry = kept_[count_ % kKept];
  entry = {.number = ++count_, .unix_time_ms = ms, .event = event};
  // Who opens the volume says so itself, with each place.
  if (event.kind != EventKind::metadata_repaired) write_line(entry);
}

void EventLog::write_line(const LoggedEvent& entry) {
  const u64 second = entry.unix_time_ms / 1000;
  if (second != second_) {
    if (suppressed_ > 0) {
      log_line(
          fmt::format("dm-remap: {}: {} more events, see `dm-remap events`", volume_, suppressed_));
    }
    second_ = second;
    lines_ = 0;
    suppressed_ = 0;
  }
  if (++lines_ > kLinesPerSecond) {
    ++suppressed_;
    return;
  }
  log_line(fmt::format("dm-remap: {}: {}", volume_, text_of(entry.event)));
}

std::vector<LoggedEvent> EventLog::since(u64 after, std::size_t limit) const {
  const std::lock_guard lock(mutex_);
  const u64 oldest = count_ > kKept ? count_ - kKept : 0;
  std::vector<LoggedEvent> result;
  for (u64 n = std::max(after, oldest); n < count_ && result.size() < limit; ++n) {
    result.push_back(kept_[n % kKept]);
  }
  return result;
}

u64 EventLog::newest() const {
  const std::lock_guard lock(mutex_);
  return count_;
}

}  // namespace dmr::runtime

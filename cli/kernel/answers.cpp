// SPDX-License-Identifier: GPL-2.0-or-later
// Reads lines of words. An answer that is not understood comes from a module of another version.
#include "cli/kernel/answers.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <unordered_map>

#include <fmt/format.h>

namespace dmr::cli {
namespace {

using Words = std::vector<std::string_view>;

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    if (end > 0) parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

std::optional<u64> number_of(std::string_view word, int base = 10) {
  u64 number = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number, base);
  if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
  return number;
}

// Takes the words of one line in their order; notes when one is not what it should be.
class AnswerReader {
 public:
  explicit AnswerReader(std::string_view line) : words_(split(line, ' ')) {}

  std::string_view word() {
    if (next_ >= words_.size()) return fail();
    return words_[next_++];
  }
  u64 number() {
    const auto read = number_of(word());
    if (!read) fail();
    return read.value_or(0);
  }
  bool take(std::string_view wanted) {
    if (next_ >= words_.size() || words_[next_] != wanted) return false;
    ++next_;
    return true;
  }
  void expect(std::string_view wanted) {
    if (!take(wanted)) fail();
  }
  std::string_view fail() {
    good_ = false;
    return "";
  }
  [[nodiscard]] bool ended_well() const { return good_ && next_ == words_.size(); }

 private:
  Words words_;
  std::size_t next_ = 0;
  bool good_ = true;
};

std::unexpected<Error> not_understood(std::string_view line) {
  return failed(
      fmt::format("the module's answer `{}` is not understood; install the module and the command "
                  "of one version",
                  line));
}

// `<key> <value>` a line. What is missing or no number is remembered, and reads as 0.
class Figures {
 public:
  explicit Figures(std::string_view answer) {
    for (const std::string_view line : split(answer, '\n')) {
      const std::size_t space = line.find(' ');
      if (space == std::string_view::npos) {
        note(line);
        continue;
      }
      value_.emplace(line.substr(0, space), line.substr(space + 1));
    }
  }
  std::string text(const std::string& key) {
    const auto found = value_.find(key);
    if (found != value_.end()) return found->second;
    note(key);
    return "";
  }
  u64 number(const std::string& key) {
    const std::string word = text(key);
    const auto read = number_of(word);
    if (!read) note(key + " " + word);
    return read.value_or(0);
  }
  bool flag(const std::string& key) { return number(key) != 0; }
  PoolCounters pool(const std::string& name) {
    PoolCounters pool;
    pool.size = static_cast<u32>(number(name + "_size"));
    pool.in_use = static_cast<u32>(number(name + "_in_use"));
    pool.high_water = static_cast<u32>(number(name + "_high_water"));
    pool.exhausted = number(name + "_exhausted");
    return pool;
  }
  void note(std::string_view what) {
    if (strange_.empty()) strange_ = what;
  }
  // The first line or figure that was wrong or missing.
  [[nodiscard]] const std::string& strange() const { return strange_; }

 private:
  std::unordered_map<std::string, std::string> value_;
  std::string strange_;
};

MemberStats member_of(Figures& figures, u32 number) {
  const std::string prefix = fmt::format("member_{}_", number);
  MemberStats member;
  const std::string state = figures.text(prefix + "state");
  const auto known = runtime::member_state_of(state);
  if (!known) figures.note("state " + state);
  member.state = known.value_or(format::MemberState::removed);
  member.present = figures.text(prefix + "device") != "-";
  member.breaker_open = figures.flag(prefix + "breaker_open");
  member.sectors = figures.number(prefix + "sectors");
  constexpr std::array<const char*, 2> kOps{"read", "write"};
  constexpr std::array<const char*, kErrorClasses> kClasses{"none", "medium", "unspecified",
                                                            "device", "not_disk"};
  for (u32 op = 0; op < kOps.size(); ++op) {
    for (u32 kind = 1; kind < kErrorClasses; ++kind) {
      member.errors[op][kind] =
          figures.number(fmt::format("{}{}_errors_{}", prefix, kOps[op], kClasses[kind]));
    }
  }
  if (number == kMain) return member;
  member.data_blocks = figures.number(prefix + "data_blocks");
  member.used_blocks = figures.number(prefix + "used_blocks");
  member.free_blocks = figures.number(prefix + "free_blocks");
  member.bad_blocks = figures.number(prefix + "bad_blocks");
  return member;
}

void take_engine(Figures& figures, VolumeStats& stats) {
  stats.writable = figures.flag("writable");
  stats.read_only_by_failure = figures.flag("read_only_by_failure");
  stats.restored_older = figures.flag("restored_older");
  stats.volume_sectors = figures.number("volume_sectors");
  stats.block_sectors = static_cast<u32>(figures.number("block_sectors"));
  stats.remapped_blocks = figures.number("remapped_blocks");
  stats.lost_sectors = figures.number("lost_sectors");
  stats.runs = figures.number("runs");
  stats.weak_blocks = figures.number("weak_blocks");
  stats.index_bytes = figures.number("index_bytes");
  stats.recovered_reads = figures.number("recovered_reads");
  stats.failed_reads = figures.number("failed_reads");
  stats.redirected_writes = figures.number("redirected_writes");
  stats.retried_writes = figures.number("retried_writes");
  stats.failed_writes = figures.number("failed_writes");
  stats.relocated_blocks = figures.number("relocated_blocks");
  stats.returned_blocks = figures.number("returned_blocks");
  stats.held_requests = figures.number("held_requests");
  stats.commits = figures.number("commits");
  stats.commit_records = figures.number("commit_records");
  stats.commit_flushes = figures.number("commit_flushes");
  stats.checkpoints = figures.number("checkpoints");
  stats.health_records = figures.pool("pool_health");
  stats.io_contexts = figures.pool("pool_io");
  stats.work_items = figures.pool("pool_work");
  stats.buffers = figures.pool("pool_buffers");
}

void take_scrub(Figures& figures, runtime::VolumeReport& report) {
  ScrubStats& scrub = report.stats.scrub;
  const std::string state = figures.text("scrub_state");
  const auto known = runtime::scrub_state_of(state);
  if (!known) figures.note("scrub_state " + state);
  scrub.state = known.value_or(ScrubState::idle);
  scrub.position = Sector(figures.number("scrub_position"));
  scrub.passes = figures.number("scrub_passes");
  scrub.read_sectors = figures.number("scrub_read_sectors");
  scrub.skipped_sectors = figures.number("scrub_skipped_sectors");
  scrub.failed_reads = figures.number("scrub_failed_reads");
  scrub.unreadable_blocks = figures.number("scrub_unreadable_blocks");
  report.scrub_kib_per_s = figures.number("scrub_kib_per_s");
}

void take_io(Figures& figures, runtime::IoCounters& io) {
  io.reads = figures.number("reads");
  io.writes = figures.number("writes");
  io.flushes = figures.number("flushes");
  io.discards = figures.number("discards");
  io.write_zeroes = figures.number("write_zeroes");
  io.read_bytes = figures.number("read_sectors") * kSectorBytes;
  io.write_bytes = figures.number("written_sectors") * kSectorBytes;
  io.fast_pieces = figures.number("fast_requests");
  io.slow_pieces = figures.number("slow_requests");
  io.errors = figures.number("failed_requests");
  io.failed_reads = figures.number("failed_read_requests");
  io.failed_writes = figures.number("failed_write_requests");
}

// Both lists of names belong to the runtime and begin with 0.
template <class Named, std::size_t kCount>
Named named(std::string_view word, AnswerReader& line) {
  for (std::size_t i = 0; i < kCount; ++i) {
    const auto value = static_cast<Named>(i);
    if (word == runtime::name_of(value)) return value;
  }
  line.fail();
  return Named{};
}
constexpr std::size_t kIoStatuses = static_cast<std::size_t>(IoStatus::resource) + 1;

// none, all, or the mask as 32 hexadecimal digits
void read_lost(std::string_view word, Home& home, AnswerReader& line) {
  if (word == "none") return;
  home.lost = LostKind::all;
  if (word == "all") return;
  home.lost = LostKind::some;
  const auto high = word.size() == 32 ? number_of(word.substr(0, 16), 16) : std::nullopt;
  const auto low = word.size() == 32 ? number_of(word.substr(16), 16) : std::nullopt;
  if (!high || !low) line.fail();
  home.mask = {.low = low.value_or(0), .high = high.value_or(0)};
}

}  // namespace

Expected<runtime::VolumeReport> parse_report(std::string_view stats,
                                             std::vector<std::string>& numbers) {
  Figures figures(stats);
  runtime::VolumeReport report;
  report.set = figures.text("set");
  report.read_only = figures.flag("read_only");
  report.flush_refused = figures.text("state") == "flush-failed";
  report.logical_block_bytes = static_cast<u32>(figures.number("logical_block_bytes"));
  report.newest_event = figures.number("events_total");
  take_engine(figures, report.stats);
  take_scrub(figures, report);
  take_io(figures, report.io);
  const u64 members = figures.number("members");
  if (members == 0 || members > kMaxMembers) figures.note(fmt::format("members {}", members));
  for (u32 m = 0; m < members && m < kMaxMembers; ++m) {
    report.stats.member[m] = member_of(figures, m);
    const std::string device = figures.text(fmt::format("member_{}_device", m));
    numbers.push_back(device == "-" ? "" : device);
  }
  report.stats.members = static_cast<u32>(numbers.size());
  if (!figures.strange().empty()) return not_understood(figures.strange());
  return report;
}

Expected<MapPage> parse_map(std::string_view answer) {
  MapPage page;
  bool ended = false;
  for (const std::string_view text : split(answer, '\n')) {
    AnswerReader line(text);
    if (ended) line.fail();
    if (line.take("end")) {
      ended = page.done = true;
    } else if (line.take("more")) {
      ended = true;
      page.cursor = line.number();
    } else {
      Run run{.begin = Block(line.number()), .length = line.number(), .home = {}};
      run.home.member = static_cast<Member>(line.number());
      run.home.spare = SpareBlock(line.number());
      read_lost(line.word(), run.home, line);
      if (run.length == 0 || run.home.member >= kMaxMembers) line.fail();
      page.runs.push_back(run);
    }
    if (!line.ended_well()) return not_understood(text);
  }
  if (!ended) return not_understood("map");
  return page;
}

Expected<EventPage> parse_events(std::string_view answer) {
  EventPage page;
  for (const std::string_view text : split(answer, '\n')) {
    AnswerReader line(text);
    if (line.take("newest")) {
      page.newest = line.number();
    } else {
      runtime::LoggedEvent entry{
          .number = line.number(), .unix_time_ms = line.number(), .event = {}};
      entry.event.kind = named<EventKind, kEventKinds>(line.word(), line);
      entry.event.member = static_cast<Member>(line.number());
      entry.event.sector = Sector(line.number());
      entry.event.sectors = line.number();
      entry.event.status = named<IoStatus, kIoStatuses>(line.word(), line);
      page.events.push_back(entry);
    }
    if (!line.ended_well()) return not_understood(text);
  }
  return page;
}

Expected<MoveAnswer> parse_move(std::string_view answer) {
  AnswerReader line(answer);
  MoveAnswer moved;
  line.expect("changed");
  moved.changed = line.number();
  line.expect("unchanged");
  moved.unchanged = line.number();
  line.expect("lost");
  moved.lost = line.number();
  if (line.take("failed")) {
    moved.error = static_cast<int>(line.number());
    line.expect("at");
    moved.bad_sector = line.number();
  }
  if (line.take("rest")) moved.rest = line.number();
  if (!line.ended_well()) return not_understood(answer);
  return moved;
}

Expected<void> parse_ok(std::string_view answer) {
  AnswerReader line(answer);
  line.expect("ok");
  if (!line.ended_well()) return not_understood(answer);
  return {};
}

}  // namespace dmr::cli

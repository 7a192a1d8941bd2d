// SPDX-License-Identifier: GPL-2.0-or-later
// `dm-remap scrub`: reads a whole running volume behind its users, to find bad places early.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <poll.h>
#include <string>

#include <fmt/format.h>

#include "cli/app/interruption.h"
#include "cli/app/output.h"
#include "cli/app/progress_line.h"
#include "cli/app/sizes.h"
#include "cli/client/session.h"
#include "cli/commands/commands.h"
#include "cli/status/scrub_text.h"
#include "core/volume/tuning.h"

namespace dmr::cli {
namespace {

using nlohmann::json;

constexpr CommandText kScrubText{
    .name = "scrub",
    .group = "Inspect and repair",
    .summary = "Read a whole running volume to find bad places early",
    .explanation =
        "A bad place that nobody reads is found only when somebody needs it. A scrub reads every\n"
        "block where it lives, on main or on a spare, while the volume is used. What does not\n"
        "come at once is tried again piece by piece; what comes with effort only is moved to a\n"
        "spare while it still comes, and what never comes is lost, sector by sector: `map`\n"
        "lists it.\n"
        "\n"
        "  start    begin a pass, or go on with a paused one\n"
        "  pause    rest until `start`\n"
        "  stop     end the pass; what it has found stays\n"
        "  status   tell how far it is and what it has found\n"
        "\n"
        "It runs in the volume, not in this command: without --wait the command ends at once. It\n"
        "reads at most 32 MiB a second (--rate), and takes half of a busy disk's time at most. A\n"
        "pass ends with the volume: after the next start of the volume, --from goes on with it.\n"
        "A main that does not answer at all pauses it; a place that only times out is passed\n"
        "over, and `events` tells it. Nothing is marked then.",
    .examples =
        "  dm-remap scrub tank start                      and look in later with `status`\n"
        "  dm-remap scrub tank start --rate 100M --wait   once a month, by a timer\n"
        "  dm-remap scrub tank start --from 1953525168    on where an earlier one was"};

constexpr u64 kNowhere = ~u64{0};
constexpr u64 kKiB = 1024;
constexpr int kLookMilliseconds = 250;
constexpr double kSpeedSeconds = 5;  // before that a speed is no more than a guess

struct ScrubOptions {
  std::string name;
  std::string action;
  u64 from = kNowhere;
  std::string rate;  // bytes a second
  bool wait = false;
  bool json = false;
};

Expected<void> check_scrub(const ScrubOptions& options) {
  const bool is_start = options.action == "start";
  if (options.from != kNowhere && !is_start) return misused("--from goes with `start`");
  if (!options.rate.empty() && !is_start) return misused("--rate goes with `start`");
  if (options.wait && !is_start && options.action != "status") {
    return misused("--wait goes with `start` and `status`");
  }
  return {};
}

// The rate in the engine's unit; its limits are told in the unit of the command line.
Expected<u64> kib_per_s(const std::string& rate) {
  const u64 bytes = std::stoull(rate);
  const TunableRange& range = kTunableRange[static_cast<u32>(Tunable::scrub_kib_per_s)];
  if (range.allows(bytes / kKiB)) return bytes / kKiB;
  return misused(fmt::format("--rate is {} to {} a second, not {}",
                             binary_size(range.lowest * kKiB), binary_size(range.highest * kKiB),
                             binary_size(bytes)));
}

Expected<json> order_of(const ScrubOptions& options) {
  json order{{"action", options.action}};
  if (options.from != kNowhere) order["from"] = options.from;
  if (!options.rate.empty()) {
    const auto rate = kib_per_s(options.rate);
    if (!rate) return std::unexpected(rate.error());
    order["kib_per_s"] = *rate;
  }
  return order;
}

u64 scrubbed(const json& status, const char* key) { return status.at("scrub").at(key).get<u64>(); }

u64 bytes_left(const json& status) {
  return (status.at("volume_sectors").get<u64>() - scrubbed(status, "position")) * kSectorBytes;
}

std::string headline(const json& status) {
  const std::string percent = scrub_percent(status);
  switch (scrub_phase(status)) {
    case ScrubPhase::never:
      return "no scrub since the volume was started";
    case ScrubPhase::running:
      return painted("scrub running", Colour::green) + ", " + percent + " done";
    case ScrubPhase::held:
      return painted("scrub held", Colour::yellow) + " at " + percent +
             " until the volume is resumed";
    case ScrubPhase::paused:
      return painted("scrub paused", Colour::yellow) + " at " + percent;
    case ScrubPhase::stopped:
      return "scrub stopped at " + percent;
    case ScrubPhase::ended:
      return "scrub ended, the volume has been read to its end";
  }
  return "";
}

std::string position_text(const json& status) {
  const u64 position = scrubbed(status, "position");
  const u64 seen = scrubbed(status, "read_sectors") + scrubbed(status, "skipped_sectors");
  std::string text =
      fmt::format("sector {} of {}", position, status.at("volume_sectors").get<u64>());
  if (seen < position) text += fmt::format(", begun at sector {}", position - seen);
  return text;
}

void print_line(const char* title, const std::string& text) {
  fmt::print("  {:<11}{}\n", title, text);
}

void print_scrub(const json& status) {
  const std::string name = status.at("name").get<std::string>();
  const ScrubPhase phase = scrub_phase(status);
  const u64 rate = scrubbed(status, "kib_per_s") * kKiB;
  fmt::print("{}: {}\n", painted(name, Colour::bold), headline(status));
  if (phase == ScrubPhase::never) {
    print_line("Do now", fmt::format("`dm-remap scrub {} start` reads all {}, at most {} a second",
                                     name, binary_size(bytes_left(status)), binary_size(rate)));
    return;
  }
  print_line("Position", position_text(status));
  if (phase == ScrubPhase::running) {
    print_line("Speed", fmt::format("at most {} a second, so at least {} to go", binary_size(rate),
                                    duration_text(bytes_left(status) / rate)));
  }
  print_line("Found", scrub_findings(status));
  if (scrubbed(status, "unreadable_blocks") > 0 && status.at("writable").get<bool>()) {
    print_line("Do now", fmt::format("`dm-remap map {0}` lists the lost sectors, `dm-remap events "
                                     "{0}` what failed otherwise",
                                     name));
  }
  if (const u64 skipped = scrubbed(status, "skipped_sectors"); skipped > 0) {
    print_line("Left out",
               fmt::format("{} lost before, or on a spare that is missing or does not answer",
                           counted(skipped, "sector", "sectors")));
  }
  print_line("Passes", fmt::format("{} came to the end since the volume was started",
                                   grouped(scrubbed(status, "passes"))));
  if (phase == ScrubPhase::held) {
    print_line("Go on", fmt::format("dmsetup resume {}", name));
  } else if (phase == ScrubPhase::paused) {
    print_line("Go on", fmt::format("dm-remap scrub {} start", name));
  } else if (phase == ScrubPhase::stopped) {
    print_line("Go on", fmt::format("dm-remap scrub {} start --from {}", name,
                                    scrubbed(status, "position")));
  }
}

void print_report(const json& status, bool as_json) {
  if (!as_json) return print_scrub(status);
  Json report{{"name", status.at("name").get<std::string>()},
              {"volume_sectors", status.at("volume_sectors").get<u64>()}};
  for (const char* key : {"state", "position", "passes", "read_sectors", "skipped_sectors",
                          "failed_reads", "unreadable_blocks", "kib_per_s"}) {
    report[key] = Json(status.at("scrub").at(key));
  }
  print_json(report);
}

// What a terminal shows during --wait: how far, how fast, how long still.
class Watch {
 public:
  void show(const json& status) {
    if (!line_.is_wanted()) return;
    const auto now = std::chrono::steady_clock::now();
    const u64 position = scrubbed(status, "position");
    if (!has_begun_ || position < first_) {
      has_begun_ = true;
      began_ = now;
      first_ = position;
    }
    const std::chrono::duration<double> took = now - began_;
    const u64 volume_sectors = status.at("volume_sectors").get<u64>();
    std::string text = fmt::format("{}  {} of {}", progress_bar(scrub_part(status)),
                                   sectors_size(position), sectors_size(volume_sectors));
    if (took.count() > kSpeedSeconds && position > first_) {
      const double speed = static_cast<double>((position - first_) * kSectorBytes) / took.count();
      const double left_s = static_cast<double>(bytes_left(status)) / speed;
      text += fmt::format(", {} a second, {} to go", binary_size(static_cast<u64>(speed)),
                          duration_text(static_cast<u64>(left_s)));
    }
    if (const u64 bad = scrubbed(status, "unreadable_blocks"); bad > 0) {
      text += fmt::format(", {}", counted(bad, "unreadable block", "unreadable blocks"));
    }
    line_.show(text);
  }

 private:
  ProgressLine line_;
  bool has_begun_ = false;
  std::chrono::steady_clock::time_point began_;
  u64 first_ = 0;
};

bool is_under_way(const json& status) {
  const ScrubPhase phase = scrub_phase(status);
  return phase == ScrubPhase::running || phase == ScrubPhase::held;
}

// As long as the scrub runs or is held; its last status, also when a signal came.
Expected<json> wait_for_end(Session& session, json status, const Interruption& interruption) {
  Watch watch;
  while (is_under_way(status) && !interruption.pending()) {
    watch.show(status);
    poll(nullptr, 0, kLookMilliseconds);
    auto next = session.status();
    // A volume that is suspended tells nothing, and its scrub goes on with the resume.
    if (!next && next.error().temporary) continue;
    if (!next) {
      const u64 position = scrubbed(status, "position");
      return failed(fmt::format(
          "{}; the scrub was at sector {}, and when the volume runs again `dm-remap scrub {} "
          "start --from {}` goes on there",
          next.error().message, position, session.name(), position));
    }
    status = std::move(*next);
  }
  return status;
}

// What the event behind `last` says that paused it here; "" when somebody did.
Expected<std::string> cause_of_pause(Session& session, u64 position, u64 last) {
  std::string text;
  while (true) {
    const auto page = session.events(last);
    if (!page) return std::unexpected(page.error());
    for (const json& event : page->at("events")) {
      last = event.at("number").get<u64>();
      const bool is_it = event.at("kind") == "scrub_paused" && event.at("sector") == position;
      if (is_it) text = event.at("text").get<std::string>();
      if (event.at("kind") == "scrub_ended") text.clear();  // it was in another pass
    }
    if (page->at("events").empty() || last >= page->at("newest").get<u64>()) return text;
  }
}

// Whether what was waited for has come; `seen`: the newest event that cannot be why not.
Expected<Exit> judge(Session& session, const json& status, u64 seen) {
  const u64 position = scrubbed(status, "position");
  const std::string& name = session.name();
  switch (scrub_phase(status)) {
    case ScrubPhase::running:
    case ScrubPhase::held:
    case ScrubPhase::ended:
      return Exit::ok;
    case ScrubPhase::never:
      return failed(fmt::format("no scrub of volume `{}` is under way", name));
    case ScrubPhase::stopped:
      return failed(
          fmt::format("volume `{}`: the scrub was stopped at sector {}; `dm-remap scrub "
                      "{} start --from {}` goes on",
                      name, position, name, position));
    case ScrubPhase::paused:
      break;
  }
  const auto cause = cause_of_pause(session, position, seen);
  if (!cause) return std::unexpected(cause.error());
  return failed(fmt::format(
      "volume `{}`: {}; `dm-remap scrub {} start` goes on", name,
      cause->empty() ? fmt::format("the scrub was paused at sector {}", position) : *cause, name));
}

Expected<Exit> scrub(const ScrubOptions& options) {
  if (auto good = check_scrub(options); !good) return std::unexpected(good.error());
  const auto order = order_of(options);
  if (!order) return std::unexpected(order.error());
  auto session = Session::open(options.name);
  if (!session) return std::unexpected(session.error());
  auto status = session->status();
  if (!status) return std::unexpected(status.error());
  // Unless it is paused already, and nothing is ordered: that may have been long ago.
  const bool is_paused = options.action == "status" && scrub_phase(*status) == ScrubPhase::paused;
  const u64 seen = is_paused ? 0 : status->at("newest_event").get<u64>();
  if (options.action != "status") {
    auto ordered = session->scrub(*order);
    if (!ordered) return std::unexpected(ordered.error());
    (*status)["scrub"] = std::move(*ordered);
  }
  if (!options.wait) {
    print_report(*status, options.json);
    return Exit::ok;
  }
  Interruption interruption;
  status = wait_for_end(*session, std::move(*status), interruption);
  if (!status) return std::unexpected(status.error());
  print_report(*status, options.json);
  if (is_under_way(*status)) {
    (void)std::fflush(stdout);
    fmt::print(stderr, "dm-remap: the scrub goes on; `dm-remap scrub {} stop` ends it\n",
               options.name);
  }
  interruption.obey();
  return judge(*session, *status, seen);
}

}  // namespace

void add_scrub(CommandLine& line) {
  Command& command = line.add(kScrubText);
  const auto options = std::make_shared<ScrubOptions>();
  add_name(command, options->name);
  add_choice(command, "ACTION", options->action, {"start", "pause", "stop", "status"},
             "What it is to do")
      ->required();
  command.add_option("--from", options->from, "Where a new pass begins, in sectors of 512 bytes")
      ->type_name("SECTOR");
  command
      .add_option("--rate", options->rate,
                  "Read at most so much a second from now on; of a running scrub too")
      ->type_name("SIZE")
      ->transform(size_in_bytes());
  command.add_flag("--wait", options->wait, "Stay until the pass has ended; Ctrl-C leaves it be");
  add_json(command, options->json);
  line.on_run(command, [options] { return scrub(*options); });
}

}  // namespace dmr::cli

// SPDX-License-Identifier: GPL-2.0-or-later
// `dm-remap events`: what happened to a running volume since it was started.
#include <chrono>
#include <cstdio>
#include <ctime>
#include <memory>
#include <poll.h>
#include <string>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "cli/app/output.h"
#include "cli/client/session.h"
#include "cli/commands/commands.h"

namespace dmr::cli {
namespace {

constexpr CommandText kEventsText{
    .name = "events",
    .group = "Inspect and repair",
    .summary = "Show what happened to a running volume",
    .explanation =
        "Prints the last events since the volume was started, oldest first: blocks that were "
        "moved,\n"
        "sectors that were lost, devices that failed. A server keeps the last 1024, the kernel "
        "256.\n"
        "With --follow it goes on until the volume is stopped, or Ctrl-C. With --json each event "
        "is\n"
        "one line.",
    .examples =
        "  dm-remap events tank\n"
        "  dm-remap events tank --follow --json | jq -r .text"};

constexpr int kPollMilliseconds = 250;

struct EventsOptions {
  std::string name;
  bool follow = false;
  bool json = false;
};

Colour colour_of(const std::string& kind) {
  if (kind == "lost" || kind == "member_failed" || kind == "spare_exhausted" ||
      kind == "metadata_failed" || kind == "flush_failed" || kind == "device_error") {
    return Colour::red;
  }
  if (kind == "recovered" || kind == "returned" || kind == "breaker_closed" ||
      kind == "metadata_repaired" || kind == "scrub_ended") {
    return Colour::green;
  }
  return Colour::yellow;
}

void print_event(const nlohmann::json& event, bool as_json) {
  if (as_json) {
    fmt::print("{}\n", event.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    return;
  }
  const u64 time_ms = event.at("time_ms").get<u64>();
  const std::tm local = fmt::localtime(static_cast<std::time_t>(time_ms / 1000));
  fmt::print("{:%Y-%m-%d %H:%M:%S}.{:03}  {}  {}\n", local, time_ms % 1000,
             painted(fmt::format("{:<17}", event.at("kind").get<std::string>()),
                     colour_of(event.at("kind").get<std::string>())),
             event.at("text").get<std::string>());
}

// Prints what came after `last`, and moves it on.
Expected<void> print_news(Session& session, u64& last, const EventsOptions& options) {
  while (true) {
    const auto page = session.events(last);
    if (!page) return std::unexpected(page.error());
    const auto& list = page->at("events");
    for (const auto& event : list) {
      const u64 number = event.at("number").get<u64>();
      if (last != 0 && number > last + 1) {
        fmt::print(stderr, "dm-remap: {} events came too fast and are not kept\n",
                   number - last - 1);
      }
      if (last == 0 && number > 1) {
        fmt::print(stderr, "dm-remap: {} not kept\n",
                   counted(number - 1, "earlier event is", "earlier events are"));
      }
      print_event(event, options.json);
      last = number;
    }
    std::fflush(stdout);
    if (list.empty() || last >= page->at("newest").get<u64>()) return {};
  }
}

Expected<Exit> events(const EventsOptions& options) {
  auto session = Session::open(options.name);
  if (!session) return std::unexpected(session.error());
  u64 last = 0;
  while (true) {
    if (auto printed = print_news(*session, last, options); !printed) {
      // While it was being followed it may be stopped; that is no failure.
      const bool has_ended = options.follow && !session->is_running();
      if (has_ended) return Exit::ok;
      return std::unexpected(printed.error());
    }
    if (!options.follow) return Exit::ok;
    if (std::ferror(stdout) != 0) return failed("the output could not be written");
    poll(nullptr, 0, kPollMilliseconds);
  }
}

}  // namespace

void add_events(CommandLine& line) {
  Command& command = line.add(kEventsText);
  const auto options = std::make_shared<EventsOptions>();
  add_name(command, options->name);
  command.add_flag("-f,--follow", options->follow, "Go on with events as they happen");
  add_json(command, options->json);
  line.on_run(command, [options] { return events(*options); });
}

}  // namespace dmr::cli

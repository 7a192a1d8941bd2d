// SPDX-License-Identifier: GPL-2.0-or-later
// `dm-remap check`: examines the metadata of a stopped volume and changes nothing.
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "cli/app/output.h"
#include "cli/app/status_text.h"
#include "cli/commands/commands.h"
#include "cli/metadata/describe.h"
#include "cli/metadata/stopped_set.h"

namespace dmr::cli {
namespace {

constexpr CommandText kText{
    .name = "check",
    .group = "Inspect and repair",
    .summary = "Examine the metadata of a stopped volume",
    .explanation =
        "Reads every block of metadata on the devices, in whatever order they are given, and says\n"
        "what is damaged, where, and what follows from it. Writes nothing: `start` repairs what\n"
        "has a good copy left. Some of the members are enough; main adds the check of its size.\n"
        "The exit status is 4 when anything is wrong.",
    .examples =
        "  dm-remap check /dev/sdc1\n"
        "  dm-remap check /dev/sdb /dev/sdc1 /dev/sdd1 --json"};

struct Options {
  std::vector<std::string> devices;
  bool json = false;
};

struct Told {
  std::optional<Finding> finding;
  FindingText text;
};

std::vector<Told> texts_of(const StoppedSet& set) {
  std::vector<Told> texts;
  for (const Finding& finding : set.findings.all()) {
    // That the user did not name a member is no finding about the volume.
    if (finding.kind == FindingKind::member_missing && set.paths[finding.member].empty()) continue;
    texts.push_back({.finding = finding, .text = describe(finding, set.paths)});
  }
  if (set.status != Status::ok) {
    const bool is_told = std::any_of(texts.begin(), texts.end(), [](const Told& told) {
      return told.text.weight == Weight::fatal;
    });
    if (!is_told) {
      FindingText text{.kind = "not_loaded",
                       .weight = Weight::fatal,
                       .what = fmt::format("the metadata cannot be read: {}", text_of(set.status)),
                       .consequence = "the volume does not start"};
      texts.push_back({.finding = std::nullopt, .text = std::move(text)});
    }
  }
  return texts;
}

void print_json_result(const StoppedSet& set, const std::vector<Told>& texts,
                       const MapModel::Summary& sum, bool healthy) {
  Json devices = Json::array();
  for (std::size_t i = 0; i < set.paths.size(); ++i) {
    Json path = set.paths[i].empty() ? Json(nullptr) : Json(set.paths[i]);
    devices.push_back(
        {{"member", i},
         {"path", path},
         {"state", text_of(static_cast<format::MemberState>(set.superblock.member[i].state))}});
  }
  Json findings = Json::array();
  for (const auto& [finding, text] : texts) {
    Json one{{"kind", text.kind},
             {"weight", text_of(text.weight)},
             {"what", text.what},
             {"consequence", text.consequence}};
    if (finding) {
      one["member"] = finding->member;
      one["copy"] = finding->copy;
      one["sector"] = finding->address.value;
      one["sequence"] = finding->sequence;
    }
    findings.push_back(one);
  }
  print_json({{"name", name_of(set.superblock)},
              {"set", uuid_text(set.superblock.header.set)},
              {"healthy", healthy},
              {"startable", set.status == Status::ok},
              {"members", devices},
              {"runs", sum.runs},
              {"remapped_blocks", sum.remapped_blocks},
              {"lost_sectors", sum.lost_sectors},
              {"findings", findings}});
}

void print_text(const StoppedSet& set, const std::vector<Told>& texts, const MapModel::Summary& sum,
                bool healthy) {
  fmt::print("Volume {} ({}), {}\n", painted(name_of(set.superblock), Colour::bold),
             uuid_text(set.superblock.header.set), sectors_size(set.superblock.volume_sectors));
  for (std::size_t i = 0; i < set.paths.size(); ++i) {
    const std::string role = i == 0 ? "main" : fmt::format("spare {}", i);
    const auto state = static_cast<format::MemberState>(set.superblock.member[i].state);
    fmt::print("  {:<8} {}{}\n", role, set.paths[i].empty() ? "not given" : set.paths[i],
               state == format::MemberState::live ? "" : fmt::format(" ({})", text_of(state)));
  }
  if (set.status == Status::ok) {
    fmt::print("  map      {}, {} remapped, {} lost\n", counted(sum.runs, "run", "runs"),
               counted(sum.remapped_blocks, "block", "blocks"),
               counted(sum.lost_sectors, "sector", "sectors"));
  }
  for (const auto& [finding, text] : texts) {
    const Colour colour = text.weight == Weight::note ? Colour::yellow : Colour::red;
    fmt::print("{}: {}; {}\n", painted(text_of(text.weight), colour), text.what, text.consequence);
  }
  fmt::print("{}\n", healthy ? painted("The metadata is sound.", Colour::green)
                             : painted("The metadata is damaged.", Colour::red));
}

Expected<Exit> check(const Options& options) {
  const auto set = open_set(options.devices);
  if (!set) return std::unexpected(set.error());
  load_set(**set);
  const std::vector<Told> texts = texts_of(**set);
  const bool healthy = std::none_of(texts.begin(), texts.end(), [](const Told& told) {
    return told.text.weight != Weight::note;
  });
  const MapModel::Summary sum = (*set)->map.summary((*set)->geometry);
  if (options.json) {
    print_json_result(**set, texts, sum, healthy);
  } else {
    print_text(**set, texts, sum, healthy);
  }
  return healthy ? Exit::ok : Exit::fault_found;
}

}  // namespace

void add_check(CommandLine& line) {
  Command& command = line.add(kText);
  const auto options = std::make_shared<Options>();
  command.add_option("DEV", options->devices, "Members of one volume, in any order")
      ->required()
      ->type_name("");
  add_json(command, options->json);
  line.on_run(command, [options] { return check(*options); });
}

}  // namespace dmr::cli

// SPDX-License-Identifier: GPL-2.0-or-later
// Members and findings, printed.
#include "cli/metadata/report.h"

#include <fmt/format.h>

#include "cli/metadata/describe.h"
#include "runtime/control/volume_report.h"

namespace dmr::cli {

Json json_of_members(const DiskSet& set) {
  const std::vector<std::string> paths = set.paths();
  Json members = Json::array();
  for (std::size_t i = 0; i < paths.size(); ++i) {
    Json path = paths[i].empty() ? Json(nullptr) : Json(paths[i]);
    members.push_back({{"member", i},
                       {"path", path},
                       {"state", runtime::name_of(static_cast<format::MemberState>(
                                     set.superblock.member[i].state))}});
  }
  return {{"name", name_of(set.superblock)},
          {"set", uuid_text(set.superblock.header.set)},
          {"members", members}};
}

Json json_of(const std::vector<Told>& told) {
  Json findings = Json::array();
  for (const auto& [finding, text] : told) {
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
  return findings;
}

void print_members(const DiskSet& set) {
  const std::vector<std::string> paths = set.paths();
  fmt::print("Volume {} ({}), {}\n", painted(name_of(set.superblock), Colour::bold),
             uuid_text(set.superblock.header.set), sectors_size(set.superblock.volume_sectors));
  for (std::size_t i = 0; i < paths.size(); ++i) {
    const std::string role = i == 0 ? "main" : fmt::format("spare {}", i);
    const auto state = static_cast<format::MemberState>(set.superblock.member[i].state);
    fmt::print(
        "  {:<8} {}{}\n", role, paths[i].empty() ? "not given" : paths[i],
        state == format::MemberState::live ? "" : fmt::format(" ({})", runtime::name_of(state)));
  }
}

void print_findings(const std::vector<Told>& told) {
  for (const auto& [finding, text] : told) {
    const Colour colour = text.weight == Weight::note ? Colour::yellow : Colour::red;
    fmt::print("{}: {}; {}\n", painted(text_of(text.weight), colour), text.what, text.consequence);
  }
}

}  // namespace dmr::cli

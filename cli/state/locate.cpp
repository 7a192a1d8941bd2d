// SPDX-License-Identifier: GPL-2.0-or-later
// From names and devices to the members of one volume.
#include "cli/state/locate.h"

#include <algorithm>
#include <map>
#include <optional>

#include <fmt/format.h>

#include "cli/device/member.h"
#include "cli/device/sysfs.h"
#include "cli/state/hints.h"

namespace dmr::cli {
namespace {

struct Spare {
  std::string spec;
  format::Superblock block{};
};

// What the spare says of itself; an error says why it cannot be used.
Expected<Spare> look_at_spare(const std::string& spec) {
  const auto device = open_member("spare", spec, kLook);
  if (!device) return std::unexpected(device.error());
  const Survey found = survey(**device);
  const std::string& path = (*device)->path();
  if (const format::Superblock* newest = found.newest()) {
    return Spare{.spec = absolute_spec(spec), .block = *newest};
  }
  const SuperblockCopy* const intact = found.newest_intact();
  if (intact != nullptr) {
    return failed(fmt::format("spare {}: its superblock cannot be used: {}; {}", path, intact->why,
                              intact->status == Status::wrong_version
                                  ? "use the version of dm-remap that made it"
                                  : "see `dm-remap dump` and give another spare of the volume"));
  }
  if (found.ours()) {
    return failed(
        fmt::format("spare {}: no copy of its superblock is good; start the volume from "
                    "its other spares with --degraded, if it has some",
                    path));
  }
  if (!found.readable()) {
    return failed(
        fmt::format("spare {}: its superblock cannot be read; is it the right device?", path));
  }
  return failed(
      fmt::format("spare {}: holds no superblock of dm-remap; are main and spare swapped, "
                  "or has `dm-remap create` not been run?",
                  path));
}

// Spares of the volume `name` (any name when empty) on the block devices, by set.
std::map<std::string, std::vector<Spare>> search(const std::string& name) {
  std::map<std::string, std::vector<Spare>> sets;
  for (const std::string& path : all_block_devices()) {
    auto spare = look_at_spare(path);
    if (!spare || (!name.empty() && name_of(spare->block) != name)) continue;
    sets[uuid_text(spare->block.header.set)].push_back(std::move(*spare));
  }
  return sets;
}

// A block device with the serial number and size of this volume's main.
std::string search_main(const format::Superblock& superblock) {
  const std::string identity = identity_of(superblock.member[kMain]);
  if (identity.empty()) return "";
  for (const std::string& path : all_block_devices()) {
    const auto device = runtime::Device::open(path, kLook);
    if (device && (*device)->identity() == identity &&
        (*device)->sectors() == superblock.member[kMain].sectors) {
      return path;
    }
  }
  return "";
}

Expected<Located> settle(std::vector<Spare> spares) {
  Located located;
  const Spare* newest = nullptr;
  for (const Spare& spare : spares) {
    if (newest != nullptr && spare.block.header.set != newest->block.header.set) {
      return refused(fmt::format(
          "{} and {} belong to different volumes, `{}` ({}) and `{}` ({}); give the spares of one",
          newest->spec, spare.spec, name_of(newest->block), uuid_text(newest->block.header.set),
          name_of(spare.block), uuid_text(spare.block.header.set)));
    }
    if (newest == nullptr || spare.block.header.sequence > newest->block.header.sequence) {
      newest = &spare;
    }
  }
  located.superblock = newest->block;
  located.members.resize(newest->block.member_count);
  for (const Spare& spare : spares) {
    const Member member = spare.block.own_member;
    if (member >= located.members.size() || !located.members[member].empty()) {
      return refused(fmt::format("{} is not needed: {}", spare.spec,
                                 member >= located.members.size()
                                     ? "the volume has fewer members"
                                     : "it is a copy of " + located.members[member]));
    }
    located.members[member] = spare.spec;
    located.spares.push_back(spare.spec);
  }
  return located;
}

Expected<Located> require_spares(Located located, const Wanted& wanted,
                                 const std::vector<Error>& reasons) {
  if (wanted.degraded) return located;
  for (Member member = 1; member < located.members.size(); ++member) {
    const auto state = static_cast<format::MemberState>(located.superblock.member[member].state);
    if (!located.members[member].empty() || state != format::MemberState::live) continue;
    const std::string why = reasons.empty() ? "" : fmt::format(" ({})", reasons.front().message);
    return refused(
        fmt::format("spare {} of {} of volume `{}` is missing{}; blocks on it would read "
                    "as errors and the others may be stale: --degraded starts without it",
                    member, located.members.size() - 1, name_of(located.superblock), why));
  }
  return located;
}

Expected<Located> from_devices(const Wanted& wanted) {
  if (wanted.main.empty() || wanted.spares.empty()) {
    return misused("--main and --spare go together: give both, or the volume's name alone");
  }
  std::vector<Spare> spares;
  for (const std::string& spec : wanted.spares) {
    auto spare = look_at_spare(spec);
    if (!spare) return std::unexpected(spare.error());
    spares.push_back(std::move(*spare));
  }
  auto located = settle(std::move(spares));
  if (!located) return located;
  const std::string name = name_of(located->superblock);
  if (!wanted.name.empty() && wanted.name != name) {
    return refused(
        fmt::format("the spare {} belongs to volume `{}`, not `{}`; leave the name out "
                    "to start that one",
                    wanted.spares.front(), name, wanted.name));
  }
  located->main = absolute_spec(wanted.main);
  return require_spares(std::move(*located), wanted, {});
}

// Spares at the places of the hint that still are of its set; why the others are not.
std::vector<Spare> from_hint(const Hint& hint, std::vector<Error>& reasons) {
  std::vector<Spare> spares;
  for (const std::string& spec : hint.spares) {
    auto spare = look_at_spare(spec);
    if (!spare) {
      reasons.push_back(spare.error());
    } else if (uuid_text(spare->block.header.set) != hint.set) {
      reasons.push_back(
          {fmt::format("{} is of volume `{}` ({}) now, not of `{}` ({}); give the spares of `{}`",
                       spec, name_of(spare->block), uuid_text(spare->block.header.set), hint.name,
                       hint.set, hint.name),
           runtime::kExitRefused});
    } else {
      spares.push_back(std::move(*spare));
    }
  }
  return spares;
}

bool is_at(const std::vector<Spare>& spares, Member member) {
  return std::any_of(spares.begin(), spares.end(),
                     [&](const Spare& spare) { return spare.block.own_member == member; });
}

Expected<std::vector<Spare>> find_by_name(const Wanted& wanted, const std::optional<Hint>& hint,
                                          std::vector<Error>& reasons) {
  const std::string& name = wanted.name;
  const char* const give = wanted.spares_only ? "the spares" : "--main and --spare";
  std::vector<Spare> spares;
  if (hint) spares = from_hint(*hint, reasons);
  if (hint && reasons.empty() && !spares.empty()) return spares;
  auto sets = search(name);
  if (hint && (!spares.empty() || sets.contains(hint->set))) {
    for (Spare& spare : sets[hint->set]) {
      if (!is_at(spares, spare.block.own_member)) spares.push_back(std::move(spare));
    }
    return spares;
  }
  if (sets.size() > 1) {
    std::string places;
    for (const auto& [set, members] : sets) {
      places += fmt::format("{}{} on {}", places.empty() ? "" : ", ", set, members.front().spec);
    }
    return refused(fmt::format("{} volumes are called `{}`: {}; say which by giving {}",
                               sets.size(), name, places, give));
  }
  if (sets.size() == 1) return std::move(sets.begin()->second);
  if (!reasons.empty()) return std::unexpected(reasons.front());
  if (const auto note = read_hint(name); !note) {
    return failed(fmt::format("{}, and no block device knows `{}`; give {}", note.error().message,
                              name, give));
  }
  return failed(
      fmt::format("there is no volume `{}`: neither {} nor any block device knows it; "
                  "give {}, or see `dm-remap list`",
                  name, state_directory(), give));
}

Expected<Located> from_name(const Wanted& wanted) {
  const std::optional<Hint> hint = load_hint(wanted.name);
  std::vector<Error> reasons;
  auto spares = find_by_name(wanted, hint, reasons);
  if (!spares) return std::unexpected(spares.error());
  auto located = settle(std::move(*spares));
  if (!located) return located;
  if (wanted.spares_only) return require_spares(std::move(*located), wanted, reasons);
  if (hint) located->main = hint->main;
  const bool main_is_there =
      !located->main.empty() && runtime::Device::open(located->main, kLook).has_value();
  if (!main_is_there) {
    const std::string found = search_main(located->superblock);
    if (found.empty()) {
      return refused(fmt::format(
          "main of volume `{}` ({}, {}) is not {}; say where it is with --main and --spare",
          wanted.name,
          identity_of(located->superblock.member[kMain]).empty()
              ? "no serial number"
              : identity_of(located->superblock.member[kMain]),
          fmt::format("{} sectors", u64{located->superblock.member[kMain].sectors}),
          located->main.empty() ? "known" : "at " + located->main));
    }
    located->main = found;
  }
  return require_spares(std::move(*located), wanted, reasons);
}

}  // namespace

Expected<Located> locate(const Wanted& wanted) {
  const bool by_devices = !wanted.main.empty() || !wanted.spares.empty();
  auto located = by_devices ? from_devices(wanted) : from_name(wanted);
  if (!located) return located;
  located->members[kMain] = located->main;
  return located;
}

}  // namespace dmr::cli

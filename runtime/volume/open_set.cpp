// SPDX-License-Identifier: GPL-2.0-or-later
// Who is which member, and the sentences for what is wrong with one.
#include "runtime/volume/open_set.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "runtime/volume/superblock_scan.h"

namespace dmr::runtime {
namespace {

std::string path_of(const MemberSlots& slots, Member member) {
  const Device* device = slots.device[member].get();
  if (device != nullptr) return device->path();
  return member == kMain ? std::string("main") : fmt::format("spare {}", member);
}

std::string identity_text(const char* identity) {
  return std::string(identity, ::strnlen(identity, format::kIdentityBytes));
}

std::string wrong_member_text(const Finding& finding, const MemberSlots& slots) {
  const std::string path = path_of(slots, finding.member);
  const format::Superblock* set = slots.newest();
  switch (finding.wrong) {
    case WrongMember::size:
      return fmt::format("{}: has {} sectors, but the volume was made with a device of {}", path,
                         finding.found, finding.expected);
    case WrongMember::logical_block:
      return fmt::format("{}: has logical blocks of {} bytes, but the volume was made with {}",
                         path, finding.found, finding.expected);
    case WrongMember::set: {
      const auto& claim = slots.claims[finding.member];
      return fmt::format("{}: belongs to another volume (set {}, expected {})", path,
                         claim ? uuid_text(claim->header.set) : "unknown",
                         set != nullptr ? uuid_text(set->header.set) : "unknown");
    }
    case WrongMember::uuid:
      return fmt::format("{}: is not the device that this place of the volume was given to", path);
    case WrongMember::place:
      return fmt::format("{}: is member {}, but was given as member {}", path, finding.found,
                         finding.expected);
    case WrongMember::identity: {
      const std::string expected =
          set != nullptr ? identity_text(set->member[finding.member].identity) : "";
      const Device* device = slots.device[finding.member].get();
      return fmt::format(
          "{}: is `{}`, but the volume was made with `{}`; if the disk was cloned, "
          "--ignore-identity takes it",
          path, device != nullptr ? device->identity() : "", expected);
    }
  }
  return path + ": is the wrong device";
}

Error refused(std::string message) { return Error{std::move(message), kExitRefused}; }

std::string spares_text(const MemberSlots& slots) {
  std::string text;
  for (Member m = 1; m < kMaxMembers; ++m) {
    if (slots.device[m] == nullptr) continue;
    text += (text.empty() ? "" : ", ") + slots.device[m]->path();
  }
  return text.empty() ? "no spare given" : text;
}

// The first finding of this severity, if any.
const Finding* first_fatal(const std::vector<Finding>& findings) {
  const auto at = std::find_if(findings.begin(), findings.end(),
                               [](const Finding& finding) { return finding.fatal; });
  return at == findings.end() ? nullptr : &*at;
}

}  // namespace

std::vector<Device*> MemberSlots::pointers() const {
  std::vector<Device*> result;
  result.reserve(members);
  for (u32 m = 0; m < members; ++m) result.push_back(device[m].get());
  return result;
}

const format::Superblock* MemberSlots::newest() const {
  const format::Superblock* result = nullptr;
  for (const auto& claim : claims) {
    if (!claim) continue;
    const bool newer = result == nullptr ||
                       claim->membership.generation > result->membership.generation ||
                       (claim->membership.generation == result->membership.generation &&
                        claim->header.sequence > result->header.sequence);
    if (newer) result = &*claim;
  }
  return result;
}

Expected<MemberSlots> arrange_members(std::unique_ptr<Device> main,
                                      std::vector<std::unique_ptr<Device>> spares) {
  if (spares.empty()) return fail("no spare given", kExitUsage);
  if (spares.size() > kMaxSpares) {
    return fail(fmt::format("{} spares given, at most {} are possible", spares.size(), kMaxSpares),
                kExitUsage);
  }
  MemberSlots slots;
  std::vector<std::unique_ptr<Device>> placeless;
  std::vector<const Device*> all;
  if (main != nullptr) all.push_back(main.get());
  slots.device[kMain] = std::move(main);
  for (auto& spare : spares) {
    for (const Device* other : all) {
      const std::string overlap = overlap_of(*other, *spare);
      if (!overlap.empty()) return fail(overlap, kExitRefused);
    }
    all.push_back(spare.get());
    auto found = find_superblock(*spare);
    const std::optional<format::Superblock> claim = found ? *found : std::nullopt;
    if (!claim.has_value() || claim->own_member < 1 || claim->own_member >= kMaxMembers) {
      placeless.push_back(std::move(spare));
      continue;
    }
    const Member place = claim->own_member;
    if (slots.device[place] != nullptr) {
      return fail(fmt::format("{} and {}: both say that they are spare {}; give only those that "
                              "belong to this volume",
                              slots.device[place]->path(), spare->path(), place),
                  kExitRefused);
    }
    slots.claims[place] = *claim;
    slots.device[place] = std::move(spare);
  }
  for (auto& spare : placeless) {
    const auto free = std::find(slots.device.begin() + 1, slots.device.end(), nullptr);
    DMR_ASSERT(free != slots.device.end());  // there are no more spares than places
    *free = std::move(spare);
  }
  slots.members = 2;
  for (u32 m = 0; m < kMaxMembers; ++m) {
    if (slots.device[m] != nullptr) slots.members = std::max(slots.members, m + 1);
  }
  return slots;
}

MemberDevice describe(const Device* device) {
  MemberDevice result;
  if (device == nullptr) return result;
  result.present = true;
  result.sectors = device->sectors();
  result.logical_block_bytes = device->logical_block_bytes();
  result.native_fua = device->native_fua();
  result.has_cache = device->has_cache();
  const std::string& identity = device->identity();
  std::memcpy(result.identity, identity.data(),
              std::min(identity.size(), sizeof(result.identity) - 1));
  return result;
}

LoadRequest load_request(const MemberSlots& slots, const VolumeOptions& options) {
  LoadRequest request;
  request.members = slots.members;
  request.allow_degraded = options.allow_degraded;
  request.ignore_identity = options.ignore_identity;
  for (u32 m = 0; m < slots.members; ++m) request.device[m] = describe(slots.device[m].get());
  return request;
}

std::string text_of(const Finding& finding, const MemberSlots& slots) {
  const std::string at =
      fmt::format("{}: sector {}", path_of(slots, finding.member), finding.address.value);
  switch (finding.kind) {
    case FindingKind::superblock_damaged:
      return fmt::format("{}: superblock copy {} is damaged", at, finding.copy);
    case FindingKind::superblock_stale:
      return fmt::format("{}: superblock copy {} is older than the others", at, finding.copy);
    case FindingKind::superblock_torn:
      return fmt::format("{}: superblock copy {} was being written when the power went", at,
                         finding.copy);
    case FindingKind::journal_damaged:
      return fmt::format("{}: a block of journal area {} is damaged", at, finding.copy);
    case FindingKind::journal_gap:
      return fmt::format("{}: journal block {} is missing and no copy is good", at,
                         finding.sequence);
    case FindingKind::checkpoint_damaged:
      return fmt::format("{}: checkpoint area {} is damaged", at, finding.copy);
    case FindingKind::no_checkpoint:
      return path_of(slots, finding.member) + ": no checkpoint is good";
    case FindingKind::record_invalid:
      return fmt::format("{}: a record of the map points where it may not", at);
    case FindingKind::double_owner:
      return fmt::format("{}: this spare block serves two blocks", at);
    case FindingKind::member_missing:
      return path_of(slots, finding.member) + ": is missing";
    case FindingKind::member_stale:
      return path_of(slots, finding.member) + ": lags behind, is brought up to date";
    case FindingKind::member_wrong:
      return wrong_member_text(finding, slots);
    case FindingKind::members_divergent:
      return path_of(slots, finding.member) + ": was changed apart from the other spares";
    case FindingKind::restore_interrupted:
      return "a restore was interrupted; run `dm-remap restore` again with the same backup";
    case FindingKind::restored_older:
      return "the map was restored from a backup that may be older than the data: read-only";
    case FindingKind::read_failed:
      return fmt::format("{}: metadata cannot be read ({})", at, name_of(finding.io));
  }
  return at + ": damaged";
}

Error open_error(Status status, const std::vector<Finding>& findings, const MemberSlots& slots,
                 const VolumeOptions& options) {
  const std::string name = options.name.empty() ? std::string("volume") : options.name;
  const Finding* fatal = first_fatal(findings);
  const std::string what = fatal != nullptr ? text_of(*fatal, slots) : std::string();
  switch (status) {
    case Status::not_found:
      return Error{spares_text(slots) +
                   ": holds no volume of ours (is main given as spare, or `create` not run?)"};
    case Status::wrong_version:
      return Error{name + ": was written by a newer version of dm-remap; use that one"};
    case Status::wrong_member:
      return refused(what.empty() ? name + ": a device is not the right one" : what);
    case Status::member_missing:
      return refused((what.empty() ? name + ": a member is missing" : what) +
                     "; what it holds would read as errors; --degraded starts without it");
    case Status::divergent:
      return refused(what + "; start with one of them only, and `create` the other anew");
    case Status::damaged:
      return Error{(what.empty() ? name + ": metadata is damaged" : what) +
                   "; nothing was changed, `dm-remap check` shows all of it"};
    case Status::io_error:
      if (!what.empty()) return Error{what + "; nothing was started"};
      if (options.read_only) return Error{name + ": metadata cannot be read; nothing was started"};
      return Error{
          name + ": metadata cannot be written without risk; nothing was started; try --read-only"};
    case Status::no_memory:
      return Error{name + ": not enough memory for its map"};
    case Status::read_only:
      return Error{name + ": cannot be written to; try --read-only"};
    default:
      return Error{fmt::format("{}: cannot be opened (status {})", name, int(status))};
  }
}

}  // namespace dmr::runtime

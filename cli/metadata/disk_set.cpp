// SPDX-License-Identifier: GPL-2.0-or-later
// Superblocks say who a disk is; without one, its journal and checkpoints do.
#include "cli/metadata/disk_set.h"

#include <fmt/format.h>

#include "cli/device/member.h"
#include "cli/metadata/walk.h"

namespace dmr::cli {
namespace {

struct Candidate {
  const OfflineDisk* disk = nullptr;
  Survey found;
};

Error fault(std::string message) { return {std::move(message), runtime::kExitFault}; }

// Why a spare has no superblock that can be used.
Error unusable(const Candidate& candidate) {
  const SuperblockCopy* const intact = candidate.found.newest_intact();
  const std::string& path = candidate.disk->path();
  if (intact != nullptr && intact->status == Status::wrong_version) {
    return {fmt::format("{}: {}; use the version of dm-remap that made it", path, intact->why),
            runtime::kExitFailed};
  }
  return fault(
      fmt::format("{}: no copy of its superblock is good; with another spare of the volume "
                  "`dm-remap repair` rebuilds it, without one `dm-remap restore` a backup",
                  path));
}

bool is_newer(const format::Superblock& a, const format::Superblock& b) {
  const u64 generation_a = a.membership.generation;
  const u64 generation_b = b.membership.generation;
  if (generation_a != generation_b) return generation_a > generation_b;
  return a.header.sequence > b.header.sequence;
}

bool is_of_another_version(const Candidate& candidate) {
  const SuperblockCopy* const intact = candidate.found.newest_intact();
  return intact != nullptr && intact->status == Status::wrong_version;
}

Expected<const format::Superblock*> newest_of(const std::vector<Candidate>& candidates) {
  const format::Superblock* newest = nullptr;
  const Candidate* headless = nullptr;  // a spare of ours without any good copy
  for (const Candidate& candidate : candidates) {
    if (!candidate.found.ours()) continue;
    const format::Superblock* const own = candidate.found.newest();
    if (own == nullptr) {
      if (is_of_another_version(candidate)) return std::unexpected(unusable(candidate));
      headless = &candidate;
      continue;
    }
    if (newest != nullptr && own->header.set != newest->header.set) {
      return failed(
          fmt::format("the devices belong to different volumes, `{}` ({}) and `{}` ({}); "
                      "give those of one",
                      name_of(*newest), uuid_text(newest->header.set), name_of(*own),
                      uuid_text(own->header.set)));
    }
    if (newest == nullptr || is_newer(*own, *newest)) newest = own;
  }
  if (newest == nullptr && headless != nullptr) return std::unexpected(unusable(*headless));
  if (newest == nullptr) {
    return std::unexpected(fault(fmt::format(
        "no superblock of dm-remap is on {}{}; if there should be one, the metadata is destroyed",
        candidates.front().disk->path(), candidates.size() > 1 ? " or the others" : "")));
  }
  return newest;
}

// The only spare of this size that nobody else is; kMain when there is none, or a choice.
Member only_place_left(const DiskSet& set, const OfflineDisk& disk) {
  Member place = kMain;
  for (Member m = 1; m < set.superblock.member_count; ++m) {
    if (set.disk[m] != nullptr || set.superblock.member[m].sectors != disk.sectors()) continue;
    if (place != kMain) return kMain;
    place = m;
  }
  return place;
}

Expected<void> put(DiskSet& set, Member member, const OfflineDisk& disk) {
  if (set.disk[member] != nullptr) {
    return failed(fmt::format("{} and {} both {}; give one of them", set.disk[member]->path(),
                              disk.path(),
                              member == kMain ? "have no superblock, but only main has none"
                                              : "are the same spare of this volume"));
  }
  set.disk[member] = &disk;
  return {};
}

Expected<void> put_known(DiskSet& set, const std::vector<Candidate>& candidates) {
  for (const Candidate& candidate : candidates) {
    const format::Superblock* const own = candidate.found.newest();
    if (own == nullptr) continue;
    if (own->own_member >= set.superblock.member_count) {
      return failed(fmt::format("{}: says that it is spare {} of a volume with {} members",
                                candidate.disk->path(), own->own_member,
                                set.superblock.member_count));
    }
    if (auto done = put(set, own->own_member, *candidate.disk); !done) return done;
  }
  return {};
}

Expected<void> put_unknown(DiskSet& set, const std::vector<Candidate>& candidates) {
  for (const Candidate& candidate : candidates) {
    if (candidate.found.newest() != nullptr) continue;
    Member member = traced_member(*candidate.disk, set.superblock);
    if (member == kMain && candidate.found.ours()) {
      member = only_place_left(set, *candidate.disk);
      if (member == kMain) return std::unexpected(unusable(candidate));
    }
    if (auto done = put(set, member, *candidate.disk); !done) return done;
  }
  return {};
}

}  // namespace

std::vector<std::string> DiskSet::paths() const {
  std::vector<std::string> all(superblock.member_count);
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (disk[i] != nullptr) all[i] = disk[i]->path();
  }
  return all;
}

Member traced_member(const OfflineDisk& disk, const format::Superblock& block) {
  for (Member m = 1; m < block.member_count; ++m) {
    if (block.member[m].sectors != disk.sectors()) continue;
    format::Superblock as_member = block;
    as_member.own_member = m;
    bool is_found = false;
    const MetaVisitor look = [&](const MetaView& seen) {
      is_found = is_found || (seen.error == 0 && seen.verdict == format::Verdict::ok);
    };
    walk_journal(disk, as_member, look);
    if (!is_found) walk_checkpoints(disk, as_member, look);
    if (is_found) return m;
  }
  return kMain;
}

Expected<DiskSet> arrange(std::span<const OfflineDisk* const> disks) {
  DMR_ASSERT(!disks.empty());
  std::vector<Candidate> candidates;
  for (const OfflineDisk* disk : disks) {
    candidates.push_back({.disk = disk, .found = survey(*disk)});
  }
  const auto newest = newest_of(candidates);
  if (!newest) return std::unexpected(newest.error());
  DiskSet set;
  set.superblock = **newest;
  if (auto done = put_known(set, candidates); !done) return std::unexpected(done.error());
  if (auto done = put_unknown(set, candidates); !done) return std::unexpected(done.error());
  return set;
}

LoadRequest load_request(const DiskSet& set) {
  LoadRequest request;
  request.members = set.superblock.member_count;
  request.allow_degraded = true;
  for (Member member = 0; member < set.superblock.member_count; ++member) {
    if (set.disk[member] != nullptr) request.device[member] = member_device(*set.disk[member]);
  }
  return request;
}

}  // namespace dmr::cli

// SPDX-License-Identifier: GPL-2.0-or-later
// Finds out which device is which member, and loads the set.
#include "cli/metadata/stopped_set.h"

#include <algorithm>

#include <fmt/format.h>

#include "cli/metadata/offline_host.h"
#include "runtime/control/paths.h"

namespace dmr::cli {
namespace {

struct Candidate {
  DevicePtr device;
  Survey found;
};

// Whose it is, when the device is in use: a hint that leads further than "busy".
std::string running_volume_on(const std::string& spec) {
  const auto device = runtime::Device::open(spec, {.read_only = true,
                                                   .exclusive = false,
                                                   .allow_buffered = true,
                                                   .odd_size = runtime::OddSize::cut_down});
  if (!device) return "";
  const Survey found = survey(**device);
  if (found.newest() == nullptr) return "";
  const std::string name = name_of(*found.newest());
  return runtime::NameLock::holder(name) != 0 ? name : "";
}

Expected<Candidate> open_candidate(const std::string& spec) {
  auto device = open_member("device", spec,
                            {.read_only = true,
                             .exclusive = true,
                             .allow_buffered = true,
                             .odd_size = runtime::OddSize::cut_down});
  if (!device) {
    const std::string name = running_volume_on(spec);
    if (name.empty()) return std::unexpected(device.error());
    return refused(
        fmt::format("device {}: belongs to the running volume `{}`; stop it first "
                    "(`dm-remap stop {}`)",
                    spec, name, name));
  }
  Candidate candidate{.device = std::move(*device), .found = {}};
  candidate.found = survey(*candidate.device);
  return candidate;
}

Error fault(std::string message) { return {std::move(message), runtime::kExitFault}; }

// Why a spare has no superblock that can be used.
Error unusable(const Candidate& candidate) {
  const SuperblockCopy* const intact = candidate.found.newest_intact();
  const std::string& path = candidate.device->path();
  if (intact != nullptr && intact->status == Status::wrong_version) {
    return {fmt::format("{}: {}; use the version of dm-remap that made it", path, intact->why),
            runtime::kExitFailed};
  }
  return fault(
      fmt::format("{}: no copy of its superblock is good; the other spares of the volume "
                  "hold its map too: check those",
                  path));
}

Expected<const format::Superblock*> newest_of(const std::vector<Candidate>& candidates) {
  const format::Superblock* newest = nullptr;
  for (const Candidate& candidate : candidates) {
    if (!candidate.found.ours()) continue;
    const format::Superblock* const own = candidate.found.newest();
    if (own == nullptr) return std::unexpected(unusable(candidate));
    if (newest != nullptr && own->header.set != newest->header.set) {
      return failed(
          fmt::format("the devices belong to different volumes, `{}` ({}) and `{}` ({}); "
                      "give those of one",
                      name_of(*newest), uuid_text(newest->header.set), name_of(*own),
                      uuid_text(own->header.set)));
    }
    if (newest == nullptr || own->header.sequence > newest->header.sequence) newest = own;
  }
  if (newest == nullptr) {
    return std::unexpected(fault(fmt::format(
        "no superblock of dm-remap is on {}{}; if there should be one, the metadata is destroyed",
        candidates.front().device->path(), candidates.size() > 1 ? " or the others" : "")));
  }
  return newest;
}

}  // namespace

Expected<std::unique_ptr<StoppedSet>> open_set(const std::vector<std::string>& specs) {
  std::vector<Candidate> candidates;
  for (const std::string& spec : specs) {
    auto candidate = open_candidate(spec);
    if (!candidate) return std::unexpected(candidate.error());
    candidates.push_back(std::move(*candidate));
  }
  const auto newest = newest_of(candidates);
  if (!newest) return std::unexpected(newest.error());
  auto set = std::make_unique<StoppedSet>();
  set->superblock = **newest;
  set->paths.resize(set->superblock.member_count);
  for (Candidate& candidate : candidates) {
    const format::Superblock* const own = candidate.found.newest();
    const Member member = own == nullptr ? kMain : own->own_member;
    const std::string path = candidate.device->path();
    if (member >= set->paths.size()) {
      return failed(fmt::format("{}: says that it is spare {} of a volume with {} members", path,
                                member, set->paths.size()));
    }
    if (set->device[member] != nullptr) {
      return failed(fmt::format("{} and {} both {}; give one of them", set->paths[member], path,
                                member == kMain ? "have no superblock, but only main has none"
                                                : "are the same spare of this volume"));
    }
    set->paths[member] = path;
    set->device[member] = std::move(candidate.device);
  }
  return set;
}

void load_set(StoppedSet& set) {
  const Result<Geometry> geometry = format::geometry_of(set.superblock);
  if (!geometry) {
    set.status = geometry.status();
    return;
  }
  set.geometry = *geometry;
  LoadRequest request;
  request.members = set.superblock.member_count;
  request.allow_degraded = true;
  std::vector<runtime::Device*> devices;
  for (Member member = 0; member < set.superblock.member_count; ++member) {
    runtime::Device* const device = set.device[member].get();
    devices.push_back(device);
    if (device != nullptr) request.device[member] = member_device(*device);
  }
  auto host = std::make_unique<OfflineHost>(devices);
  auto store = std::make_unique<MetadataStore>(*host, host->executor());
  set.status = store->open_memory();
  if (set.status == Status::ok) {
    set.status = host->run(
        [&](FrameStack& frames) { return store->load(frames, request, set.map, set.findings); });
  }
  store->close_memory();
  if (set.status != Status::ok) return;
  if (const auto shared = set.map.shared_block()) {
    Finding finding;
    finding.kind = FindingKind::double_owner;
    finding.member = shared->member;
    finding.fatal = true;
    finding.address = set.geometry.spare_sector(shared->block);
    set.findings.found(finding);
  }
}

}  // namespace dmr::cli

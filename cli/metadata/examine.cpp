// SPDX-License-Identifier: GPL-2.0-or-later
// The engine's own loading and repairing, on disks of a stopped set.
#include "cli/metadata/examine.h"

#include <algorithm>
#include <memory>

#include <fmt/format.h>

#include "cli/app/status_text.h"
#include "cli/metadata/offline_host.h"

namespace dmr::cli {
namespace {

// The metadata store of a stopped set and what it stands on.
class OfflineStore {
 public:
  explicit OfflineStore(const DiskSet& set)
      : host_(std::make_unique<OfflineHost>(members_of(set))),
        store_(std::make_unique<MetadataStore>(*host_, host_->executor())),
        memory_(store_->open_memory()) {}
  OfflineStore(const OfflineStore&) = delete;
  OfflineStore& operator=(const OfflineStore&) = delete;
  ~OfflineStore() { store_->close_memory(); }

  void load(const LoadRequest& request, Examination& found) {
    found.status = memory_;
    if (found.status != Status::ok) return;
    found.status = host_->run([&](FrameStack& frames) {
      return store_->load(frames, request, found.map, found.findings);
    });
    found.superblock = store_->superblock();
    if (found.status == Status::ok) found.status = accept(found);
    if (found.status != Status::ok) found.map.reset();
  }
  [[nodiscard]] Status write(const Examination& found) {
    RecordList records(found.map.records(found.geometry));
    return host_->run([&](FrameStack& frames) { return store_->begin_writing(frames, records); });
  }
  [[nodiscard]] MetadataStore& operator*() { return *store_; }
  [[nodiscard]] int last_error() const { return host_->last_error(); }

 private:
  static std::vector<const OfflineDisk*> members_of(const DiskSet& set) {
    return {set.disk.begin(), set.disk.begin() + set.superblock.member_count};
  }

  // What the volume itself looks at when it takes over what was loaded.
  Status accept(Examination& found) {
    found.geometry = store_->geometry();
    const ChainPoint head = store_->head();
    found.covered_sequence = head.sequence;
    found.covered_crc = head.crc;
    const auto shared = found.map.shared_block();
    if (!shared) return Status::ok;
    Finding finding;
    finding.kind = FindingKind::double_owner;
    finding.member = shared->member;
    finding.fatal = true;
    finding.address = found.geometry.spare_sector(shared->block);
    found.findings.found(finding);
    return Status::damaged;
  }

  std::unique_ptr<OfflineHost> host_;
  std::unique_ptr<MetadataStore> store_;
  Status memory_;
};

// A spare that the volume uses and that is not among the disks; kMain when all are.
Member absent_spare(const DiskSet& set, const MetadataStore& store) {
  for (Member m = 1; m < store.members(); ++m) {
    const bool is_here = m < set.superblock.member_count && set.disk[m] != nullptr;
    if (store.state(m) == format::MemberState::live && !is_here) return m;
  }
  return kMain;
}

}  // namespace

Examination examine(const DiskSet& set, bool ignore_identity) {
  Examination found;
  OfflineStore store(set);
  LoadRequest request = load_request(set);
  request.ignore_identity = ignore_identity;
  store.load(request, found);
  return found;
}

std::vector<Told> tell(const Examination& found, const std::vector<std::string>& paths) {
  std::vector<Told> told;
  for (const Finding& finding : found.findings.all()) {
    // That the user did not name a member is no finding about the volume.
    const bool is_named = finding.member < paths.size() && !paths[finding.member].empty();
    if (finding.kind == FindingKind::member_missing && !is_named) continue;
    told.push_back({.finding = finding, .text = describe(finding, paths)});
  }
  if (found.status == Status::ok) return told;
  const bool is_told = std::any_of(
      told.begin(), told.end(), [](const Told& one) { return one.text.weight == Weight::fatal; });
  if (is_told) return told;
  FindingText text{.kind = "not_loaded",
                   .weight = Weight::fatal,
                   .what = fmt::format("the metadata cannot be read: {}", text_of(found.status)),
                   .consequence = "the volume does not start"};
  told.push_back({.finding = std::nullopt, .text = std::move(text)});
  return told;
}

bool is_clean(const std::vector<Told>& told) {
  return std::none_of(told.begin(), told.end(),
                      [](const Told& one) { return one.text.weight != Weight::note; });
}

bool is_clean(const Examination& found) {
  return is_clean(tell(found, std::vector<std::string>(kMaxMembers)));
}

Repair repair(const DiskSet& set, const RepairOptions& options) {
  Repair result;
  result.before = examine(set);
  LoadRequest request = load_request(set);
  request.spares_only = !request.device[kMain].present;
  request.rebuild_superblocks = true;
  Examination found;
  {
    OfflineStore store(set);
    store.load(request, found);
    result.status = found.status;
    result.error = store.last_error();
    if (found.status != Status::ok) {
      result.outcome = RepairOutcome::beyond;
      return result;
    }
    if (!(*store).has_damage()) return result;
    result.missing = absent_spare(set, *store);
    if (result.missing != kMain && !options.degraded) {
      result.outcome = RepairOutcome::degraded;
      return result;
    }
    if (options.dry_run) {
      result.outcome = RepairOutcome::repairable;
      return result;
    }
    result.status = store.write(found);
    result.error = store.last_error();
    if (result.status == Status::read_only) {
      // Of this format only a newer program may write; nothing was.
      result.status = Status::wrong_version;
      result.outcome = RepairOutcome::beyond;
      return result;
    }
  }
  result.after = examine(set);
  const bool is_done = result.status == Status::ok && is_clean(result.after);
  result.outcome = is_done ? RepairOutcome::repaired : RepairOutcome::failed;
  return result;
}

}  // namespace dmr::cli

// SPDX-License-Identifier: GPL-2.0-or-later
// Who is who, by the backup; then whether the backup is the newest state; then writing it.
#include "cli/metadata/restore.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include <fmt/format.h>

#include "cli/app/output.h"
#include "cli/app/status_text.h"
#include "cli/device/member.h"
#include "cli/metadata/offline_host.h"
#include "cli/metadata/shown.h"

namespace dmr::cli {
namespace {

class Planner {
 public:
  Planner(const Backup& backup, const RestoreOptions& options)
      : backup_(backup), table_(backup.superblock), options_(options) {
    plan_.set.superblock = backup.superblock;
    plan_.request.superblock = &backup.superblock;
  }

  Expected<RestorePlan> plan(std::span<const OfflineDisk* const> disks) {
    for (const OfflineDisk* disk : disks) found_.push_back(survey(*disk));
    for (std::size_t i = 0; i < disks.size(); ++i) {
      if (auto done = place_known(*disks[i], found_[i]); !done)
        return std::unexpected(done.error());
    }
    for (const OfflineDisk* disk : strangers_) {
      if (auto done = place_stranger(*disk); !done) return std::unexpected(done.error());
    }
    for (Member m = 1; m < table_.member_count; ++m) {
      if (auto done = compare(m); !done) return std::unexpected(done.error());
    }
    if (auto done = judge_age(); !done) return std::unexpected(done.error());
    fill_request();
    return std::move(plan_);
  }

 private:
  [[nodiscard]] std::string volume() const {
    return fmt::format("volume `{}` ({})", name_of(table_), uuid_text(table_.header.set));
  }
  [[nodiscard]] bool is_live(Member m) const {
    return table_.member[m].state == static_cast<u8>(format::MemberState::live);
  }

  Expected<void> put(Member member, const OfflineDisk& disk, const Survey* found) {
    if (!is_live(member)) {
      return refused(
          fmt::format("{}: is spare {}, which was out of the volume when the backup was "
                      "made; leave it out",
                      disk.path(), member));
    }
    if (plan_.set.disk[member] != nullptr) {
      return refused(fmt::format("{} and {} are both spare {} of the backup; give one of them",
                                 plan_.set.disk[member]->path(), disk.path(), member));
    }
    plan_.set.disk[member] = &disk;
    survey_of_[member] = found;
    return {};
  }

  // By its superblock, else by its journal and checkpoints.
  Expected<void> place_known(const OfflineDisk& disk, const Survey& found) {
    const format::Superblock* const own = found.newest();
    if (own == nullptr) {
      const SuperblockCopy* const intact = found.newest_intact();
      if (intact != nullptr && intact->status == Status::wrong_version) {
        return failed(fmt::format("{}: {}; use the version of dm-remap that made it", disk.path(),
                                  intact->why));
      }
      const Member traced = traced_member(disk, table_);
      if (traced != kMain) return put(traced, disk, &found);
      strangers_.push_back(&disk);
      return {};
    }
    if (own->header.set != table_.header.set) {
      return refused(fmt::format("{}: is a spare of volume `{}` ({}), but the backup is of {}",
                                 disk.path(), name_of(*own), uuid_text(own->header.set), volume()));
    }
    const Member member = own->own_member;
    if (member >= table_.member_count) {
      return refused(fmt::format("{}: is spare {}, but the volume had {} when the backup was made",
                                 disk.path(), member,
                                 counted(table_.member_count - 1U, "spare", "spares")));
    }
    if (own->member[member].uuid != table_.member[member].uuid) {
      if (!options_.replaced) {
        return refused(fmt::format(
            "{}: is spare {} with UUID {}, but the backup knows spare {} as {}: it was replaced "
            "since; --replaced takes it, and the blocks that lived on the old one are lost",
            disk.path(), member, uuid_text(own->member[member].uuid), member,
            uuid_text(table_.member[member].uuid)));
      }
      plan_.replaced[member] = true;
    }
    return put(member, disk, &found);
  }

  // A disk that shows nothing of the volume: the one with the right serial number, or a new one.
  Expected<void> place_stranger(const OfflineDisk& disk) {
    std::vector<Member> places;
    for (Member m = 1; m < table_.member_count; ++m) {
      if (!is_live(m) || plan_.set.disk[m] != nullptr) continue;
      const std::string identity = identity_of(table_.member[m]);
      if (!identity.empty() && identity == disk.identity()) return put(m, disk, nullptr);
      places.push_back(m);
    }
    if (places.empty()) {
      return refused(fmt::format("{}: shows nothing of {}, and all its spares are given already",
                                 disk.path(), volume()));
    }
    if (!options_.replaced && !options_.trust) {
      return refused(fmt::format(
          "{}: shows nothing of {}; --replaced takes it as a new device, and the blocks that lived "
          "on the old one are lost; --trust takes it as the old one, if nothing was written since "
          "the backup",
          disk.path(), volume()));
    }
    std::erase_if(places, [&](Member m) { return table_.member[m].sectors != disk.sectors(); });
    if (places.empty()) return wrong_size(disk, first_free());
    if (!options_.replaced && places.size() > 1) {
      return refused(
          fmt::format("{}: could be spare {} or {} of {}, nothing on it says which; "
                      "--replaced takes it as a new device",
                      disk.path(), places[0], places[1], volume()));
    }
    plan_.replaced[places.front()] = options_.replaced;
    return put(places.front(), disk, nullptr);
  }

  [[nodiscard]] Member first_free() const {
    Member m = 1;
    while (!is_live(m) || plan_.set.disk[m] != nullptr) ++m;
    DMR_ASSERT(m < table_.member_count);
    return m;
  }

  [[nodiscard]] std::unexpected<Error> wrong_size(const OfflineDisk& disk, Member m) const {
    return refused(fmt::format("{}: has {} sectors, but spare {} of the backup has {}", disk.path(),
                               disk.sectors(), m, u64{table_.member[m].sectors}));
  }

  Expected<void> compare(Member m) const {
    if (!is_live(m)) return {};
    const format::MemberEntry& row = table_.member[m];
    if (plan_.set.disk[m] == nullptr) {
      return failed(fmt::format(
          "spare {} of {} is not given ({} sectors{}); restore needs all of "
          "its spares, or another device of that size and --replaced",
          m, volume(), u64{row.sectors}, identity_of(row).empty() ? "" : ", " + identity_of(row)));
    }
    const OfflineDisk& disk = *plan_.set.disk[m];
    if (disk.sectors() != row.sectors) return wrong_size(disk, m);
    const u32 most =
        plan_.replaced[m] ? table_.member[kMain].logical_block_bytes : row.logical_block_bytes;
    const u32 own = disk.logical_block_bytes();
    if (plan_.replaced[m] ? own > std::min(most, kMetaBytes) : own != most) {
      return refused(
          fmt::format("{}: has logical blocks of {} bytes, but spare {} of the backup "
                      "has {}",
                      disk.path(), own, m, most));
    }
    const std::string identity = identity_of(row);
    const bool differs =
        !identity.empty() && !disk.identity().empty() && identity != disk.identity();
    if (differs && !plan_.replaced[m] && !options_.ignore_identity) {
      return refused(
          fmt::format("{}: is `{}`, but spare {} of the backup is `{}`; if the disk was "
                      "cloned, --ignore-identity takes it",
                      disk.path(), disk.identity(), m, identity));
    }
    return {};
  }

  Expected<void> judge_age() {
    bool all_vouch = true;
    RestoreRequest& request = plan_.request;
    request.covered_sequence = backup_.covered_sequence;
    request.covered_crc = backup_.covered_crc;
    std::string newer;
    std::string silent;
    for (Member m = 1; m < table_.member_count; ++m) {
      if (!is_live(m)) continue;
      const OfflineDisk& disk = *plan_.set.disk[m];
      Shown shown;
      if (survey_of_[m] != nullptr) shown = shown_by(disk, *survey_of_[m], backup_, m);
      request.seen_superblock = std::max(request.seen_superblock, shown.superblock);
      request.seen_opening = std::max(request.seen_opening, shown.opening);
      request.seen_membership = std::max(request.seen_membership, shown.membership);
      request.covered_sequence = std::max(request.covered_sequence, shown.journal);
      if (shown.newer && newer.empty()) newer = describe_newer(disk, shown);
      if (!shown.vouches || plan_.replaced[m]) {
        all_vouch = false;
        if (silent.empty()) silent = disk.path();
      }
    }
    request.is_older = options_.older && (!newer.empty() || (!all_vouch && !options_.trust));
    if (request.is_older) return {};
    if (!newer.empty()) {
      return refused(
          fmt::format("{}; --older restores it nevertheless, and the volume is read-only "
                      "from then on",
                      newer));
    }
    if (all_vouch || options_.trust) return {};
    return refused(fmt::format(
        "{}: nothing on it shows whether the volume was used after the backup; --trust takes your "
        "word that it was not, --older restores it read-only",
        silent));
  }

  [[nodiscard]] std::string describe_newer(const OfflineDisk& disk, const Shown& shown) const {
    const format::Superblock& then = table_;
    if (shown.opening > then.open_generation) {
      return fmt::format(
          "{}: the volume has been opened {} since this backup was made (opening {}, "
          "the backup's is {})",
          disk.path(), counted(shown.opening - then.open_generation, "time", "times"),
          shown.opening, u64{then.open_generation});
    }
    if (shown.journal > backup_.covered_sequence) {
      return fmt::format(
          "{}: the map has been changed since this backup was made (journal block {}, "
          "the backup holds {})",
          disk.path(), shown.journal, backup_.covered_sequence);
    }
    return fmt::format(
        "{}: the members have changed since this backup was made (generation {}, the "
        "backup's is {})",
        disk.path(), shown.membership, u64{then.membership.generation});
  }

  void fill_request() {
    MapModel map;
    for (format::Record record : backup_.records) {
      const bool is_gone = record.member != kMain && plan_.replaced[record.member];
      if (is_gone && record.type == static_cast<u8>(format::RecordType::bad_spare)) continue;
      if (is_gone) {
        plan_.lost_blocks += record.length;
        record.member = kMain;
        record.home = record.lost_low = record.lost_high = 0;
        record.flags = format::kRecordLostAll;
      }
      (void)map.replay(record);
    }
    plan_.records = map.records(*format::geometry_of(table_));
    for (Member m = 1; m < table_.member_count; ++m) {
      if (plan_.set.disk[m] == nullptr) continue;
      plan_.request.device[m] = member_device(*plan_.set.disk[m]);
      plan_.request.replaced[m] = plan_.replaced[m];
    }
  }

  const Backup& backup_;
  const format::Superblock& table_;
  const RestoreOptions options_;
  RestorePlan plan_;
  std::vector<Survey> found_;
  std::array<const Survey*, kMaxMembers> survey_of_{};
  std::vector<const OfflineDisk*> strangers_;
};

bool is_same(const std::vector<format::Record>& a, const std::vector<format::Record>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(a[0])) == 0);
}

}  // namespace

Expected<RestorePlan> plan_restore(const Backup& backup, std::span<const OfflineDisk* const> disks,
                                   const RestoreOptions& options) {
  return Planner(backup, options).plan(disks);
}

Expected<void> restore(const RestorePlan& plan) {
  const std::vector<const OfflineDisk*> members(
      plan.set.disk.begin(), plan.set.disk.begin() + plan.set.superblock.member_count);
  auto host = std::make_unique<OfflineHost>(members);
  auto store = std::make_unique<MetadataStore>(*host, host->executor());
  Status status = store->open_memory();
  if (status == Status::ok) {
    RecordList records(plan.records);
    status = host->run(
        [&](FrameStack& frames) { return store->restore(frames, plan.request, records); });
  }
  store->close_memory();
  if (status != Status::ok) {
    const int error = host->last_error();
    return failed(
        fmt::format("the metadata could not be written: {}; the volume does not start "
                    "until a restore has succeeded",
                    error != 0 ? std::strerror(error) : text_of(status)));
  }
  const Examination found = examine(plan.set);
  if (!is_clean(found) || !is_same(found.map.records(found.geometry), plan.records)) {
    return failed("what was written does not read back as it should; a spare does not keep data");
  }
  return {};
}

}  // namespace dmr::cli

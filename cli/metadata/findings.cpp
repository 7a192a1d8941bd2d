// SPDX-License-Identifier: GPL-2.0-or-later
// One sentence for each kind of finding.
#include "cli/metadata/findings.h"

#include <cstdio>
#include <cstring>

#include <fmt/format.h>

#include "runtime/device/errno_status.h"

namespace dmr::cli {
namespace {

constexpr char kRepaired[] =
    "a good copy is left; `dm-remap start` or `dm-remap repair` repairs it";
constexpr char kRefused[] = "the volume does not start";
constexpr char kHeadless[] =
    "no copy on this spare is good, so the volume does not start; `dm-remap repair` rebuilds them "
    "when another spare is given too";

std::string device_of(const Finding& finding, const std::vector<std::string>& paths) {
  if (finding.member < paths.size() && !paths[finding.member].empty()) {
    return paths[finding.member];
  }
  return finding.member == kMain ? "main" : fmt::format("spare {}", finding.member);
}

std::string sector_of(const Finding& finding) {
  return fmt::format("(sector {})", finding.address.value);
}

std::string io_text(IoStatus status) { return std::strerror(runtime::errno_of(status)); }

FindingText of_superblock(const Finding& finding, const std::string& device) {
  const std::string copy =
      fmt::format("{}: superblock copy {} {}", device, finding.copy, sector_of(finding));
  switch (finding.kind) {
    case FindingKind::superblock_stale:
      return {"superblock_stale", Weight::note, copy + " is older than the newest",
              "a crash can leave that; `dm-remap start` brings it up to date"};
    case FindingKind::superblock_torn:
      return {"superblock_torn", Weight::note, copy + " was being written when the power went",
              "a good copy is left; `dm-remap start` rewrites it"};
    default:
      return {"superblock_damaged", Weight::fault, copy + " is damaged", kRepaired};
  }
}

FindingText of_log(const Finding& finding, const std::string& device) {
  const std::string area = fmt::format("area {} {}", finding.copy, sector_of(finding));
  switch (finding.kind) {
    case FindingKind::journal_damaged:
      return {"journal_damaged", Weight::fault,
              fmt::format("{}: a journal slot in {} is damaged", device, area), kRepaired};
    case FindingKind::journal_gap:
      return {"journal_gap", Weight::fatal,
              fmt::format("{}: journal block {} has no good copy", device, finding.sequence),
              "changes of the map are lost, so reads could be stale; the volume does not start"};
    case FindingKind::checkpoint_damaged:
      return {"checkpoint_damaged", Weight::fault,
              fmt::format("{}: the checkpoint in {} is damaged", device, area),
              "the other checkpoint and the journal serve; `dm-remap start` or `dm-remap repair` "
              "repairs it"};
    case FindingKind::no_checkpoint:
      return {"no_checkpoint", Weight::fatal,
              fmt::format("{}: no checkpoint of any spare is good", device),
              "the map cannot be read; the volume does not start"};
    case FindingKind::record_invalid:
      return {"record_invalid", Weight::fatal,
              fmt::format("{}: a record in block {} {} points where it must not", device,
                          finding.sequence, sector_of(finding)),
              kRefused};
    default:
      return {"double_owner", Weight::fatal,
              fmt::format("{}: the spare block at sector {} serves two blocks of the volume",
                          device, finding.address.value),
              kRefused};
  }
}

FindingText wrong_member(const Finding& finding, const std::string& device) {
  const auto differs = [&](const char* what) {
    return fmt::format("{} is not the device of this volume: {} {} expected, {} found", device,
                       finding.expected, what, finding.found);
  };
  FindingText text{"member_wrong", Weight::fatal, "", kRefused};
  switch (finding.wrong) {
    case WrongMember::size:
      text.what = differs("sectors");
      break;
    case WrongMember::logical_block:
      text.what = differs("bytes in a logical block");
      break;
    case WrongMember::set:
      text.what = device + " belongs to another volume";
      break;
    case WrongMember::uuid:
      text.what = device + " is not the device that had this place last: another UUID";
      break;
    case WrongMember::place:
      text.what =
          fmt::format("{} is spare {}, not spare {}", device, finding.found, finding.expected);
      break;
    case WrongMember::identity:
      text.what = device + " has another serial number or WWN than the volume's own disk";
      text.consequence = "a clone starts with --ignore-identity only";
      break;
  }
  return text;
}

FindingText of_member(const Finding& finding, const std::string& device) {
  switch (finding.kind) {
    case FindingKind::member_missing:
      return {"member_missing", Weight::note, device + " is not among the devices",
              "without it the volume starts with --degraded only, and its blocks read as errors"};
    case FindingKind::member_stale:
      return {"member_stale", Weight::note, device + " lags behind the other spares",
              "`dm-remap start` brings it up to date"};
    case FindingKind::member_wrong:
      return wrong_member(finding, device);
    case FindingKind::restore_interrupted:
      return {"restore_interrupted", Weight::fatal, "a restore of the metadata was interrupted",
              "the volume does not start; run `dm-remap restore` again with the same backup"};
    case FindingKind::restored_older:
      return {"restored_older", Weight::note,
              "the metadata was restored from a backup that may be older than the data",
              "the volume is read-only for good; copy its data away, compare it with a backup, and "
              "`create` a volume anew"};
    case FindingKind::members_divergent:
      return {"members_divergent", Weight::fatal,
              device + " and another member were changed apart from each other", kRefused};
    default:
      return {"read_failed", Weight::fault,
              fmt::format("{}: metadata at sector {} cannot be read: {}", device,
                          finding.address.value, io_text(finding.io)),
              "another copy serves; the spare itself begins to fail and should be replaced"};
  }
}

}  // namespace

FindingText describe(const Finding& finding, const std::vector<std::string>& paths) {
  const std::string device = device_of(finding, paths);
  FindingText text;
  switch (finding.kind) {
    case FindingKind::superblock_damaged:
    case FindingKind::superblock_stale:
    case FindingKind::superblock_torn:
      text = of_superblock(finding, device);
      break;
    case FindingKind::journal_damaged:
    case FindingKind::journal_gap:
    case FindingKind::checkpoint_damaged:
    case FindingKind::no_checkpoint:
    case FindingKind::record_invalid:
    case FindingKind::double_owner:
      text = of_log(finding, device);
      break;
    default:
      text = of_member(finding, device);
  }
  if (finding.fatal && text.weight != Weight::fatal) {
    text.weight = Weight::fatal;
    text.consequence = finding.kind == FindingKind::superblock_damaged ? kHeadless : kRefused;
  }
  return text;
}

const char* text_of(Weight weight) {
  switch (weight) {
    case Weight::note:
      return "note";
    case Weight::fault:
      return "fault";
    case Weight::fatal:
      return "fatal";
  }
  return "";
}

std::string line_about(const Finding& finding, const std::vector<std::string>& paths,
                       const Started& started) {
  const FindingText text = describe(finding, paths);
  if (finding.kind == FindingKind::member_missing && started.degraded) {
    return fmt::format("note: starting without {} (--degraded); its blocks read as errors",
                       device_of(finding, paths));
  }
  const bool is_mended =
      (text.weight == Weight::fault && finding.kind != FindingKind::read_failed) ||
      finding.kind == FindingKind::member_stale || finding.kind == FindingKind::superblock_stale ||
      finding.kind == FindingKind::superblock_torn;
  if (started.repaired && is_mended) return "repaired: " + text.what;
  return fmt::format("{}: {}; {}", text_of(text.weight), text.what, text.consequence);
}

void print_findings(const std::vector<Finding>& findings, const std::vector<std::string>& paths,
                    const Started& started) {
  for (const Finding& finding : findings) {
    // Without fmt::print(), which throws when stderr takes nothing: the volume is open by now.
    (void)std::fputs(fmt::format("dm-remap: {}\n", line_about(finding, paths, started)).c_str(),
                     stderr);
  }
}

}  // namespace dmr::cli

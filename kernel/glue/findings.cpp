// SPDX-License-Identifier: GPL-2.0-or-later
// Words for what an opening found, without a library that formats text.
#include "kernel/glue/findings.h"

namespace dmr::kernel {
namespace {

// A bounded line: what does not fit is cut.
class Line {
 public:
  Line(char* text, std::size_t bytes) : text_(text), left_(bytes) { *text_ = 0; }
  Line& add(const char* words) {
    while (*words != 0 && left_ > 1) put(*words++);
    return *this;
  }
  Line& add(u64 number) {
    char digits[20];
    u32 count = 0;
    do {
      digits[count++] = static_cast<char>('0' + number % 10);
      number /= 10;
    } while (number != 0);
    while (count > 0 && left_ > 1) put(digits[--count]);
    return *this;
  }

 private:
  void put(char c) {
    *text_++ = c;
    *text_ = 0;
    --left_;
  }
  char* text_;
  std::size_t left_;
};

const char* words_for(const Finding& finding) {
  switch (finding.kind) {
    case FindingKind::superblock_damaged:
      return "superblock copy is damaged";
    case FindingKind::superblock_stale:
      return "superblock copy is older than the others";
    case FindingKind::superblock_torn:
      return "superblock copy was being written";
    case FindingKind::journal_damaged:
      return "journal block is damaged";
    case FindingKind::journal_gap:
      return "a journal block is missing, no copy is good";
    case FindingKind::checkpoint_damaged:
      return "checkpoint is damaged";
    case FindingKind::no_checkpoint:
      return "no checkpoint is good";
    case FindingKind::record_invalid:
      return "a record points where it may not";
    case FindingKind::double_owner:
      return "a spare block serves two blocks";
    case FindingKind::member_missing:
      return "is missing";
    case FindingKind::member_stale:
      return "lags behind";
    case FindingKind::member_wrong:
      return "is not the right device";
    case FindingKind::members_divergent:
      return "was changed apart from the other spares";
    case FindingKind::read_failed:
      return "metadata cannot be read";
    case FindingKind::restore_interrupted:
      return "a restore was interrupted";
    case FindingKind::restored_older:
      return "map was restored from an older backup: read-only";
  }
  return "is damaged";
}

const char* words_for(Status status) {
  switch (status) {
    case Status::not_found:
      return "no volume of ours on the spares";
    case Status::damaged:
      return "metadata is damaged";
    case Status::wrong_version:
      return "made by a newer version";
    case Status::wrong_member:
      return "a device is not the right one";
    case Status::member_missing:
      return "a member is missing (feature `degraded` starts without)";
    case Status::divergent:
      return "spares were changed apart from each other";
    case Status::no_memory:
      return "not enough memory";
    case Status::io_error:
      return "metadata cannot be read";
    default:
      return "cannot be opened";
  }
}

const char* words_for(WrongMember wrong) {
  switch (wrong) {
    case WrongMember::size:
      return " (sectors";
    case WrongMember::logical_block:
      return " (logical block";
    case WrongMember::set:
      return " (set";
    case WrongMember::uuid:
      return " (uuid";
    case WrongMember::place:
      return " (member";
    case WrongMember::identity:
      return " (identity";
  }
  return " (";
}

}  // namespace

void KernelFindings::found(const Finding& finding) {
  if (!finding.fatal || have_fatal_) return;
  fatal_ = finding;
  have_fatal_ = true;
}

void KernelFindings::explain(Status status, char* text, std::size_t bytes) const {
  Line line(text, bytes);
  line.add(words_for(status));
  if (!have_fatal_) return;
  line.add(": member ").add(u64{fatal_.member}).add(" ").add(words_for(fatal_));
  if (fatal_.kind == FindingKind::member_wrong) {
    line.add(words_for(fatal_.wrong)).add(": expected ").add(fatal_.expected);
    line.add(", found ").add(fatal_.found).add(")");
  }
}

}  // namespace dmr::kernel

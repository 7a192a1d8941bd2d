// SPDX-License-Identifier: GPL-2.0-or-later
// Opening a set: which devices belong to it, which checkpoint and which journal blocks make its
// newest state, and whether a single further fault could hide any of it.
#include "core/base/bugs.h"
#include "core/format/validate.h"
#include "core/log/store.h"

namespace dmr {
namespace {

// The text ends at the first zero or with the field.
bool is_same_identity(const char* a, const char* b) {
  for (u32 i = 0; i < format::kIdentityBytes; ++i) {
    if (a[i] != b[i]) return false;
    if (a[i] == 0) break;
  }
  return true;
}

}  // namespace

void FindingRelay::found(const Finding& finding) {
  any_ = any_ || (finding.kind != FindingKind::member_missing &&
                  finding.kind != FindingKind::restored_older);
  switch (finding.kind) {
    case FindingKind::superblock_damaged:
    case FindingKind::journal_damaged:
    case FindingKind::checkpoint_damaged:
    case FindingKind::read_failed:
      damaged_.add(finding.member);
      break;
    default:
      break;
  }
  next_->found(finding);
}

void MetadataStore::forget() {
  context_.reset();
  superblocks_.reset();
  journal_.close_table();
  checkpoints_.reset();
  is_loaded_ = is_writing_ = is_writable_ = false;
  is_unknown_ = is_exposed_ = needs_refresh_ = false;
  rebuilt_ = MemberSet{};
  newest_block_ = head_ = ChainPoint{};
  attempted_ = 0;
}

Task<Status> MetadataStore::load(FrameStack& frames, const LoadRequest& request, RecordSink& sink,
                                 FindingSink& findings) {
  const Turn turn(is_taken_);
  DMR_ASSERT(context_.is_open());
  if (frames.available() < kNestedBytes) co_return Status::again;
  forget();
  findings_.aim(findings);
  if (request.members < 2 || request.members > kMaxMembers) co_return Status::invalid;
  Status status = co_await superblocks_.read(frames, request, findings_);
  if (status != Status::ok) co_return status;
  status = accept_devices(request);
  if (status != Status::ok) co_return status;
  status = co_await journal_.gather(frames);
  if (status != Status::ok) co_return status;
  status = co_await checkpoints_.read_headers(frames, findings_);
  if (status != Status::ok) co_return status;
  status = co_await load_records(frames, sink);
  if (status != Status::ok) co_return status;
  status = co_await verify_other_checkpoints(frames);
  if (status == Status::ok) status = prove_rebuilt();
  if (status != Status::ok) co_return status;
  needs_refresh_ = !is_solid();
  is_loaded_ = true;
  co_return Status::ok;
}

Status MetadataStore::accept_devices(const LoadRequest& request) {
  const format::Superblock& block = context_.superblock();
  const Result<Geometry> geometry = format::geometry_of(block);
  DMR_ASSERT(geometry.has_value());  // validate_superblock() saw to it
  context_.geometry = *geometry;
  context_.membership_recorded = block.membership.generation;
  is_writable_ = format::validate_superblock(block, format::Access::read_write).status !=
                 Status::wrong_version;
  if ((block.incompat & format::kRestoring) != 0) {
    Finding finding;
    finding.kind = FindingKind::restore_interrupted;
    finding.fatal = true;
    findings_.found(finding);
    return Status::damaged;
  }
  if (format::is_restored_older(block)) {
    Finding finding;
    finding.kind = FindingKind::restored_older;
    findings_.found(finding);
  }
  bool is_missing = false;
  for (Member m = 0; m < context_.members(); ++m) {
    if (m != kMain) {
      const Result<SpareLayout> layout = format::layout_of(block, m);
      DMR_ASSERT(layout.has_value());
      context_.layout[m] = *layout;
    }
    const Status status = accept_device(m, request, is_missing);
    if (status != Status::ok) return status;
  }
  for (Member m = block.member_count; m < request.members; ++m) {
    if (!request.device[m].present) continue;
    Finding finding;
    finding.kind = FindingKind::member_wrong;
    finding.member = m;
    finding.fatal = true;
    finding.wrong = WrongMember::place;
    finding.expected = block.member_count;  // rows that there are
    finding.found = m;
    findings_.found(finding);
    return Status::wrong_member;
  }
  if (is_missing && !request.allow_degraded && !DMR_BUG(stale_member_alone)) {
    return Status::member_missing;
  }
  return context_.live().empty() ? Status::member_missing : Status::ok;
}

Status MetadataStore::accept_device(Member member, const LoadRequest& request, bool& is_missing) {
  const format::MemberState state = context_.state(member);
  if (state == format::MemberState::removed) return Status::ok;
  Finding finding;
  finding.member = member;
  bool here = member < request.members && request.device[member].present;
  if (here && member != kMain && !superblocks_.is_known(member)) {
    superblocks_.report(member, findings_, true);
    if (state == format::MemberState::live && request.rebuild_superblocks) {
      rebuilt_.add(member);
    } else if (state != format::MemberState::failed) {
      return superblocks_.why_unknown(member);
    } else {
      here = false;  // nothing proves that this is the one
    }
  }
  if (!here && member == kMain && request.spares_only) return Status::ok;
  if (!here) {
    is_missing = true;
    finding.kind = FindingKind::member_missing;
    finding.fatal = !request.allow_degraded;
    findings_.found(finding);
    return Status::ok;
  }
  const Status right = compare_device(member, request);
  if (right != Status::ok) return right;
  context_.set_present(member, request.device[member]);
  if (state == format::MemberState::missing) {
    finding.kind = FindingKind::member_stale;
    findings_.found(finding);
  }
  const bool is_told = member == kMain || rebuilt_.has(member);
  if (!is_told && state != format::MemberState::failed) superblocks_.report(member, findings_);
  return Status::ok;
}

// A spare without a superblock that had left the set, or that another one replaced, holds an older
// checkpoint than the others, and stale blocks.
Status MetadataStore::prove_rebuilt() {
  const MemberSet known = context_.live() - rebuilt_;
  for (Member m = 1; m < context_.members(); ++m) {
    if (rebuilt_.has(m) && !checkpoints_.shares_newest(m, known)) return Status::damaged;
  }
  return Status::ok;
}

Status MetadataStore::compare_device(Member member, const LoadRequest& request) {
  const format::MemberEntry& row = context_.superblock().member[member];
  const MemberDevice& device = request.device[member];
  Finding finding;
  finding.kind = FindingKind::member_wrong;
  finding.member = member;
  finding.fatal = true;
  if (device.sectors != row.sectors) {
    finding.wrong = WrongMember::size;
    finding.expected = row.sectors;
    finding.found = device.sectors;
  } else if (device.logical_block_bytes != row.logical_block_bytes) {
    finding.wrong = WrongMember::logical_block;
    finding.expected = row.logical_block_bytes;
    finding.found = device.logical_block_bytes;
  } else if (!request.ignore_identity && row.identity[0] != 0 && device.identity[0] != 0 &&
             !is_same_identity(row.identity, device.identity)) {
    finding.wrong = WrongMember::identity;
  } else {
    return Status::ok;
  }
  findings_.found(finding);
  return Status::wrong_member;
}

Status MetadataStore::refuse_gap(u64 sequence) {
  Finding finding;
  finding.kind = FindingKind::journal_gap;
  finding.fatal = true;
  finding.sequence = sequence;
  findings_.found(finding);
  return Status::damaged;
}

Task<Status> MetadataStore::load_records(FrameStack& frames, RecordSink& sink) {
  Status status = journal_.find_newest(newest_block_, findings_);
  if (status != Status::ok) co_return status;
  Checkpoints::Choice choice;
  status = co_await load_checkpoint(frames, sink, choice);
  if (status != Status::ok) co_return status;
  status = join_chain(choice);
  if (DMR_BUG(damage_ignored) && status != Status::ok) {
    head_ = checkpoints_.area(choice).covered;
    attempted_ = head_.sequence;
    (void)journal_.follow(ChainPoint{}, 0);
    status = Status::ok;
  }
  if (status != Status::ok) {
    (void)journal_.report(newest_block_.sequence, findings_);
    co_return status;
  }
  if (!journal_.report(attempted_, findings_)) needs_refresh_ = true;
  if (journal_.tail_is_hidden(attempted_)) co_return Status::io_error;
  if (journal_.tail_is_doubtful(attempted_)) co_return refuse_gap(attempted_ + 1);
  co_return co_await journal_.replay(frames, sink, findings_);
}

// The newest checkpoint that is good on any spare.
Task<Status> MetadataStore::load_checkpoint(FrameStack& frames, RecordSink& sink,
                                            Checkpoints::Choice& choice) {
  for (u32 tries = 0; tries < kMaxSpares * kAreas; ++tries) {
    choice = checkpoints_.newest_unverified();
    if (choice.none()) break;
    sink.reset();
    const Status status = co_await checkpoints_.read_body(frames, choice, &sink, findings_);
    if (status == Status::ok) co_return status;
    if (checkpoints_.area(choice).state == Checkpoints::AreaState::complete) co_return status;
  }
  Finding finding;
  finding.kind = FindingKind::no_checkpoint;
  finding.fatal = true;
  findings_.found(finding);
  co_return Status::damaged;
}

// Finds the end of the journal and the chain from there down to the checkpoint: each block must be
// there. Only behind an end without any intact successor may something be torn.
Status MetadataStore::join_chain(Checkpoints::Choice choice) {
  const ChainPoint base = checkpoints_.area(choice).covered;
  const ChainPoint known = checkpoints_.newest_known();  // a newer one may have lost its body
  DMR_ASSERT(known.sequence >= base.sequence);
  if (newest_block_.sequence > known.sequence) {
    const Journal::Chain above = journal_.follow(newest_block_, known.sequence);
    if (!above.whole) return refuse_gap(above.missing);
    if (above.end.crc != known.crc) return refuse_gap(known.sequence);
    head_ = newest_block_;
  } else {
    head_ = known;  // what lies in the journal is in the checkpoint, or was cancelled by it
  }
  attempted_ = head_.sequence;
  ChainPoint from = head_;
  if (head_ == known) {
    from = known.crc == base.crc ? ChainPoint{} : journal_.locate(known.sequence, known.crc);
    if (known.crc != base.crc && from.sequence <= base.sequence) return refuse_gap(known.sequence);
  }
  const Journal::Chain chain = journal_.follow(from, base.sequence);
  if (!chain.whole) return refuse_gap(chain.missing);
  if (from.sequence > base.sequence && chain.end.crc != base.crc) return refuse_gap(base.sequence);
  return Status::ok;
}

Task<Status> MetadataStore::verify_other_checkpoints(FrameStack& frames) {
  for (u32 tries = 0; tries < kMaxSpares * kAreas; ++tries) {
    const Checkpoints::Choice choice = checkpoints_.newest_unverified();
    if (choice.none()) break;
    const Status status = co_await checkpoints_.read_body(frames, choice, nullptr, findings_);
    if (status == Status::ok) continue;
    if (checkpoints_.area(choice).state == Checkpoints::AreaState::complete) co_return status;
  }
  co_return Status::ok;
}

// True when the same state would be found with any one checkpoint or journal copy gone, or on any
// one of the live spares.
bool MetadataStore::is_solid() {
  if (!checkpoints_.settle() || needs_refresh_) return false;
  // A place that was passed over by a checkpoint: the next block will name it as its predecessor,
  // and only checkpoints that cover it know of it.
  const bool is_passed_over = head_ != newest_block_ && !DMR_BUG(passed_over_forgotten);
  if (is_passed_over && head_.sequence > checkpoints_.older_covered().sequence) return false;
  const Journal::Chain chain =
      follow_from_older(checkpoints_.newest_covered(), checkpoints_.older_covered());
  return chain.whole && chain.redundant;
}

// The chain that leads from the end of the journal to what the older of two checkpoints covers:
// whole when the state that was found would be found without the newest one, too.
Journal::Chain MetadataStore::follow_from_older(ChainPoint newest, ChainPoint older) {
  Journal::Chain chain;
  if (newest_block_.sequence <= older.sequence) {
    chain.whole = newest.crc == older.crc;
    return chain;
  }
  if (newest_block_.sequence <= newest.sequence && newest_block_.crc != newest.crc) return chain;
  chain = journal_.follow(newest_block_, older.sequence);
  chain.whole = chain.whole && chain.end.crc == older.crc;
  return chain;
}

}  // namespace dmr

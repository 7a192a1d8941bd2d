// SPDX-License-Identifier: GPL-2.0-or-later
// Reading, judging and updating superblock copies.
#include "core/log/superblocks.h"

#include <cstring>

#include "core/format/validate.h"
#include "core/log/membership.h"

namespace dmr {
namespace {

Finding finding_of(FindingKind kind, Member member) {
  Finding finding;
  finding.kind = kind;
  finding.member = member;
  return finding;
}

Status refuse_member(Member member, WrongMember wrong, u64 expected, u64 found,
                     FindingSink& findings) {
  Finding finding = finding_of(FindingKind::member_wrong, member);
  finding.fatal = true;
  finding.wrong = wrong;
  finding.expected = expected;
  finding.found = found;
  findings.found(finding);
  return Status::wrong_member;
}

bool is_newer(const format::Superblock& a, const format::Superblock& b) {
  if (a.membership.generation != b.membership.generation) {
    return a.membership.generation > b.membership.generation;
  }
  return a.header.sequence > b.header.sequence;
}

}  // namespace

void Superblocks::reset() {
  for (auto& copies : copy_) {
    for (Copy& copy : copies) copy = Copy{};
  }
  for (u8& best : best_) best = kNone;
  recorded_ = MemberSet{};
}

const format::Superblock& Superblocks::block_of(Member member, u32 copy) const {
  return StoreContext::as<format::Superblock>(context_.block(index_of(member, copy)));
}

Task<Status> Superblocks::read(FrameStack& /*frames*/, const LoadRequest& request,
                               FindingSink& findings) {
  reset();
  u32 count = 0;
  for (Member m = 1; m < request.members; ++m) {
    if (!request.device[m].present) continue;
    for (u32 c = 0; c < kCopies; ++c) {
      const auto place = SpareLayout::superblock_sector(request.device[m].sectors, c);
      if (!place) continue;  // too small to be one of ours
      copy_[m][c].address = *place;
      context_.prepare(count, m, IoOp::read, *place, context_.block(index_of(m, c)), 1);
      ++count;
    }
  }
  co_await context_.run_batch(count);
  count = 0;
  for (Member m = 1; m < request.members; ++m) {
    for (Copy& copy : copy_[m]) {
      if (copy.address.value != 0) copy.io = context_.status(count++);
    }
  }
  const Status copies = judge_copies(request, findings);
  if (copies != Status::ok) co_return copies;
  co_return judge_kinship(findings);
}

Status Superblocks::judge_copies(const LoadRequest& request, FindingSink& findings) {
  Status none = Status::member_missing;  // of the spares handed in, why none can be used
  bool any = false;
  for (Member m = 1; m < request.members; ++m) {
    if (!request.device[m].present) continue;
    for (u32 c = 0; c < kCopies; ++c) {
      Copy& copy = copy_[m][c];
      copy.state = CopyState::stranger;
      if (copy.address.value == 0) continue;
      if (copy.io != IoStatus::ok) {
        copy.state = CopyState::unreadable;
        continue;
      }
      const format::Superblock& block = block_of(m, c);
      const format::Place place{.kind = format::Kind::superblock,
                                .member = m,
                                .area = static_cast<u8>(c),
                                .set = Uuid{},
                                .address = copy.address};
      const format::Verdict verdict = format::check_of_any_set(block, place);
      if (verdict == format::Verdict::blank || verdict == format::Verdict::bad_magic) continue;
      copy.state = CopyState::damaged;
      if (verdict != format::Verdict::ok) continue;
      const Status valid = format::validate_superblock(block, format::Access::read_only).status;
      if (valid == Status::wrong_version) return valid;
      if (valid != Status::ok) continue;
      copy.state = CopyState::good;
      copy.sequence = block.header.sequence;
    }
    choose(m);
    any = any || is_known(m);
    if (none != Status::damaged && !is_known(m)) none = why_unknown(m);
  }
  if (any) return Status::ok;
  for (Member m = 1; m < request.members; ++m) report(m, findings);
  return none;
}

void Superblocks::choose(Member member) {
  const format::BlockHeader* good[kCopies] = {};
  for (u32 c = 0; c < kCopies; ++c) {
    if (copy_[member][c].state == CopyState::good) good[c] = &block_of(member, c).header;
  }
  const Election election = elect(good);
  best_[member] = election.winner;
  for (u32 c = 0; c < kCopies; ++c) {
    if (election.outvotes(c)) copy_[member][c].state = CopyState::damaged;
  }
}

Member Superblocks::newest_member() const {
  Member newest = kMain;
  for (Member m = 1; m < kMaxMembers; ++m) {
    if (!is_known(m)) continue;
    if (newest == kMain || is_newer(block_of(m, best_[m]), block_of(newest, best_[newest]))) {
      newest = m;
    }
  }
  return newest;
}

Status Superblocks::judge_kinship(FindingSink& findings) {
  const Member newest = newest_member();
  DMR_ASSERT(newest != kMain);
  const format::Superblock& chosen = block_of(newest, best_[newest]);
  std::memcpy(&context_.superblock(), &chosen, sizeof(chosen));
  for (Member m = 1; m < kMaxMembers; ++m) {
    if (!is_known(m)) continue;
    const format::Superblock& own = block_of(m, best_[m]);
    if (own.header.set != chosen.header.set) {
      return refuse_member(m, WrongMember::set, 0, 0, findings);
    }
    if (own.own_member != m) {
      return refuse_member(m, WrongMember::place, m, own.own_member, findings);
    }
    if (m >= chosen.member_count || own.member[m].uuid != chosen.member[m].uuid) {
      return refuse_member(m, WrongMember::uuid, 0, 0, findings);
    }
    if (!membership_descends_from(chosen, own.membership)) {
      Finding finding = finding_of(FindingKind::members_divergent, m);
      finding.fatal = true;
      findings.found(finding);
      return Status::divergent;
    }
  }
  return Status::ok;
}

Status Superblocks::why_unknown(Member member) const {
  if (is_known(member)) return Status::ok;
  Status why = Status::not_found;
  for (const Copy& copy : copy_[member]) {
    if (copy.state == CopyState::damaged) return Status::damaged;
    if (copy.state == CopyState::unreadable) why = Status::io_error;
  }
  return why;
}

void Superblocks::report(Member member, FindingSink& findings, bool is_missed) const {
  u64 oldest = ~u64{0};
  u64 newest = 0;
  u32 good = 0;
  for (const Copy& copy : copy_[member]) {
    if (copy.state != CopyState::good) continue;
    ++good;
    newest = copy.sequence > newest ? copy.sequence : newest;
    oldest = copy.sequence < oldest ? copy.sequence : oldest;
  }
  for (u8 c = 0; c < kCopies; ++c) {
    const Copy& copy = copy_[member][c];
    if (copy.state == CopyState::unread) continue;
    if (copy.state == CopyState::good && copy.sequence == newest) continue;
    const bool is_blank = why_unknown(member) == Status::not_found;
    if (copy.state == CopyState::stranger && is_blank && !is_missed) continue;
    Finding finding = finding_of(FindingKind::superblock_damaged, member);
    finding.copy = c;
    finding.fatal = good == 0;
    finding.address = copy.address;
    finding.sequence = copy.sequence;
    finding.io = copy.io;
    if (copy.state == CopyState::unreadable) {
      finding.kind = FindingKind::read_failed;
    } else if (copy.state == CopyState::good) {
      finding.kind = FindingKind::superblock_stale;
    } else if (good == kCopies - 1 && oldest + 1 == newest) {
      finding.kind = FindingKind::superblock_torn;  // one before it is new, one behind it is old
    }
    findings.found(finding);
  }
}

u8 Superblocks::next_copy(Member member) const {
  u32 good = 0;
  for (const Copy& copy : copy_[member]) good += copy.state == CopyState::good ? 1 : 0;
  u8 choice = kNone;
  for (u8 c = 0; c < kCopies; ++c) {
    if (((tried_[member] >> c) & 1U) != 0) continue;
    if (copy_[member][c].state != CopyState::good) return c;  // nothing to lose there: first
    if (choice == kNone && good >= 2) choice = c;  // the last good one is never overwritten
  }
  return choice;
}

u32 Superblocks::prepare_pass(MemberSet targets) {
  u32 count = 0;
  for (Member m = 1; m < context_.members(); ++m) {
    if (!targets.has(m)) continue;
    const u8 c = next_copy(m);
    if (c == kNone) continue;
    std::byte* memory = context_.block(count);
    auto& block = StoreContext::as<format::Superblock>(memory);
    std::memcpy(&block, &context_.superblock(), sizeof(block));
    block.own_member = m;
    const Sector address = context_.layout[m].superblock[c];
    copy_[m][c].address = address;
    format::seal(block, context_.place(format::Kind::superblock, m, c, address),
                 context_.superblock().header.sequence, context_.open_epoch);
    DMR_ASSERT(format::validate_superblock(block, format::Access::read_write));
    context_.prepare(count, m, IoOp::write, address, memory, 1);
    context_.io(count).fua = true;
    pass_member_[count] = m;
    pass_copy_[count] = c;
    ++count;
  }
  return count;
}

void Superblocks::note_pass(u32 count) {
  for (u32 i = 0; i < count; ++i) {
    const Member m = pass_member_[i];
    const auto bit = static_cast<u8>(1U << pass_copy_[i]);
    Copy& copy = copy_[m][pass_copy_[i]];
    tried_[m] = static_cast<u8>(tried_[m] | bit);
    copy.io = context_.status(i);
    if (copy.io != IoStatus::ok) {
      copy.state = CopyState::unreadable;
      continue;
    }
    copy.state = CopyState::good;
    copy.sequence = context_.superblock().header.sequence;
    written_[m] = static_cast<u8>(written_[m] + 1);
    ++context_.counters.superblock_writes;
  }
}

Task<Status> Superblocks::update(FrameStack& frames, MemberSet targets) {
  ++context_.superblock().header.sequence;
  recorded_ = MemberSet{};
  for (Member m = 0; m < kMaxMembers; ++m) tried_[m] = written_[m] = 0;
  for (u32 pass = 0; pass < kCopies; ++pass) {
    const u32 count = prepare_pass(targets);
    if (count == 0) break;
    const Status run = co_await context_.write_batch(frames, count);
    if (run != Status::ok) co_return run;
    note_pass(count);
  }
  for (Member m = 1; m < context_.members(); ++m) {
    if (targets.has(m) && written_[m] >= 2) recorded_.add(m);
  }
  co_return recorded_ == targets ? Status::ok : Status::io_error;
}

Task<Status> Superblocks::wipe(FrameStack& frames, MemberSet targets) {
  std::memset(context_.scratch(0), 0, kMetaBytes);
  u32 count = 0;
  for (Member m = 1; m < context_.members(); ++m) {
    for (u32 c = 0; targets.has(m) && c < kCopies; ++c) {
      copy_[m][c] = Copy{};
      context_.prepare(count, m, IoOp::write, context_.layout[m].superblock[c], context_.scratch(0),
                       1);
      context_.io(count).fua = true;
      ++count;
    }
  }
  const Status run = co_await context_.write_batch(frames, count);
  if (run != Status::ok) co_return run;
  for (u32 i = 0; i < count; ++i) {
    if (context_.status(i) != IoStatus::ok) co_return Status::io_error;
  }
  co_return Status::ok;
}

}  // namespace dmr

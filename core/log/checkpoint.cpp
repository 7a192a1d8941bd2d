// SPDX-License-Identifier: GPL-2.0-or-later
// Reading and checking checkpoints.
#include "core/log/checkpoint.h"

#include "core/format/validate.h"

namespace dmr {

void Checkpoints::reset() {
  for (auto& areas : area_) {
    for (Area& area : areas) area = Area{};
  }
  sequence_ = 0;
  newest_ = older_ = ChainPoint{};
}

Task<Status> Checkpoints::read_headers(FrameStack& /*frames*/, FindingSink& findings) {
  const MemberSet live = context_.live();
  u32 count = 0;
  for (Member m = 1; m < context_.members(); ++m) {
    for (u8 a = 0; live.has(m) && a < kAreas; ++a, ++count) {
      context_.prepare(count, m, IoOp::read, context_.layout[m].checkpoint_block(a, 0),
                       context_.scratch(count), 1);
    }
  }
  co_await context_.run_batch(count);
  count = 0;
  for (Member m = 1; m < context_.members(); ++m) {
    for (u8 a = 0; live.has(m) && a < kAreas; ++a, ++count) {
      Area& area = area_[m][a];
      area.io = context_.status(count);
      area.state = AreaState::unreadable;
      if (area.io == IoStatus::ok) {
        note_header(area, StoreContext::as<format::CheckpointHeader>(context_.scratch(count)), m,
                    a);
      }
      const Choice choice{m, a};
      if (area.state == AreaState::unreadable) {
        (void)condemn(choice, FindingKind::read_failed, area.io, findings);
      } else if (area.state == AreaState::damaged) {
        (void)condemn(choice, FindingKind::checkpoint_damaged, IoStatus::ok, findings);
      }
    }
  }
  co_return Status::ok;
}

void Checkpoints::note_header(Area& area, const format::CheckpointHeader& header, Member member,
                              u8 index) {
  area.state = AreaState::damaged;
  const SpareLayout& layout = context_.layout[member];
  const format::Place place = context_.place(format::Kind::checkpoint_header, member, index,
                                             layout.checkpoint_block(index, 0));
  if (format::check(header, place) != format::Verdict::ok) return;
  if (!format::validate_checkpoint_header(header, layout)) return;
  area.sequence = header.header.sequence;
  if (area.sequence > sequence_) sequence_ = area.sequence;
  if (header.state == format::kCheckpointWriting) {
    area.state = AreaState::writing;  // what a power cut leaves
    return;
  }
  area.covered = {header.covered_sequence, header.covered_crc};
  area.state = AreaState::complete;
  area.is_header_good = true;
}

Checkpoints::Choice Checkpoints::newest_unverified() const {
  Choice best;
  for (Member m = 1; m < context_.members(); ++m) {
    for (u8 a = 0; a < kAreas; ++a) {
      const Area& one = area_[m][a];
      if (one.state != AreaState::complete || one.is_verified) continue;
      if (best.none() || one.sequence > area(best).sequence) best = {m, a};
    }
  }
  return best;
}

ChainPoint Checkpoints::newest_known() const {
  const Area* best = nullptr;
  for (const auto& areas : area_) {
    for (const Area& one : areas) {
      if (one.is_header_good && (best == nullptr || one.sequence > best->sequence)) best = &one;
    }
  }
  return best == nullptr ? ChainPoint{} : best->covered;
}

Status Checkpoints::condemn(Choice choice, FindingKind kind, IoStatus io, FindingSink& findings) {
  Area& bad = area_[choice.member][choice.area];
  bad.state = kind == FindingKind::read_failed ? AreaState::unreadable : AreaState::damaged;
  bad.io = io;
  Finding finding;
  finding.kind = kind;
  finding.member = choice.member;
  finding.copy = choice.area;
  finding.address = context_.layout[choice.member].checkpoint_block(choice.area, 0);
  finding.sequence = bad.sequence;
  finding.io = io;
  findings.found(finding);
  return Status::damaged;
}

void Checkpoints::refuse(Choice choice, FindingKind kind, Sector address,
                         FindingSink& findings) const {
  Finding finding;
  finding.kind = kind;
  finding.member = choice.member;
  finding.copy = choice.area;
  finding.fatal = true;
  finding.address = address;
  finding.sequence = area(choice).sequence;
  findings.found(finding);
}

// The header is in scratch block 0 while its body is read.
Task<Status> Checkpoints::read_body(FrameStack& frames, Choice choice, RecordSink* sink,
                                    FindingSink& findings) {
  const SpareLayout& layout = context_.layout[choice.member];
  auto& header = StoreContext::as<format::CheckpointHeader>(context_.scratch(0));
  context_.prepare(0, choice.member, IoOp::read, layout.checkpoint_block(choice.area, 0),
                   context_.scratch(0), 1);
  co_await context_.run_batch(1);
  if (context_.status(0) != IoStatus::ok) {
    co_return condemn(choice, FindingKind::read_failed, context_.status(0), findings);
  }
  Area again;
  note_header(again, header, choice.member, choice.area);
  if (again.state != AreaState::complete || again.sequence != area(choice).sequence) {
    co_return condemn(choice, FindingKind::checkpoint_damaged, IoStatus::ok, findings);
  }
  body_crc_[choice.member] = 0;
  Status status = Status::ok;
  if (header.body_blocks > 0) {
    stream_.start(context_, choice.member, layout.checkpoint_block(choice.area, 1),
                  header.body_blocks);
  }
  while (stream_.more()) {
    co_await stream_.arrival();
    if (stream_.failed() && status == Status::ok) {
      const Status single = co_await stream_.read_singly(frames);
      DMR_ASSERT(single == Status::ok);  // the store has made sure of the frames
    }
    for (u32 i = 0; status == Status::ok && i < stream_.arrived(); ++i) {
      const u64 index = stream_.first_index() + i;
      const auto& body = StoreContext::as<format::CheckpointBody>(stream_.block(i));
      if (stream_.status(i) != IoStatus::ok) {
        status = condemn(choice, FindingKind::read_failed, stream_.status(i), findings);
      } else {
        status = check_body(body, choice, index, findings);
      }
      if (status == Status::ok && sink != nullptr) status = feed(body, choice, *sink, findings);
    }
    if (status != Status::ok) stream_.stop();
    stream_.advance();
  }
  if (status != Status::ok) co_return status;
  co_return finish_body(choice, findings);
}

Status Checkpoints::check_body(const format::CheckpointBody& body, Choice choice, u64 index,
                               FindingSink& findings) {
  const auto& header = StoreContext::as<format::CheckpointHeader>(context_.scratch(0));
  const format::Place place =
      context_.place(format::Kind::checkpoint_body, choice.member, choice.area,
                     context_.layout[choice.member].checkpoint_block(choice.area, index + 1));
  const bool good = format::check(body, place) == format::Verdict::ok && body.index == index &&
                    body.header.sequence == header.header.sequence &&
                    body.header.open_epoch == header.header.open_epoch;
  if (!good) return condemn(choice, FindingKind::checkpoint_damaged, IoStatus::ok, findings);
  if (!format::validate_checkpoint_body(body, header, index, context_.geometry,
                                        context_.spares())) {
    refuse(choice, FindingKind::record_invalid, place.address, findings);
    return Status::damaged;
  }
  body_crc_[choice.member] = format::add_body_crc(body_crc_[choice.member], body);
  return Status::ok;
}

Status Checkpoints::feed(const format::CheckpointBody& body, Choice choice, RecordSink& sink,
                         FindingSink& findings) const {
  for (u32 i = 0; i < body.records; ++i) {
    const format::Record record = body.record[i];
    const Status status = sink.snapshot(record);
    if (status == Status::ok) continue;
    if (status == Status::damaged) {
      refuse(choice, FindingKind::double_owner, Sector(body.header.address), findings);
    }
    return status;
  }
  return Status::ok;
}

Status Checkpoints::finish_body(Choice choice, FindingSink& findings) {
  const auto& header = StoreContext::as<format::CheckpointHeader>(context_.scratch(0));
  if (header.body_crc != body_crc_[choice.member]) {
    return condemn(choice, FindingKind::checkpoint_damaged, IoStatus::ok, findings);
  }
  area_[choice.member][choice.area].is_verified = true;
  return Status::ok;
}

bool Checkpoints::shares_newest(Member member, MemberSet known) const {
  const Area* newest = nullptr;
  for (Member m = 1; m < context_.members(); ++m) {
    for (u8 a = 0; known.has(m) && a < kAreas; ++a) {
      const Area& one = area_[m][a];
      if (one.is_header_good && (newest == nullptr || one.sequence > newest->sequence)) {
        newest = &one;
      }
    }
  }
  if (newest == nullptr) return false;
  for (const Area& one : area_[member]) {
    if (one.is_verified && one.sequence == newest->sequence && one.covered == newest->covered) {
      return true;
    }
  }
  return false;
}

bool Checkpoints::settle() {
  const Area* newest = nullptr;
  const Area* older = nullptr;
  const MemberSet live = context_.live();
  for (Member m = 1; m < context_.members(); ++m) {
    if (!live.has(m)) continue;
    const Area& first = area_[m][0].sequence > area_[m][1].sequence ? area_[m][0] : area_[m][1];
    const Area& second = &first == &area_[m][0] ? area_[m][1] : area_[m][0];
    if (!first.is_verified || !second.is_verified) return false;
    if (first.sequence == second.sequence) return false;
    if (newest == nullptr) {
      newest = &first;
      older = &second;
    }
    if (first.sequence != newest->sequence || second.sequence != older->sequence) return false;
  }
  if (newest == nullptr) return false;
  newest_ = newest->covered;
  older_ = older->covered;
  return true;
}

}  // namespace dmr

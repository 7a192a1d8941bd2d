// SPDX-License-Identifier: GPL-2.0-or-later
// Replaying the journal, formatting its slots, and writing blocks.
#include "core/log/journal.h"

#include <cstring>

#include "core/base/bugs.h"
#include "core/format/validate.h"

namespace dmr {

bool Journal::prepare_fetch(u32 index, ChainPoint point, u32 skip, std::byte* memory) {
  for (Member m = 1; m < context_.members(); ++m) {
    for (u8 area = 0; in_table_.has(m) && area < kAreas; ++area) {
      if (!holds(slot_of(m, area, point.sequence), point)) continue;
      if (skip-- > 0) continue;
      const Sector address = context_.layout[m].journal_slot(area, point.sequence);
      context_.prepare(index, m, IoOp::read, address, memory, 1);
      return true;
    }
  }
  return false;
}

bool Journal::is_fetched(u32 index, ChainPoint point) const {
  const DeviceIo& io = context_.io(index);
  if (io.status != IoStatus::ok) return false;
  auto& block = StoreContext::as<format::JournalBlock>(io.buffer);
  // All of it: a copy that is written again must be as it was.
  const format::Place place =
      context_.place(format::Kind::journal, io.member, block.header.area, io.sector);
  return format::check(block, place) == format::Verdict::ok &&
         block.header.sequence == point.sequence && block.records <= format::kJournalRecords &&
         chain_crc(block) == point.crc;
}

// Reads other copies of the block, to the memory of context `index`.
Task<Status> Journal::fetch_another(FrameStack& /*frames*/, u32 index, ChainPoint point) {
  std::byte* memory = context_.io(index).buffer;
  for (u32 skip = 1; skip < kMaxSpares * kAreas; ++skip) {
    // Context 0 has been looked at: this is called for one block after the other.
    if (!prepare_fetch(0, point, skip, memory)) co_return Status::damaged;
    co_await context_.run_batch(1);
    if (is_fetched(0, point)) co_return Status::ok;
  }
  co_return Status::damaged;
}

Status Journal::deliver(u32 index, RecordSink& sink, FindingSink& findings) const {
  const auto& block = StoreContext::as<format::JournalBlock>(context_.block(index));
  Finding finding;
  finding.fatal = true;
  finding.sequence = block.header.sequence;
  finding.member = block.header.member;
  finding.copy = block.header.area;
  finding.address = Sector(block.header.address);
  if (!format::validate_journal(block, context_.geometry, context_.spares())) {
    finding.kind = FindingKind::record_invalid;
    findings.found(finding);
    return Status::damaged;
  }
  for (u32 i = 0; i < block.records; ++i) {
    const format::Record record = block.record[i];
    const Status status = sink.replay(record);
    if (status == Status::ok) continue;
    if (status == Status::damaged) {
      finding.kind = FindingKind::double_owner;
      findings.found(finding);
    }
    return status;
  }
  return Status::ok;
}

Task<Status> Journal::replay(FrameStack& frames, RecordSink& sink, FindingSink& findings) {
  for (u32 left = path_length_; left > 0;) {
    const u32 count = left < StoreContext::kContexts ? left : StoreContext::kContexts;
    for (u32 i = 0; i < count; ++i) {
      const bool found = prepare_fetch(i, path_[left - 1 - i], 0, context_.block(i));
      DMR_ASSERT(found);  // follow() saw it
    }
    co_await context_.run_batch(count);
    for (u32 i = 0; i < count; ++i) {
      const ChainPoint point = path_[left - 1 - i];
      if (!is_fetched(i, point)) {
        const Status another = co_await fetch_another(frames, i, point);
        if (another != Status::ok) {
          Finding finding;
          finding.kind = FindingKind::journal_gap;
          finding.fatal = true;
          finding.sequence = point.sequence;
          findings.found(finding);
          co_return another;
        }
      }
      if (DMR_BUG(replay_one_short) && left - i == 1) continue;
      const Status delivered = deliver(i, sink, findings);
      if (delivered != Status::ok) co_return delivered;
    }
    left -= count;
  }
  co_return Status::ok;
}

u32 Journal::prepare_copies(ChainPoint point, MemberSet members, u32 count) {
  for (Member m = 1; m < context_.members(); ++m) {
    for (u8 area = 0; members.has(m) && in_table_.has(m) && area < kAreas; ++area) {
      if (!holds(slot_of(m, area, point.sequence), point)) continue;
      const Sector address = context_.layout[m].journal_slot(area, point.sequence);
      context_.prepare(count, m, IoOp::read, address, context_.block(count), 1);
      ++count;
    }
  }
  return count;
}

void Journal::seal_blank(std::byte* memory, Member member, u8 area, u64 index) const {
  std::memset(memory, 0, kMetaBytes);
  auto& block = StoreContext::as<format::JournalBlock>(memory);
  block.open_generation = context_.superblock().open_generation;
  const Sector address = context_.layout[member].journal_slot(area, index);
  format::seal(block, context_.place(format::Kind::journal, member, area, address), 0,
               context_.open_epoch);
}

Task<Status> Journal::format_all(FrameStack& frames, MemberSet targets) {
  formatted_ = MemberSet{};
  for (Member m = 1; m < context_.members(); ++m) {
    if (!targets.has(m)) continue;
    Status status = Status::ok;
    for (u8 area = 0; status == Status::ok && area < kAreas; ++area) {
      status = co_await format_area(frames, m, area);
    }
    if (status == Status::ok) formatted_.add(m);
  }
  co_return formatted_ == targets ? Status::ok : Status::io_error;
}

Task<Status> Journal::format_area(FrameStack& frames, Member member, u8 area) {
  const u32 slots = context_.layout[member].journal_slots;
  for (u32 index = 0; index < slots;) {
    u32 chunks = 0;
    for (; chunks < StoreContext::kChunks && index < slots; ++chunks) {
      const Sector address = context_.layout[member].journal_slot(area, index);
      u32 blocks = 0;
      for (; blocks < StoreContext::kChunkBlocks && index < slots; ++blocks, ++index) {
        seal_blank(context_.block(chunks * StoreContext::kChunkBlocks + blocks), member, area,
                   index);
      }
      context_.prepare(chunks, member, IoOp::write, address, context_.chunk(chunks), blocks);
      context_.io(chunks).fua = true;
    }
    const Status run = co_await context_.write_batch(frames, chunks);
    if (run != Status::ok) co_return run;
    for (u32 i = 0; i < chunks; ++i) {
      if (context_.status(i) != IoStatus::ok) co_return Status::io_error;
    }
  }
  co_return Status::ok;
}

Task<Status> Journal::format_bad(FrameStack& frames, MemberSet targets) {
  formatted_ = targets;
  for (Member m = 1; m < context_.members(); ++m) {
    if (!targets.has(m) || !in_table_.has(m)) continue;
    const u32 slots = context_.layout[m].journal_slots;
    for (u32 i = 0; i < kAreas * slots; ++i) {
      const auto area = static_cast<u8>(i / slots);
      const u32 index = i % slots;
      if (slot_at(m, area, index).state == SlotState::good) continue;
      seal_blank(context_.scratch(0), m, area, index);
      context_.prepare(0, m, IoOp::write, context_.layout[m].journal_slot(area, index),
                       context_.scratch(0), 1);
      context_.io(0).fua = true;
      const Status run = co_await context_.write_batch(frames, 1);
      if (run != Status::ok) co_return run;
      if (context_.status(0) == IoStatus::ok) {
        slot_at(m, area, index) = Slot{};
        slot_at(m, area, index).state = SlotState::good;
      } else {
        formatted_.remove(m);
      }
    }
  }
  co_return formatted_ == targets ? Status::ok : Status::io_error;
}

void Journal::compose(u64 sequence, ChainPoint previous, const format::Record* records, u32 count) {
  DMR_ASSERT(count <= format::kJournalRecords);
  DMR_ASSERT(previous.sequence < sequence);
  std::byte* memory = context_.scratch(kTemplate);
  std::memset(memory, 0, kMetaBytes);
  auto& block = StoreContext::as<format::JournalBlock>(memory);
  block.previous_sequence = previous.sequence;
  block.previous_crc = previous.crc;
  block.records = count;
  block.open_generation = context_.superblock().open_generation;
  block.membership = context_.membership_recorded;
  if (count > 0) std::memcpy(block.record, records, count * sizeof(format::Record));
  format::seal(block, context_.place(format::Kind::journal, 1, 0, Sector()), sequence,
               context_.open_epoch);
  DMR_ASSERT(format::validate_journal(block, context_.geometry, context_.spares()));
  composed_crc_ = chain_crc(block);
}

u32 Journal::add_copies(MemberSet targets, u8 area, u32 count) {
  const u64 sequence =
      StoreContext::as<format::JournalBlock>(context_.scratch(kTemplate)).header.sequence;
  for (Member m = 1; m < context_.members(); ++m) {
    if (!targets.has(m)) continue;
    DMR_ASSERT(count < kTemplate);
    std::memcpy(context_.scratch(count), context_.scratch(kTemplate), kMetaBytes);
    auto& block = StoreContext::as<format::JournalBlock>(context_.scratch(count));
    const Sector address = context_.layout[m].journal_slot(area, sequence);
    format::seal(block, context_.place(format::Kind::journal, m, area, address), sequence,
                 context_.open_epoch);
    DMR_ASSERT(chain_crc(block) == composed_crc_);
    context_.prepare(count, m, IoOp::write, address, context_.scratch(count), 1);
    context_.io(count).fua = !DMR_BUG(journal_without_fua);
    ++count;
  }
  return count;
}

Task<Status> Journal::write_copies(FrameStack& frames, MemberSet area_0, MemberSet area_1) {
  const u32 in_area_0 = add_copies(area_0, 0, 0);
  const u32 count = add_copies(area_1, 1, in_area_0);
  written_[0] = written_[1] = MemberSet{};
  const Status run = co_await context_.write_batch(frames, count);
  if (run != Status::ok) co_return run;
  for (u32 i = 0; i < count; ++i) {
    if (context_.status(i) != IoStatus::ok) continue;
    written_[i < in_area_0 ? 0 : 1].add(context_.io(i).member);
  }
  co_return Status::ok;
}

}  // namespace dmr

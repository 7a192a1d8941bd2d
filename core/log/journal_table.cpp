// SPDX-License-Identifier: GPL-2.0-or-later
// The table of all journal slots: reading them, and following the chain through them.
#include <new>

#include "core/base/bugs.h"
#include "core/log/journal.h"

namespace dmr {
namespace {

// A fault that says nothing about what is stored: the device as a whole did not answer.
bool is_of_device(IoStatus status) {
  return status != IoStatus::ok && status != IoStatus::medium && status != IoStatus::unspecified;
}

}  // namespace

u32 chain_crc(format::JournalBlock& block) {
  const format::BlockHeader kept = block.header;
  block.header.member = 0;
  block.header.area = 0;
  block.header.address = 0;
  const u32 crc = format::block_crc(format::bytes_of(block), format::Kind::journal);
  block.header = kept;
  return crc;
}

Status Journal::open_table() {
  close_table();
  in_table_ = context_.live();
  u32 slots = 0;
  for (Member m = 1; m < context_.members(); ++m) {
    for (u32 area = 0; in_table_.has(m) && area < kAreas; ++area) {
      first_of_[m][area] = slots;
      slots += context_.layout[m].journal_slots;
    }
  }
  DMR_ASSERT(slots <= kMaxSpares * kAreas * kMaxJournalSlots);
  const std::size_t path_bytes = sizeof(ChainPoint) * kMaxJournalSlots;
  table_bytes_ = path_bytes + sizeof(Slot) * slots;
  auto* memory = static_cast<std::byte*>(context_.host.allocate(table_bytes_, kMetaBytes));
  if (memory == nullptr) return Status::no_memory;
  path_ = reinterpret_cast<ChainPoint*>(memory);
  table_ = reinterpret_cast<Slot*>(memory + path_bytes);
  for (u32 i = 0; i < slots; ++i) ::new (static_cast<void*>(&table_[i])) Slot;
  return Status::ok;
}

void Journal::close_table() {
  if (table_ != nullptr) context_.host.release(path_, table_bytes_);
  table_ = nullptr;
  path_ = nullptr;
  path_length_ = 0;
  in_table_ = MemberSet{};
}

Journal::Slot& Journal::slot_at(Member member, u32 area, u64 index) const {
  DMR_ASSERT(table_ != nullptr && in_table_.has(member));
  DMR_ASSERT(index < context_.layout[member].journal_slots);
  return table_[first_of_[member][area] + index];
}

Journal::Slot& Journal::slot_of(Member member, u32 area, u64 sequence) const {
  return slot_at(member, area, sequence % context_.layout[member].journal_slots);
}

bool Journal::holds(const Slot& slot, ChainPoint point) {
  return slot.state == SlotState::good && slot.sequence == point.sequence &&
         slot.crc == point.crc && point.sequence != 0;
}

Task<Status> Journal::gather(FrameStack& frames) {
  const Status table = open_table();
  if (table != Status::ok) co_return table;
  for (Member m = 1; m < context_.members(); ++m) {
    if (!in_table_.has(m)) continue;
    for (u8 area = 0; area < kAreas; ++area) {
      const Status read = co_await gather_area(frames, m, area);
      if (read != Status::ok) co_return read;
    }
  }
  co_return Status::ok;
}

Task<Status> Journal::gather_area(FrameStack& frames, Member member, u8 area) {
  const SpareLayout& layout = context_.layout[member];
  stream_.start(context_, member, layout.journal_slot(area, 0), layout.journal_slots);
  while (stream_.more()) {
    co_await stream_.arrival();
    if (stream_.failed()) {
      const Status single = co_await stream_.read_singly(frames);
      DMR_ASSERT(single == Status::ok);  // the store has made sure of the frames
    }
    for (u32 i = 0; i < stream_.arrived(); ++i) {
      const u64 index = stream_.first_index() + i;
      note(slot_at(member, area, index), stream_.block(i), stream_.status(i),
           context_.place(format::Kind::journal, member, area, layout.journal_slot(area, index)));
    }
    stream_.advance();
  }
  co_return Status::ok;
}

void Journal::note(Slot& slot, std::byte* memory, IoStatus io, const format::Place& place) const {
  slot = Slot{};
  slot.io = io;
  if (DMR_BUG(second_copy_unread) && place.area != 0) {
    slot.state = SlotState::good;
    return;
  }
  if (io != IoStatus::ok) {
    slot.state = SlotState::unreadable;
    return;
  }
  auto& block = StoreContext::as<format::JournalBlock>(memory);
  slot.state = SlotState::damaged;
  if (format::check(block, place) != format::Verdict::ok) return;
  const u64 sequence = block.header.sequence;
  // A good block in the slot of another sequence: nobody writes that.
  if (sequence != 0 &&
      context_.layout[place.member].journal_slot(place.area, sequence) != place.address) {
    return;
  }
  slot.state = SlotState::good;
  slot.sequence = sequence;
  slot.previous_sequence = block.previous_sequence;
  slot.previous_crc = block.previous_crc;
  slot.generation = block.open_generation;
  if (sequence != 0) slot.crc = chain_crc(block);
  slot.is_foreign = block.open_generation > context_.superblock().open_generation ||
                    block.membership > context_.superblock().membership.generation;
}

Status Journal::find_newest(ChainPoint& newest, FindingSink& findings) const {
  const Slot* best = nullptr;
  for (Member m = 1; m < context_.members(); ++m) {
    if (!in_table_.has(m)) continue;
    for (u32 i = 0; i < kAreas * context_.layout[m].journal_slots; ++i) {
      const Slot& slot = table_[first_of_[m][0] + i];
      if (slot.state != SlotState::good || slot.sequence == 0) continue;
      const bool higher = best == nullptr || slot.sequence > best->sequence ||
                          (slot.sequence == best->sequence && slot.generation > best->generation);
      const bool twin = best != nullptr && slot.sequence == best->sequence &&
                        slot.generation == best->generation && slot.crc != best->crc;
      if (slot.is_foreign || twin) {
        Finding finding;
        finding.kind = FindingKind::journal_damaged;
        finding.member = m;
        finding.fatal = true;
        finding.sequence = slot.sequence;
        findings.found(finding);
        return Status::damaged;
      }
      if (higher) best = &slot;
    }
  }
  newest = best == nullptr ? ChainPoint{} : ChainPoint{best->sequence, best->crc};
  return Status::ok;
}

ChainPoint Journal::locate(u64 at_most, u32 crc) const {
  ChainPoint point;
  for (Member m = 1; m < context_.members(); ++m) {
    if (!in_table_.has(m)) continue;
    for (u32 i = 0; i < kAreas * context_.layout[m].journal_slots; ++i) {
      const Slot& slot = table_[first_of_[m][0] + i];
      if (slot.state != SlotState::good || slot.crc != crc || slot.sequence == 0) continue;
      if (slot.sequence <= at_most && slot.sequence > point.sequence) point = {slot.sequence, crc};
    }
  }
  return point;
}

Journal::Copies Journal::find(ChainPoint point) const {
  Copies copies;
  for (Member m = 1; m < context_.members(); ++m) {
    for (u32 area = 0; in_table_.has(m) && area < kAreas; ++area) {
      const Slot& slot = slot_of(m, area, point.sequence);
      if (!holds(slot, point)) continue;
      copies.one = &slot;
      ++copies.count;
      copies.holders.add(m);
    }
  }
  return copies;
}

Journal::Chain Journal::follow(ChainPoint from, u64 down_to) {
  Chain chain;
  path_length_ = 0;
  ChainPoint at = from;
  while (at.sequence > down_to) {
    const Copies copies = find(at);
    if (copies.one == nullptr || path_length_ == kMaxJournalSlots) {
      chain.missing = at.sequence;
      return chain;
    }
    // A spare without it is live all the same: when the others are retired, it is the state.
    const bool is_everywhere = copies.holders == in_table_ || DMR_BUG(lagging_taken_for_whole);
    if (copies.count < 2 || !is_everywhere) chain.redundant = false;
    path_[path_length_++] = at;
    DMR_ASSERT(copies.one->previous_sequence < at.sequence);
    at = {copies.one->previous_sequence, copies.one->previous_crc};
  }
  chain.whole = true;
  chain.end = at;
  return chain;
}

// A spare that is alone has two copies, each of several has one in its first area.
bool Journal::tail_is_hidden(u64 tail) const {
  const bool is_alone = in_table_.size() == 1;
  for (Member m = 1; m < context_.members(); ++m) {
    if (!in_table_.has(m)) continue;
    const Slot& first = slot_of(m, 0, tail + 1);
    const Slot& second = slot_of(m, 1, tail + 1);
    const bool is_away = is_of_device(first.io) || is_of_device(second.io);
    const bool is_lost = first.state == SlotState::unreadable &&
                         (!is_alone || second.state == SlotState::unreadable);
    if (!is_away && !is_lost) return false;  // it would be here
  }
  return true;
}

// Each live spare takes a copy of every block, in its area 0; one that is alone in both. Spares
// that are live and not here count, too: the others took one copy only.
bool Journal::is_ruled_out(u64 sequence) const {
  u32 live = 0;
  for (Member m = 1; m < context_.members(); ++m) {
    if (context_.state(m) == format::MemberState::live) ++live;
  }
  for (Member m = 1; m < context_.members(); ++m) {
    if (!in_table_.has(m)) continue;
    if (slot_of(m, 0, sequence).state == SlotState::good) return true;
    if (live == 1 && slot_of(m, 1, sequence).state == SlotState::good) return true;
  }
  return false;
}

bool Journal::tail_is_doubtful(u64 tail) const {
  return !is_ruled_out(tail + 1) && !is_ruled_out(tail + 2);
}

bool Journal::report(u64 tail, FindingSink& findings) const {
  bool silent = true;
  for (Member m = 1; m < context_.members(); ++m) {
    if (!in_table_.has(m)) continue;
    const u32 slots = context_.layout[m].journal_slots;
    for (u32 i = 0; i < kAreas * slots; ++i) {
      const u32 area = i / slots;
      const Slot& slot = slot_at(m, area, i % slots);
      if (slot.state == SlotState::good) continue;
      if (slot.state == SlotState::damaged && &slot == &slot_of(m, area, tail + 1)) continue;
      Finding finding;
      finding.kind = slot.state == SlotState::damaged ? FindingKind::journal_damaged
                                                      : FindingKind::read_failed;
      finding.member = m;
      finding.copy = static_cast<u8>(area);
      finding.address = context_.layout[m].journal_slot(area, i % slots);
      finding.io = slot.io;
      findings.found(finding);
      silent = false;
    }
  }
  return silent;
}

}  // namespace dmr

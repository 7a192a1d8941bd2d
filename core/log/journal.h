// SPDX-License-Identifier: GPL-2.0-or-later
// The journal: what every slot of the live spares holds, the chain of committed blocks through
// them, and writing blocks. A block has two copies: in area 0 of all live spares, or in both areas
// when one spare is live. Two copies differ in their headers, so the chain has a CRC of its own.
#pragma once

#include "core/log/context.h"
#include "core/log/stream.h"
#include "core/task/task.h"

namespace dmr {

// The CRC of a block as it would be with `member`, `area` and `address` zero: the same for all
// copies. previous_crc and covered_crc name a block by it. The block is changed only meanwhile.
[[nodiscard]] u32 chain_crc(format::JournalBlock& block);

// A place in the chain: a block, or the checkpoint that stands for it (then 0, 0 is the beginning).
struct ChainPoint {
  u64 sequence = 0;
  u32 crc = 0;
  friend bool operator==(const ChainPoint&, const ChainPoint&) = default;
};

class Journal {
 public:
  enum class SlotState : u8 { unread, good, damaged, unreadable };
  struct Slot {
    u64 sequence = 0;
    u64 previous_sequence = 0;
    u64 generation = 0;
    u32 crc = 0;  // of the chain
    u32 previous_crc = 0;
    SlotState state = SlotState::unread;
    IoStatus io = IoStatus::ok;
    bool is_foreign = false;  // of an opening or a membership that the superblocks do not know
  };
  // What a chain of blocks is like: from its newest down to, and without, its end.
  struct Chain {
    bool whole = false;  // each block has a good copy
    // ... two of them, and each live spare one: any copy may go, and whoever is left has all.
    bool redundant = true;
    u64 missing = 0;  // the sequence where it breaks
    ChainPoint end;   // what the oldest block names as its predecessor
  };

  explicit Journal(StoreContext& context) : context_(context) {}

  void close_table();

  // Load. Reads all slots of all live spares into a table of the host's memory.
  Task<Status> gather(FrameStack& frames);
  // The newest intact block; sequence 0 when there is none. Status::damaged when a block claims an
  // opening or a membership that the superblocks do not know, or two have one sequence.
  [[nodiscard]] Status find_newest(ChainPoint& newest, FindingSink& findings) const;
  // The block with this CRC and at most this sequence; sequence 0 when there is none.
  [[nodiscard]] ChainPoint locate(u64 at_most, u32 crc) const;
  // Follows the chain from `from` down to a sequence at or below `down_to`.
  [[nodiscard]] Chain follow(ChainPoint from, u64 down_to);
  // The end of the chain cannot be known: each copy of the block behind `tail` may be there, on a
  // spare that does not answer now or in a slot that cannot be read.
  [[nodiscard]] bool tail_is_hidden(u64 tail) const;
  // The blocks behind `tail` may have been there: none of the next two places is intact. A power
  // cut tears one block, so this is damage.
  [[nodiscard]] bool tail_is_doubtful(u64 tail) const;
  // Tells of bad slots. Silent: where the block behind `tail` goes (a power cut tears it). False
  // when there was something to tell.
  bool report(u64 tail, FindingSink& findings) const;
  // Replays the chain that was followed last, the oldest block first.
  Task<Status> replay(FrameStack& frames, RecordSink& sink, FindingSink& findings);

  // Writing.

  // Reads of all copies of the block, from context `count` on; returns the contexts in use then.
  [[nodiscard]] u32 prepare_copies(ChainPoint point, MemberSet members, u32 count);
  // Whether a read has given that block.
  [[nodiscard]] bool is_fetched(u32 index, ChainPoint point) const;
  // Formats the slots of both areas: all of them, or those that load found bad. The spares that
  // took it all are in formatted().
  Task<Status> format_all(FrameStack& frames, MemberSet targets);
  Task<Status> format_bad(FrameStack& frames, MemberSet targets);
  [[nodiscard]] MemberSet formatted() const { return formatted_; }

  // Makes the block of the next write_copies().
  void compose(u64 sequence, ChainPoint previous, const format::Record* records, u32 count);
  [[nodiscard]] u32 composed_crc() const { return composed_crc_; }
  // Writes the composed block to this area of each target; those that took it are in written().
  Task<Status> write_copies(FrameStack& frames, MemberSet area_0, MemberSet area_1);
  [[nodiscard]] MemberSet written(u8 area) const { return written_[area]; }

 private:
  static constexpr u32 kTemplate = StoreContext::kScratch - 1;

  [[nodiscard]] Slot& slot_at(Member member, u32 area, u64 index) const;
  // The slot of this area where the block with this sequence belongs.
  [[nodiscard]] Slot& slot_of(Member member, u32 area, u64 sequence) const;
  [[nodiscard]] static bool holds(const Slot& slot, ChainPoint point);
  // An intact slot shows that no block with this sequence has been acknowledged.
  [[nodiscard]] bool is_ruled_out(u64 sequence) const;
  struct Copies {
    const Slot* one = nullptr;  // null when no slot holds the block
    u32 count = 0;
    MemberSet holders;
  };
  [[nodiscard]] Copies find(ChainPoint point) const;
  Status open_table();
  Task<Status> gather_area(FrameStack& frames, Member member, u8 area);
  void note(Slot& slot, std::byte* memory, IoStatus io, const format::Place& place) const;
  // Copy number `skip` of the block among those that hold it: false when there are no more.
  bool prepare_fetch(u32 index, ChainPoint point, u32 skip, std::byte* memory);
  Task<Status> fetch_another(FrameStack& frames, u32 index, ChainPoint point);
  Status deliver(u32 index, RecordSink& sink, FindingSink& findings) const;
  void seal_blank(std::byte* memory, Member member, u8 area, u64 index) const;
  Task<Status> format_area(FrameStack& frames, Member member, u8 area);
  u32 add_copies(MemberSet targets, u8 area, u32 count);

  StoreContext& context_;
  Slot* table_ = nullptr;
  std::size_t table_bytes_ = 0;
  u32 first_of_[kMaxMembers][kAreas] = {};  // where an area begins in the table
  MemberSet in_table_;
  ChainPoint* path_ = nullptr;  // of the chain followed last, newest first
  u32 path_length_ = 0;
  BlockStream stream_;
  MemberSet formatted_;
  MemberSet written_[kAreas];
  u32 composed_crc_ = 0;
};

}  // namespace dmr

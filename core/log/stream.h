// SPDX-License-Identifier: GPL-2.0-or-later
// Reads consecutive metadata blocks of one spare, several I/Os ahead. When an I/O fails, its blocks
// are read one by one, so that a bad sector costs one block and not its neighbours.
#pragma once

#include "core/log/context.h"
#include "core/task/task.h"

namespace dmr {

class BlockStream {
 public:
  // Starts reading blocks [0, blocks) that begin at `first`.
  void start(StoreContext& context, Member member, Sector first, u64 blocks);

  // while (stream.more()) {
  //   co_await stream.arrival();
  //   if (stream.failed()) co_await stream.read_singly(frames);
  //   ... look at block(i), status(i) ...
  //   stream.advance();
  // }
  [[nodiscard]] bool more() const { return at_ < blocks_; }
  [[nodiscard]] StreamAwait arrival() { return StreamAwait{current()}; }
  [[nodiscard]] bool failed() const { return current().io.status != IoStatus::ok; }
  Task<Status> read_singly(FrameStack& frames);
  void advance();

  [[nodiscard]] u64 first_index() const { return at_; }  // of the blocks that have arrived
  [[nodiscard]] u32 arrived() const { return length_of(at_); }
  [[nodiscard]] std::byte* block(u32 i) const;
  [[nodiscard]] IoStatus status(u32 i) const;

  // Ends early: no more is started; await arrival() and advance() until more() is false.
  void stop() { blocks_ = next_ < blocks_ ? next_ : blocks_; }

 private:
  [[nodiscard]] StreamIo& current() const;
  [[nodiscard]] u32 slot_of(u64 index) const;
  [[nodiscard]] u32 length_of(u64 index) const;
  void submit();

  StoreContext* context_ = nullptr;
  Member member_ = kMain;
  Sector first_;
  u64 blocks_ = 0;  // where to end
  u64 next_ = 0;    // to be submitted next
  u64 at_ = 0;      // the oldest that is not yet done with
  IoStatus single_[StoreContext::kChunkBlocks] = {};
  bool is_single_ = false;
};

}  // namespace dmr

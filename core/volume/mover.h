// SPDX-License-Identifier: GPL-2.0-or-later
// Moves blocks without a request waiting for them: weak ones away from trouble, and whatever the
// user's mark and forget name. One at a time, with tools of its own; many blocks share one drain,
// one flush and one journal block.
#pragma once

#include "core/volume/background.h"
#include "core/volume/recovery.h"

namespace dmr {

class Mover final : public WeakBlocks {
 public:
  Mover(VolumeState& state, Confirmer& confirmer, Committer& committer)
      : state_(state),
        confirmer_(confirmer),
        committer_(committer),
        background_(state.host, state.executor) {}

  Status open();
  void close();
  void start() { background_.start(loop(background_.frames())); }
  // The loop ends when the commands that are queued have been answered; weak blocks are left.
  void request_stop(Ready& stopped) { background_.request_stop(stopped); }

  void submit(Command& command);
  void note_weak(Block block) override;
  [[nodiscard]] u64 weak_blocks() const { return weak_.size(); }

 private:
  static constexpr u32 kSteps = 64;
  static constexpr std::size_t kFrameBytes = 16384;

  // Consecutive blocks that fit the buffer; locked and held while they move.
  struct Step {
    LockEntry lock;
    Block begin;
    u32 blocks = 0;
    u64 range = 0;  // of the command, in which it begins
    HoldId hold = 0;
    bool held = false;
  };

  Task<Status> loop(FrameStack& frames);
  Task<Status> run_command(FrameStack& frames, Command& command);
  Task<Status> run_batch(FrameStack& frames, Command& command);
  Task<Status> hold_batch(FrameStack& frames);
  Task<Status> run_step(FrameStack& frames, Command& command, Block begin, u32 blocks);
  void release_batch();
  Task<Status> commit_changes(FrameStack& frames, Command* command);
  Task<Status> move_weak(FrameStack& frames, Block block);
  Task<Status> move_weak_held(FrameStack& frames, Block block);
  Task<Status> mark_step(FrameStack& frames, Command& command, Block begin, u32 blocks);
  Task<Result<u32>> copy_to_spare(FrameStack& frames, Command& command, Block begin, u32 blocks,
                                  u32 skip);
  Task<Status> mark_block(FrameStack& frames, Command& command, Block block);
  Task<Status> forget_step(FrameStack& frames, Command& command, Block begin, u32 blocks);
  Task<Status> mark_run(FrameStack& frames, Command& command, Run run);
  Task<Status> copy_home(FrameStack& frames, Run run, LostMask lost);
  Task<Status> read_run(FrameStack& frames, Member member, Run run, std::byte* buffer);
  bool fill_batch(const Command& command);
  [[nodiscard]] bool turn_over() const;
  void note_rest(Command& command) const;
  void count_moved(Command& command, u32 blocks);
  void take_back(Command& command);
  void fail(Command& command, Status status, Block block) const;
  [[nodiscard]] u32 sectors_of(Block begin, u64 blocks) const;
  [[nodiscard]] Run run_at(Block block, u64 limit) const;

  VolumeState& state_;
  Confirmer& confirmer_;
  Committer& committer_;
  BackgroundLoop background_;
  Fifo<Command> commands_;
  Fifo<HealthRecord> weak_;
  IoBuffer* buffer_ = nullptr;
  IoBuffer* second_buffer_ = nullptr;
  DeviceIo io_[2];
  Tools tools_;
  Step steps_[kSteps];
  u32 step_count_ = 0;
  u64 range_at_ = 0;  // how far fill_batch has come: range, and block behind the last one taken
  Block next_block_;
  u64 turn_ends_ns_ = 0;  // of the batch
  u32 step_done_ = 0;     // blocks of the present step that have been dealt with
  bool cut_ = false;      // the turn has ended before the batch: the rest is for another command
  Run careful_;           // what could not be read in one piece, and so goes block by block
  format::Record records_[format::kJournalRecords];
  Changes changes_;
  CommitEntry commit_;
  // What the command and the counters say already of changes that are not committed yet.
  struct Uncommitted {
    u64 changed = 0;
    u64 relocated = 0;
    u64 returned = 0;
    u64 lost = 0;
  };
  Uncommitted uncommitted_;
};

}  // namespace dmr

// SPDX-License-Identifier: GPL-2.0-or-later
// Group commit: whatever is ready shares one flush of the spares and one journal block, is then
// published in the map, and only then acknowledged. The only user of the store while a volume runs.
#pragma once

#include "core/volume/background.h"
#include "core/volume/state.h"

namespace dmr {

class Committer final : public RecordSource {
 public:
  explicit Committer(VolumeState& state) : state_(state), background_(state.host, state.executor) {}

  // Started before the first commit, stopped when all is quiet.
  Status open() { return background_.open(kFrameBytes); }
  void close() { background_.close(); }
  void start() { background_.start(loop(background_.frames())); }
  // The loop ends after what is queued, with a last checkpoint when `checkpoint`.
  void request_stop(bool checkpoint, Ready& stopped);
  [[nodiscard]] Status last_checkpoint() const { return last_checkpoint_; }

  // co_await committer.commit(entry): ok when the records are durable and published. With an error
  // nothing was published, and no replay will ever bring the records back; read_only when that
  // could not be made sure.
  struct Awaiter {
    Committer& committer;
    CommitEntry& entry;
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) noexcept {
      entry.node.set_resume(handle);
      committer.enqueue(entry);
    }
    [[nodiscard]] Status await_resume() const noexcept { return entry.status; }
  };
  [[nodiscard]] Awaiter commit(CommitEntry& entry) { return Awaiter{*this, entry}; }

  // Writes the map in full, then ends the command.
  void request_checkpoint(Command& command);
  // This spare refused a flush: no new data goes there, the others record it.
  void request_retire(Member member);

  // The store retires members on its own; those that have refused a flush of it are to be. After
  // each call of the store.
  void notice_member_states();

  [[nodiscard]] bool idle() const { return queue_.empty() && !busy_; }

  // RecordSource: the map as records, then the bad spare blocks.
  void rewind() override;
  bool next(format::Record& record) override;

 private:
  static constexpr std::size_t kFrameBytes = 8192;
  static constexpr u32 kCommitTries = 3;

  void enqueue(CommitEntry& entry);
  Task<Status> loop(FrameStack& frames);
  Task<Status> commit_some(FrameStack& frames);
  Task<Status> wait_for_pages(FrameStack& frames, u32 changes);
  Task<Status> flush_spares(FrameStack& frames, u32 members);
  Task<Status> write_journal(FrameStack& frames);
  Task<Status> write_checkpoint(FrameStack& frames);
  Task<Status> retire_members(FrameStack& frames);
  void gather();
  void refuse(CommitEntry& entry);
  void drop_failed();
  [[nodiscard]] bool homes_take_data() const;
  void publish();
  void publish_mapping(const format::Record& record);
  void finish(Status status);
  void give_back(const CommitEntry& entry);
  void check_room();

  VolumeState& state_;
  BackgroundLoop background_;
  bool busy_ = false;
  bool checkpoint_wanted_ = false;
  bool on_disk_ = false;  // records of the batch may be in a journal by now
  bool dirty_ = false;    // something was committed since the last checkpoint
  u32 retire_wanted_ = 0;
  u32 flush_failed_ = 0;
  Status last_checkpoint_ = Status::ok;
  Fifo<CommitEntry> queue_;
  Fifo<CommitEntry> batch_;
  Fifo<Command> checkpoint_commands_;
  DeviceIo flush_io_[kMaxMembers];
  DeviceIo* flush_batch_[kMaxMembers] = {};
  u64 flush_token_[kMaxMembers] = {};
  u32 flush_lane_[kMaxMembers] = {};
  format::Record records_[format::kJournalRecords];
  u32 record_count_ = 0;
  u64 added_records_ = 0;  // of a checkpoint, by the batch
  Index::Cursor map_cursor_;
  SpareAllocator::Cursor bad_cursor_;
  bool map_done_ = false;
};

}  // namespace dmr

// SPDX-License-Identifier: GPL-2.0-or-later
// The metadata of a set on its spares: superblocks, journal, checkpoints, membership. It reads and
// replays them, writes commits and checkpoints, and reports all damage that it sees.
// Everything runs on the executor; one task of the store at a time (the volume sees to that).
#pragma once

#include "core/log/checkpoint.h"
#include "core/log/context.h"
#include "core/log/interface.h"
#include "core/log/journal.h"
#include "core/log/superblocks.h"
#include "core/task/task.h"

namespace dmr {

// Passes findings on and remembers which spares carry something to repair.
class FindingRelay final : public FindingSink {
 public:
  void aim(FindingSink& next) {
    next_ = &next;
    damaged_ = MemberSet{};
    any_ = false;
  }
  void found(const Finding& finding) override;
  [[nodiscard]] MemberSet damaged() const { return damaged_; }
  // Something was found that writing would mend.
  [[nodiscard]] bool any() const { return any_; }

 private:
  FindingSink* next_ = nullptr;
  MemberSet damaged_;
  bool any_ = false;
};

class MetadataStore {
 public:
  MetadataStore(Host& host, Executor& executor);
  MetadataStore(const MetadataStore&) = delete;
  MetadataStore& operator=(const MetadataStore&) = delete;

  // Buffers and I/O contexts of its own, so that a commit or a checkpoint never waits for a pool.
  // close_memory() also releases what load() has allocated; no task may be running.
  Status open_memory();
  void close_memory();

  // The tasks. One at a time; each needs at most kFrameBytes of the frame stack. Records handed in
  // must stay until the task has ended.

  // Writes all metadata of a new set on all spares, superblocks last. Never touches main.
  Task<Status> format(FrameStack& frames, const FormatRequest& request);

  // Writes all metadata of the set in the request on all its live spares, with the records of the
  // source. What was there is gone; until the end the superblocks say that it is under way. Never
  // touches main. invalid when the request contradicts itself: then nothing was written.
  Task<Status> restore(FrameStack& frames, const RestoreRequest& request, RecordSource& source);

  // Reads and checks all metadata, reports every fault, replays the newest state into the sink.
  // Writes nothing. After a failure superblock() is the newest that was found, or zero.
  Task<Status> load(FrameStack& frames, const LoadRequest& request, RecordSink& sink,
                    FindingSink& findings);

  // Once after load, before the first write to any member: a new opening, the members that are
  // missing or came back, and the repair of all that load has reported. read_only when the format
  // has a feature that only a newer program may write.
  Task<Status> begin_writing(FrameStack& frames, RecordSource& source);

  // Makes 1 to kJournalRecords records durable. An error (not a CommitResult) means that nothing
  // was written: no_space when must_checkpoint(), again without frames, read_only while an earlier
  // commit is unknown. A member that refuses both of its copies is retired on the others first:
  // look at state() afterwards (of each task), and tell.
  Task<Result<CommitResult>> commit(FrameStack& frames, const format::Record* records, u32 count);

  // Writes what the source gives over the older checkpoint of each live spare; afterwards the
  // journal takes another block. All that was committed must be published (in the source) before.
  // read_only while a commit is unknown.
  Task<Status> checkpoint(FrameStack& frames, RecordSource& source);

  // After an unknown commit, which must not be published: both checkpoints cover its sequence
  // without its records, so that it is never replayed. On failure the volume turns read-only.
  Task<Status> cancel(FrameStack& frames, RecordSource& source);

  // Durable on all other live spares under a new membership generation. io_error when none of them
  // could take it (or there is none): then nothing has changed.
  Task<Status> set_member_state(FrameStack& frames, Member member, format::MemberState state);

  static constexpr std::size_t kFrameBytes = 4096;

  [[nodiscard]] bool must_checkpoint() const;    // the journal cannot take another block
  [[nodiscard]] bool should_checkpoint() const;  // worth doing now
  [[nodiscard]] u64 record_room() const;         // records that fit into a checkpoint of any spare
  // No feature forbids writing to the volume: none that is unknown, and none that marks a map that
  // may be older than the blocks (then metadata may be written, for repair, and blocks may not).
  [[nodiscard]] bool writable_allowed() const;
  // load() has reported something that begin_writing() repairs.
  [[nodiscard]] bool has_damage() const;
  // The last journal block that counts: what the loaded records hold, and what the next one names.
  // Its sequence is the last that was used, which may be a cancelled one.
  [[nodiscard]] ChainPoint head() const { return {attempted_, head_.crc}; }
  [[nodiscard]] bool unknown_pending() const;  // cancel() is due

  [[nodiscard]] const format::Superblock& superblock() const;
  [[nodiscard]] const Geometry& geometry() const;
  [[nodiscard]] const SpareLayout& layout(Member member) const;  // spares in use only
  [[nodiscard]] u32 members() const;                             // rows in use, main included
  [[nodiscard]] format::MemberState state(Member member) const;
  [[nodiscard]] bool present(Member member) const;  // handed in, and proven to be the right one
  // Any thread, once loaded: whether FUA writes may be sent to this member.
  [[nodiscard]] bool takes_fua(Member member) const { return context_.takes_fua(member); }
  [[nodiscard]] bool has_cache(Member member) const { return context_.has_cache(member); }
  [[nodiscard]] const StoreCounters& counters() const;
  // Which members have refused a flush since the last call.
  [[nodiscard]] MemberSet take_refusing() {
    const MemberSet taken = context_.refusing;
    context_.refusing = {};
    return taken;
  }
  // Whoever else flushes members while the store works books it here.
  [[nodiscard]] FlushBook& flushes() { return context_.flushes; }

 private:
  // A task checks for this before its first step, so that none stops half-way for want of frames.
  static constexpr std::size_t kNestedBytes = 3072;

  // Held while a task runs.
  class Turn {
   public:
    explicit Turn(bool& taken) : taken_(taken) {
      DMR_ASSERT(!taken_);
      taken_ = true;
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    ~Turn() { taken_ = false; }

   private:
    bool& taken_;
  };

  // Creating.
  Status describe_set(const FormatRequest& request);
  Status describe_members(const FormatRequest& request);
  Task<Status> write_log(FrameStack& frames, RecordSource& source, ChainPoint covered);

  // Restoring.
  Status adopt_backup(const RestoreRequest& request);

  // Loading.
  void forget();
  Status accept_devices(const LoadRequest& request);
  Status accept_device(Member member, const LoadRequest& request, bool& is_missing);
  Status compare_device(Member member, const LoadRequest& request);
  Status prove_rebuilt();
  Task<Status> load_records(FrameStack& frames, RecordSink& sink);
  Task<Status> load_checkpoint(FrameStack& frames, RecordSink& sink, Checkpoints::Choice& choice);
  Status join_chain(Checkpoints::Choice choice);
  Task<Status> verify_other_checkpoints(FrameStack& frames);
  bool is_solid();
  [[nodiscard]] Journal::Chain follow_from_older(ChainPoint newest, ChainPoint older);
  Status refuse_gap(u64 sequence);

  // Writing.
  [[nodiscard]] u32 capacity() const;  // journal blocks that all live spares have room for
  void mark_missing(MemberSet& returning);
  Task<Status> record_opening(FrameStack& frames, MemberSet& returning, MemberSet& unfit);
  Task<Status> renew_newest(FrameStack& frames, RecordSource& source, MemberSet unfit);
  [[nodiscard]] bool can_do_without_newest(Member member);
  Task<Status> refresh(FrameStack& frames, RecordSource& source, MemberSet& returning);
  Task<Status> repair_slots(FrameStack& frames, RecordSource& source);
  Task<Status> record_membership(FrameStack& frames);
  Task<Status> retire(FrameStack& frames, MemberSet bad);
  Task<Status> run_checkpoint(FrameStack& frames, RecordSource& source, MemberSet& returning,
                              MemberSet unfit = {});
  Task<Result<CommitResult>> write_block(FrameStack& frames);
  Task<Result<CommitResult>> write_once(FrameStack& frames, MemberSet live);

  StoreContext context_;
  Superblocks superblocks_;
  Journal journal_;
  Checkpoints checkpoints_;
  FindingRelay findings_;
  bool is_taken_ = false;  // a task is running
  bool is_loaded_ = false;
  bool is_writing_ = false;     // begin_writing() has succeeded
  bool is_writable_ = false;    // the feature bits allow it
  bool is_unknown_ = false;     // the last commit may or may not be on disk
  bool is_exposed_ = false;     // the journal behind the newest checkpoint lacks second copies
  bool needs_refresh_ = false;  // load found what two fresh checkpoints repair
  MemberSet rebuilt_;           // present, though no superblock says so: to be proven
  ChainPoint newest_block_;     // intact one that load found; it may have been cancelled
  ChainPoint head_;             // the last block that counts: what the next one names
  u64 attempted_ = 0;           // the last sequence that was used
};

}  // namespace dmr

// SPDX-License-Identifier: GPL-2.0-or-later
// The metadata of a set on its spares: superblocks, journal, checkpoints, membership. It reads and
// replays them, writes commits and checkpoints, and reports all damage that it sees.
// Everything runs on the executor; one task of the store at a time (the volume sees to that).
#pragma once

#include <span>

#include "core/format/format.h"
#include "core/geometry/geometry.h"
#include "core/host/host.h"
#include "core/task/io.h"
#include "core/task/task.h"

namespace dmr {

enum class FindingKind : u8 {
  superblock_damaged,   // a copy does not check; rewritten from another
  superblock_stale,     // a copy is older than the newest; rewritten
  superblock_torn,      // what a power cut in a superblock update leaves; rewritten
  journal_damaged,      // a journal slot does not check; another copy, or nothing, needed it
  journal_gap,          // a committed journal block has no good copy: refused
  checkpoint_damaged,   // a checkpoint area does not check; the other one and the journal serve
  no_checkpoint,        // neither area of any member is good: refused
  record_invalid,       // a record points outside of what it may: refused
  double_owner,         // a spare block serves two blocks: refused
  member_missing,       // a member of the table is not there
  member_stale,         // a member lags behind the newest; brought up to date
  member_wrong,         // a device is not what the table says (expected and found differ)
  members_divergent,    // two members were changed apart from each other: refused
  read_failed,          // a metadata block could not be read
};

// In what a device differs from its row of the member table.
enum class WrongMember : u8 {
  size,           // sectors
  logical_block,  // bytes of a logical block
  set,            // the superblock is of another set
  place,          // the superblock is of another member: expected and found are member numbers
  identity,       // serial or WWN
};

struct Finding {
  FindingKind kind = FindingKind::superblock_damaged;
  Member member = kMain;
  u8 copy = 0;          // superblock copy, journal or checkpoint area
  bool fatal = false;   // the volume refuses to open because of it
  Sector address;       // on the member
  u64 sequence = 0;     // where known
  IoStatus io = IoStatus::ok;
  WrongMember wrong = WrongMember::size;  // member_wrong: in what
  u64 expected = 0;     // member_wrong: what the table names (texts are in superblock())
  u64 found = 0;        // ... and what the device shows
};

class FindingSink {
 public:
  virtual void found(const Finding& finding) = 0;

 protected:
  ~FindingSink() = default;
};

// Takes the records during load, in an order that ends in the right state.
class RecordSink {
 public:
  virtual void reset() = 0;                                    // forget all: another checkpoint is tried
  virtual Status snapshot(const format::Record& record) = 0;   // of a checkpoint, mappings ascending
  virtual Status replay(const format::Record& record) = 0;     // of the journal, oldest first
 protected:
  ~RecordSink() = default;
};

// Gives the records of a checkpoint. It may change between calls: the journal makes up for that.
class RecordSource {
 public:
  virtual void rewind() = 0;
  virtual bool next(format::Record& record) = 0;  // false at the end

 protected:
  ~RecordSource() = default;
};

// A device as the host sees it. Index 0 is main, i is spare i of the member table.
struct MemberDevice {
  bool present = false;
  u64 sectors = 0;
  u32 logical_block_bytes = 512;
  char identity[format::kIdentityBytes] = {};  // empty: the device has none, nothing is compared
};

struct FormatRequest {
  u32 members = 0;  // main included
  u32 block_sectors = 8;
  format::Policy policy = format::Policy::redirect;
  u64 created_unix_s = 0;
  const char* name = nullptr;
  MemberDevice device[kMaxMembers];
};

struct LoadRequest {
  u32 members = 0;            // devices handed in, main included
  bool allow_degraded = false;
  bool ignore_identity = false;  // serial/WWN may differ (a cloned disk)
  MemberDevice device[kMaxMembers];
};

enum class CommitResult : u8 {
  durable,     // on every live member, acknowledge
  single,      // one copy only is durable: publish, then checkpoint before acknowledging
  unknown,     // no copy is known to be durable: cancel it (MetadataStore::cancel) before going on
};

struct StoreCounters {
  u64 commits = 0;            // journal blocks that became durable
  u64 commit_records = 0;     // records in them
  u64 commits_unknown = 0;
  u64 checkpoints = 0;        // complete on every live spare
  u64 flushes = 0;            // of metadata
  u64 superblock_writes = 0;  // copies written
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

  // Reads and checks all metadata, reports every fault, replays the newest state into the sink.
  // Writes nothing. After a failure superblock() is the newest that was found, or zero.
  Task<Status> load(FrameStack& frames, const LoadRequest& request, RecordSink& sink,
                    FindingSink& findings);

  // Once after load, before the first write to any member: a new opening, the members that are
  // missing or came back, and the repair of all that load has reported. read_only when a feature
  // bit forbids writing.
  Task<Status> begin_writing(FrameStack& frames, RecordSource& source);

  // Makes 1 to kJournalRecords records durable. An error (not a CommitResult) means that nothing
  // was written: no_space when must_checkpoint(), again without frames. A member that refuses both
  // of its copies is retired on the others first: look at state() afterwards.
  Task<Result<CommitResult>> commit(FrameStack& frames, const format::Record* records, u32 count);

  // Writes what the source gives over the older checkpoint of each live spare. All that was
  // committed must be published (in the source) before.
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
  [[nodiscard]] bool writable_allowed() const;   // no unknown ro-compat feature
  [[nodiscard]] bool unknown_pending() const;    // cancel() is due

  [[nodiscard]] const format::Superblock& superblock() const;
  [[nodiscard]] const Geometry& geometry() const;
  [[nodiscard]] const SpareLayout& layout(Member member) const;  // spares in use only
  [[nodiscard]] u32 members() const;                             // rows in use, main included
  [[nodiscard]] format::MemberState state(Member member) const;
  [[nodiscard]] bool present(Member member) const;  // handed in, and proven to be the right one
  [[nodiscard]] const StoreCounters& counters() const;
};

}  // namespace dmr

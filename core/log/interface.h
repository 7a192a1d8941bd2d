// SPDX-License-Identifier: GPL-2.0-or-later
// What the metadata store takes and gives: findings, records in and out, the devices of a set.
#pragma once

#include "core/base/result.h"
#include "core/format/format.h"
#include "core/host/host.h"

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
  restore_interrupted,  // a restore has begun and not ended: refused
  restored_older,       // the map may be older than what the blocks hold: it opens read-only
};

// In what a device differs from its row of the member table.
enum class WrongMember : u8 {
  size,           // sectors
  logical_block,  // bytes of a logical block
  set,            // the superblock is of another set
  uuid,           // it was another device that had this place when the table was written
  place,          // the superblock is of another member: expected and found are member numbers
  identity,       // serial or WWN
};

struct Finding {
  FindingKind kind = FindingKind::superblock_damaged;
  Member member = kMain;
  u8 copy = 0;         // superblock copy, journal or checkpoint area
  bool fatal = false;  // the volume refuses to open because of it
  Sector address;      // on the member
  u64 sequence = 0;    // where known
  IoStatus io = IoStatus::ok;
  WrongMember wrong = WrongMember::size;  // member_wrong: in what
  u64 expected = 0;  // member_wrong: what the table names (texts are in superblock())
  u64 found = 0;     // ... and what the device shows
};

class FindingSink {
 public:
  virtual void found(const Finding& finding) = 0;

 protected:
  ~FindingSink() = default;
};

class NoFindings final : public FindingSink {
 public:
  void found(const Finding& /*finding*/) override {}
};

// Takes the records during load, in an order that ends in the right state.
class RecordSink {
 public:
  virtual void reset() = 0;  // forget all: another checkpoint is tried
  virtual Status snapshot(const format::Record& record) = 0;  // of a checkpoint, mappings ascending
  virtual Status replay(const format::Record& record) = 0;    // of the journal, oldest first
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

class NoRecords final : public RecordSource {
 public:
  void rewind() override {}
  bool next(format::Record& /*record*/) override { return false; }
};

// A device as the host sees it. Index 0 is main, i is spare i of the member table.
struct MemberDevice {
  bool present = false;
  u64 sectors = 0;
  u32 logical_block_bytes = 512;
  // A FUA write is one command to it. Else it is a write and a flush, whose refusal nobody could
  // tell from that of the write: no FUA write is sent there, but those two, one after the other.
  bool native_fua = false;
  // It may hold back what it has taken. Without a cache nothing is ever flushed there, also not
  // behind a FUA write, and no write that it refuses may have been a flush of others' data.
  bool has_cache = true;
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
  u32 members = 0;  // devices handed in, main included
  bool allow_degraded = false;
  bool ignore_identity = false;  // serial/WWN may differ (a cloned disk)
  bool spares_only = false;      // main need not be handed in: metadata alone is looked at
  // A live spare none of whose superblocks is good is taken, if its checkpoints are the set's
  // newest ones; begin_writing() then rebuilds its superblocks. For repair, on request: never at a
  // start.
  bool rebuild_superblocks = false;
  MemberDevice device[kMaxMembers];
};

// Putting a state from a backup on the spares, in place of all that is there.
struct RestoreRequest {
  const format::Superblock* superblock = nullptr;  // the backup's
  u64 covered_sequence = 0;  // journal blocks up to here are in the backup's records, or discarded
  u32 covered_crc = 0;
  // Spares may have gone on after this backup, or nothing shows that they have not: what is written
  // forbids writing to the volume ever after. The numbers are the highest that anything shows.
  bool is_older = false;
  u64 seen_superblock = 0;  // sequence
  u64 seen_opening = 0;
  u64 seen_membership = 0;
  bool replaced[kMaxMembers] = {};   // another device has taken this member's place
  MemberDevice device[kMaxMembers];  // all live spares
};

enum class CommitResult : u8 {
  durable,  // on every live member, acknowledge
  single,   // one copy only is durable: publish, then checkpoint before acknowledging
  unknown,  // no copy is known to be durable: cancel it (MetadataStore::cancel) before going on
};

}  // namespace dmr

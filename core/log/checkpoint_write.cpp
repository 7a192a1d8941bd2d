// SPDX-License-Identifier: GPL-2.0-or-later
// Writing a checkpoint to all targets at once. A target that fails drops out, the others go on.
#include <cstring>

#include "core/base/bugs.h"
#include "core/format/validate.h"
#include "core/log/checkpoint.h"

namespace dmr {

u8 Checkpoints::older_area(Member member) const {
  const u8 newest = newest_area(member);
  if (newest == kAreas) return 0;
  const auto other = static_cast<u8>(1 - newest);
  return area_[member][other].is_verified && DMR_BUG(checkpoint_over_newest) ? newest : other;
}

u8 Checkpoints::newest_area(Member member) const {
  const Area& first = area_[member][0];
  const Area& second = area_[member][1];
  if (!first.is_verified) return second.is_verified ? 1 : kAreas;
  return second.is_verified && second.sequence > first.sequence ? 1 : 0;
}

u32 Checkpoints::prepare_newest(MemberSet members, u32 count) {
  for (Member m = 1; m < context_.members(); ++m) {
    const u8 area = members.has(m) ? newest_area(m) : kAreas;
    if (area == kAreas) continue;
    const Sector address = context_.layout[m].checkpoint_block(area, 0);
    context_.prepare(count, m, IoOp::read, address, context_.block(count), 1);
    ++count;
  }
  return count;
}

const Checkpoints::Area& Checkpoints::newest_of(Member member) const {
  const u8 area = newest_area(member);
  DMR_ASSERT(area != kAreas);
  return area_[member][area];
}

const Checkpoints::Area& Checkpoints::beside_newest(Member member) const {
  const u8 area = newest_area(member);
  DMR_ASSERT(area != kAreas);
  return area_[member][1 - area];
}

void Checkpoints::distrust_newest(Member member) {
  DMR_ASSERT(beside_newest(member).is_verified);
  area_[member][newest_area(member)].is_verified = false;
  newest_ = older_;  // the journal goes on serving what is the older one now, too
}

bool Checkpoints::is_newest(u32 index) const {
  const DeviceIo& io = context_.io(index);
  if (io.status != IoStatus::ok) return false;
  const auto& header = StoreContext::as<format::CheckpointHeader>(io.buffer);
  const u8 area = newest_area(io.member);
  const format::Place place =
      context_.place(format::Kind::checkpoint_header, io.member, area, io.sector);
  return format::check(header, place) == format::Verdict::ok &&
         header.header.sequence == area_[io.member][area].sequence;
}

u64 Checkpoints::room() const {
  u64 least = ~u64{0};
  for (Member m = 1; m < context_.members(); ++m) {
    if (!written_.has(m)) continue;
    const u64 blocks = context_.layout[m].checkpoint_blocks - 1;
    least = blocks < least ? blocks : least;
  }
  return least;
}

// Asked before anything is written: the header would spoil the older checkpoint.
bool Checkpoints::fits(RecordSource& source) const {
  u64 left = room() * format::kCheckpointRecords;
  format::Record record;
  for (source.rewind(); source.next(record); --left) {
    if (left == 0) return false;
  }
  return true;
}

Task<Status> Checkpoints::write(FrameStack& frames, RecordSource& source, ChainPoint covered,
                                MemberSet targets) {
  DMR_ASSERT(!targets.empty());
  written_ = targets;
  if (!fits(source)) co_return Status::no_space;
  ++sequence_;
  records_ = body_blocks_ = 0;
  is_source_done_ = false;
  for (Member m = 1; m < context_.members(); ++m) {
    body_crc_[m] = 0;
    refused_before_[m] = context_.flushes[m].refused();
    if (!targets.has(m)) continue;
    target_[m] = older_area(m);
    area_[m][target_[m]] = Area{};
    area_[m][target_[m]].state = AreaState::writing;
  }
  source.rewind();
  Status status = co_await write_headers(frames, format::kCheckpointWriting, ChainPoint{});
  if (status == Status::ok) status = co_await write_body(frames, source);
  if (status == Status::ok && !DMR_BUG(checkpoint_header_first)) status = co_await flush(frames);
  if (status == Status::ok) {
    status = co_await write_headers(frames, format::kCheckpointComplete, covered);
  }
  if (status != Status::ok) co_return status;
  for (Member m = 1; m < context_.members(); ++m) {
    if (!written_.has(m)) continue;
    Area& area = area_[m][target_[m]];
    area.state = AreaState::complete;
    area.is_header_good = area.is_verified = true;
    area.sequence = sequence_;
    area.covered = covered;
  }
  older_ = newest_;
  newest_ = covered;
  ++context_.counters.checkpoints;
  co_return Status::ok;
}

void Checkpoints::drop_failed(u32 count) {
  for (u32 i = 0; i < count; ++i) {
    if (context_.status(i) != IoStatus::ok) written_.remove(context_.io(i).member);
  }
}

void Checkpoints::prepare_headers(u32 state, ChainPoint covered) {
  u32 count = 0;
  for (Member m = 1; m < context_.members(); ++m) {
    if (!written_.has(m)) continue;
    std::memset(context_.scratch(count), 0, kMetaBytes);
    auto& header = StoreContext::as<format::CheckpointHeader>(context_.scratch(count));
    header.state = state;
    header.open_generation = context_.superblock().open_generation;
    if (state == format::kCheckpointComplete) {
      header.covered_sequence = covered.sequence;
      header.covered_crc = covered.crc;
      header.records = records_;
      header.body_blocks = body_blocks_;
      header.body_crc = body_crc_[m];
    }
    const Sector address = context_.layout[m].checkpoint_block(target_[m], 0);
    format::seal(header, context_.place(format::Kind::checkpoint_header, m, target_[m], address),
                 sequence_, context_.open_epoch);
    DMR_ASSERT(format::validate_checkpoint_header(header, context_.layout[m]));
    context_.prepare(count, m, IoOp::write, address, context_.scratch(count), 1);
    context_.io(count).fua = true;
    ++count;
  }
}

Task<Status> Checkpoints::write_headers(FrameStack& frames, u32 state, ChainPoint covered) {
  const u32 count = written_.size();
  prepare_headers(state, covered);
  const Status run = co_await context_.write_batch(frames, count);
  if (run != Status::ok) co_return run;
  drop_failed(count);
  co_return written_.empty() ? Status::io_error : Status::ok;
}

// Fills the first `most` blocks of the chunks with records; answers how many it needed.
Result<u32> Checkpoints::fill(RecordSource& source, u32 most) {
  const u64 left = room() - body_blocks_;
  u32 blocks = 0;
  while (!is_source_done_) {
    format::Record record;
    u32 records = 0;
    if (blocks == most) return blocks;
    if (blocks == left) {  // it fits when nothing more comes
      if (source.next(record)) return Status::no_space;
      is_source_done_ = true;
      return blocks;
    }
    std::byte* memory = context_.block(blocks);
    std::memset(memory, 0, kMetaBytes);
    auto& body = StoreContext::as<format::CheckpointBody>(memory);
    while (records < format::kCheckpointRecords) {
      if (!source.next(record)) {
        is_source_done_ = true;
        break;
      }
      body.record[records++] = record;
    }
    if (records == 0) break;
    body.index = body_blocks_ + blocks;
    body.records = records;
    records_ += records;
    ++blocks;
  }
  return blocks;
}

// Copies the filled blocks for each target, seals them, and prepares their writes.
u32 Checkpoints::prepare_body(u32 blocks, u32 chunks_each) {
  u32 count = 0;
  u32 group = written_.size();
  for (Member m = kMaxSpares; m > 0; --m) {  // the last group first: the first is the original
    if (!written_.has(m)) continue;
    --group;
    const u32 first = group * chunks_each * StoreContext::kChunkBlocks;
    for (u32 i = 0; i < blocks; ++i) {
      auto& body = StoreContext::as<format::CheckpointBody>(context_.block(first + i));
      if (group > 0) std::memcpy(&body, context_.block(i), kMetaBytes);
      const u64 index = body.index;
      DMR_ASSERT(index == body_blocks_ + i);
      const Sector address = context_.layout[m].checkpoint_block(target_[m], index + 1);
      format::seal(body, context_.place(format::Kind::checkpoint_body, m, target_[m], address),
                   sequence_, context_.open_epoch);
      body_crc_[m] = format::add_body_crc(body_crc_[m], body);
    }
    for (u32 i = 0; i < blocks; i += StoreContext::kChunkBlocks) {
      const u32 rest = blocks - i;
      context_.prepare(count++, m, IoOp::write,
                       context_.layout[m].checkpoint_block(target_[m], body_blocks_ + i + 1),
                       context_.block(first + i),
                       rest < StoreContext::kChunkBlocks ? rest : StoreContext::kChunkBlocks);
    }
  }
  DMR_ASSERT(group == 0);
  return count;
}

Task<Status> Checkpoints::write_body(FrameStack& frames, RecordSource& source) {
  while (!is_source_done_) {
    const u32 chunks_each = StoreContext::kChunks / written_.size();
    const Result<u32> blocks = fill(source, chunks_each * StoreContext::kChunkBlocks);
    if (!blocks) co_return blocks.status();
    if (*blocks == 0) break;
    const u32 count = prepare_body(*blocks, chunks_each);
    body_blocks_ += *blocks;
    const Status run = co_await context_.write_batch(frames, count);
    if (run != Status::ok) co_return run;
    drop_failed(count);
    if (written_.empty()) co_return Status::io_error;
  }
  co_return Status::ok;
}

Task<Status> Checkpoints::flush(FrameStack& /*frames*/) {
  u32 count = 0;
  for (Member m = 1; m < context_.members(); ++m) {
    if (!written_.has(m)) continue;
    flush_lane_[m] = context_.flushes.begin_own(m);
    context_.prepare(count++, m, IoOp::flush, Sector(), nullptr, 0);
  }
  // Not tried again: a flush that failed once may have dropped what it should have written.
  co_await context_.run_batch(count);
  context_.counters.flushes += count;
  for (u32 i = 0; i < count; ++i) {
    const Member m = context_.io(i).member;
    // Writes of users may have been in the cache that is gone: they have to hear of it.
    const IoStatus status = context_.status(i);
    if (status != IoStatus::ok && !DMR_BUG(checkpoint_flush_unheard)) {
      context_.flush_refused(m, status);
    }
    context_.flushes.end_own(context_.executor, m, flush_lane_[m]);
  }
  drop_failed(count);
  // Somebody else's flush that was refused meanwhile may have dropped the body, too.
  for (Member m = 1; m < context_.members(); ++m) {
    if (!written_.has(m) || DMR_BUG(body_lost_unseen)) continue;
    co_await FlushOutcomesAwait{context_.flushes[m], context_.executor};
    if (context_.flushes[m].refused() != refused_before_[m]) written_.remove(m);
  }
  co_return written_.empty() ? Status::io_error : Status::ok;
}

}  // namespace dmr

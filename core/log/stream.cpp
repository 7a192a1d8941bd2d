// SPDX-License-Identifier: GPL-2.0-or-later
// Reading ahead through the store's chunks, as a ring.
#include "core/log/stream.h"

namespace dmr {
namespace {

constexpr u64 kStep = StoreContext::kChunkBlocks;

void stream_done(DeviceIo& io) {
  auto* stream = static_cast<StreamIo*>(io.context);
  DMR_ASSERT(stream->busy);
  stream->busy = false;
  Ready* waiter = stream->waiter;
  stream->waiter = nullptr;
  if (waiter != nullptr) stream->executor->post(*waiter);
}

}  // namespace

void BlockStream::start(StoreContext& context, Member member, Sector first, u64 blocks) {
  DMR_ASSERT(!more());
  context_ = &context;
  member_ = member;
  first_ = first;
  blocks_ = blocks;
  next_ = 0;
  at_ = 0;
  is_single_ = false;
  for (u32 i = 0; i < StoreContext::kChunks && next_ < blocks_; ++i) submit();
}

u32 BlockStream::slot_of(u64 index) const {
  return static_cast<u32>(index / kStep % StoreContext::kChunks);
}

u32 BlockStream::length_of(u64 index) const {
  const u64 left = blocks_ - index;
  return static_cast<u32>(left < kStep ? left : kStep);
}

StreamIo& BlockStream::current() const {
  DMR_ASSERT(more());
  return context_->stream(slot_of(at_));
}

void BlockStream::submit() {
  StreamIo& stream = context_->stream(slot_of(next_));
  DMR_ASSERT(!stream.busy);
  stream.executor = &context_->executor;
  stream.waiter = nullptr;
  stream.busy = true;
  stream.io = DeviceIo{};
  stream.io.member = member_;
  stream.io.op = IoOp::read;
  stream.io.sector = first_ + next_ * kMetaSectors;
  stream.io.sectors = length_of(next_) * kMetaSectors;
  stream.io.buffer = context_->chunk(slot_of(next_));
  stream.io.context = &stream;
  stream.io.done = stream_done;
  next_ += length_of(next_);
  context_->host.submit(stream.io);
}

Task<Status> BlockStream::read_singly(FrameStack& /*frames*/) {
  DMR_ASSERT(failed());
  for (u32 i = 0; i < arrived(); ++i) {
    context_->prepare(i, member_, IoOp::read, first_ + (at_ + i) * kMetaSectors, block(i), 1);
  }
  co_await context_->run_batch(arrived());
  for (u32 i = 0; i < arrived(); ++i) single_[i] = context_->status(i);
  is_single_ = true;
  co_return Status::ok;
}

void BlockStream::advance() {
  DMR_ASSERT(!current().busy);
  at_ += length_of(at_);
  is_single_ = false;
  if (next_ < blocks_) submit();
}

std::byte* BlockStream::block(u32 i) const {
  DMR_ASSERT(i < arrived());
  return context_->chunk(slot_of(at_)) + std::size_t{i} * kMetaBytes;
}

IoStatus BlockStream::status(u32 i) const {
  DMR_ASSERT(i < arrived());
  return is_single_ ? single_[i] : current().io.status;
}

}  // namespace dmr

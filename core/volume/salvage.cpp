// SPDX-License-Identifier: GPL-2.0-or-later
// Salvage of one block: whole spans first, then the disk's own logical blocks, a few times each.
#include "core/volume/salvage.h"

#include "core/base/bugs.h"

namespace dmr {
namespace {

// A failure is the place's own when the disk says so, or when the device has answered since the
// request's first failure: then it was no outage that has ended meanwhile.
void note_failure(const VolumeState& state, Tools& tools, ErrorClass error, Member member) {
  const bool answered = state.breakers[member].answered_since(Direction::read, tools.failed_at_ns);
  if (error == ErrorClass::medium || (error == ErrorClass::unspecified && answered)) {
    tools.retried = true;
  }
}

// One logical block, up to `attempts` times. ok also when it is unreadable (and noted so).
Task<Status> read_unit(FrameStack&, VolumeState& state, Tools& tools, IoPlace place, u32 first,
                       u32 attempts) {
  DeviceIo& io = *tools.io[0];
  for (u32 attempt = 0; attempt < attempts; ++attempt) {
    prepare(io, IoOp::read, place, tools.buffer->bytes + std::size_t{first} * kSectorBytes);
    (void)co_await run_io(state, io);
    const ErrorClass error = state.observe(io);
    if (error == ErrorClass::none) co_return Status::ok;
    if (error == ErrorClass::device) co_return Status::io_error;
    note_failure(state, tools, error, place.member);
    if (attempt + 1 == attempts && !may_mark(error)) co_return Status::io_error;
  }
  if (DMR_BUG(zeros_for_unreadable)) {
    __builtin_memset(tools.buffer->bytes + std::size_t{first} * kSectorBytes, 0,
                     std::size_t{place.sectors} * kSectorBytes);
    co_return Status::ok;
  }
  tools.unreadable = tools.unreadable | bits_of(first, place.sectors);
  co_return Status::ok;
}

Task<Status> read_units(FrameStack& frames, VolumeState& state, Tools& tools, Block block,
                        Home home, SectorSpan span, u32 attempts) {
  const u32 end = span.first + span.count;
  for (u32 at = span.first; at < end; at += state.unit_sectors) {
    const u32 count = end - at < state.unit_sectors ? end - at : state.unit_sectors;
    const IoPlace place = place_of(state, home, block, at, count);
    const Status status = co_await read_unit(frames, state, tools, place, at, attempts);
    if (status != Status::ok) co_return status;
  }
  co_return Status::ok;
}

Task<Status> read_span(FrameStack& frames, VolumeState& state, Tools& tools, Block block, Home home,
                       SectorSpan span) {
  DeviceIo& io = *tools.io[0];
  prepare(io, IoOp::read, place_of(state, home, block, span.first, span.count),
          tools.buffer->bytes + std::size_t{span.first} * kSectorBytes);
  (void)co_await run_io(state, io);
  const ErrorClass error = state.observe(io);
  if (error == ErrorClass::none) co_return Status::ok;
  if (error == ErrorClass::device) co_return Status::io_error;
  note_failure(state, tools, error, io.member);
  const u32 attempts = state.config.read_attempts;
  co_return co_await read_units(frames, state, tools, block, home, span,
                                attempts > 1 ? attempts - 1 : 1);
}

}  // namespace

Task<Status> salvage(FrameStack& frames, VolumeState& state, Confirmer& confirmer, Tools& tools,
                     Block block, Home home, LostMask wanted) {
  DMR_ASSERT(tools.buffer != nullptr);
  const u32 sectors = state.geometry.sectors_in(block);
  tools.unreadable = {};
  tools.retried = false;
  if (!state.readable(home.member)) co_return Status::io_error;
  for (SectorSpan span = next_span(wanted, 0, sectors); span.count > 0;
       span = next_span(wanted, span.first + span.count, sectors)) {
    const Status status = co_await read_span(frames, state, tools, block, home, span);
    if (status != Status::ok) co_return status;
  }
  if (tools.unreadable.none()) co_return Status::ok;
  const Status answers =
      co_await confirmer.confirm(frames, home.member, Direction::read, state.host.now_ns());
  if (answers != Status::ok) co_return answers;
  // The last attempt comes after that: an outage that has just ended explains the failures so far,
  // but not one more.
  const LostMask suspects = tools.unreadable;
  tools.unreadable = {};
  for (SectorSpan span = next_span(suspects, 0, sectors); span.count > 0;
       span = next_span(suspects, span.first + span.count, sectors)) {
    const Status status = co_await read_units(frames, state, tools, block, home, span, 1);
    if (status != Status::ok) co_return status;
  }
  if (DMR_BUG(neighbours_lost) && !tools.unreadable.none()) tools.unreadable = wanted;
  co_return Status::ok;
}

SectorSpan next_span(const LostMask& mask, u32 from, u32 limit) {
  u32 first = from;
  while (first < limit && !mask.test(first)) ++first;
  u32 end = first;
  while (end < limit && mask.test(end)) ++end;
  return {first, end - first};
}

Home with_lost(const VolumeState& state, Home home, Block block, LostMask lost) {
  home.mask = {};
  if (lost.none()) {
    home.lost = LostKind::none;
  } else if (lost == LostMask::all(state.geometry.sectors_in(block))) {
    home.lost = LostKind::all;
  } else {
    home.lost = LostKind::some;
    home.mask = lost;
  }
  return home;
}

}  // namespace dmr

// SPDX-License-Identifier: GPL-2.0-or-later
// From completed requests to replies.
#include <cerrno>

#include "exports/nbd/session.h"

namespace dmr::nbd {

namespace {

Session& session_of(const Slot& slot) { return *static_cast<Session*>(slot.request.context); }

// Every Slot's own request lies in it.
Slot& slot_of(runtime::QueueRequest& request) {
  return *reinterpret_cast<Slot*>(reinterpret_cast<std::byte*>(&request) - offsetof(Slot, request));
}

// Where a request failed. A client drops a server that names an offset outside of its request.
u64 failed_offset(const runtime::QueueRequest& request) {
  const u64 begin = request.sector.value << kSectorShift;
  const u64 end = begin + (u64{request.sectors} << kSectorShift);
  const u64 offset = request.bad_sector.value << kSectorShift;
  return offset >= begin && offset < end ? offset : begin;
}

}  // namespace

void Session::read_done(runtime::QueueRequest& request) {
  Piece& piece = *static_cast<Piece*>(request.context);
  Slot& slot = *piece.slot;
  Session& self = session_of(slot);
  DMR_ASSERT(self.under_way_ > 0 && slot.outstanding > 0);
  --self.under_way_;
  --slot.outstanding;
  self.note_error(slot, request);
  if (self.options_.structured_replies) {
    self.answer_piece(slot, piece);
  } else if (slot.outstanding == 0) {
    self.answer_read(slot);
  }
}

void Session::write_done(runtime::QueueRequest& request) {
  Piece& piece = *static_cast<Piece*>(request.context);
  Slot& slot = *piece.slot;
  Session& self = session_of(slot);
  DMR_ASSERT(self.under_way_ > 0 && slot.outstanding > 0);
  --self.under_way_;
  --slot.outstanding;
  self.note_error(slot, request);
  if (slot.outstanding > 0) return;
  self.give_all(slot);
  self.finish(slot);
}

void Session::command_done(runtime::QueueRequest& request) {
  Slot& slot = slot_of(request);
  Session& self = session_of(slot);
  DMR_ASSERT(self.under_way_ > 0);
  --self.under_way_;
  const CommandType command = slot.header.command();
  if (request.error == EOPNOTSUPP && command == CommandType::trim) request.error = 0;  // a hint
  if (request.error == EOPNOTSUPP && command == CommandType::write_zeroes &&
      (slot.header.flags & command_flag::kFastZero) == 0) {
    return self.begin_zeroing(slot);
  }
  slot.error = request.error;
  slot.error_offset = slot.header.offset;
  if ((request.op == IoOp::flush || request.then_flush) && request.error != 0) {
    slot.tells_refusal = true;
    ++self.refusals_to_send_;
  }
  self.finish(slot);
}

void Session::zeroing_done(runtime::QueueRequest& request) {
  Slot& slot = slot_of(request);
  Session& self = session_of(slot);
  DMR_ASSERT(self.under_way_ > 0);
  --self.under_way_;
  self.note_error(slot, request);
  slot.zeroed += u64{request.sectors} << kSectorShift;
  if (slot.error == 0 && slot.zeroed < slot.header.length) {
    if (!self.shutting_down_) return self.begin_zeroing(slot);
    slot.error = ESHUTDOWN;  // gigabytes of zeros must not hold up the end
  }
  self.finish(slot);
}

void Session::note_error(Slot& slot, const runtime::QueueRequest& request) {
  if (request.error == 0) return;
  const u64 offset = failed_offset(request);
  if (slot.error != 0 && slot.error_offset <= offset) return;
  slot.error = request.error;
  slot.error_offset = offset;
}

// One chunk for one piece of a read, sent as soon as it is there. What is good around a lost
// sector gets through.
void Session::answer_piece(Slot& slot, Piece& piece) {
  const bool last = slot.outstanding == 0;
  const u64 cookie = slot.header.cookie;
  const runtime::QueueRequest& request = piece.request;
  if (drop_replies_) {
    pool_->give(piece);
    if (last) give_slot(slot);
    return;
  }
  Outgoing& reply = outbox_.add();
  if (request.error == 0) {
    data_chunk(reply.head, cookie, request.sector.value << kSectorShift, piece.bytes, last);
    reply.piece = &piece;
  } else {
    error_offset_chunk(reply.head, cookie, wire_error(request.error), failed_offset(request), last);
    piece.bytes = 0;  // sent without data, but kept until then: pieces bound what the outbox holds
    reply.piece = &piece;
  }
  if (last) reply.slot = &slot;
}

// The whole read in one simple reply: it says at its beginning whether anything failed.
void Session::answer_read(Slot& slot) {
  if (slot.error != 0 || drop_replies_) {
    give_all(slot);
    return finish(slot);
  }
  Piece* piece = slot.pieces;
  Outgoing* reply = &outbox_.add();
  simple_reply(reply->head, slot.header.cookie, WireError::ok);
  reply->piece = piece;
  while ((piece = piece->next) != nullptr) {
    reply = &outbox_.add();
    reply->piece = piece;
  }
  reply->slot = &slot;
}

// The one reply of a request that sends no data.
void Session::finish(Slot& slot) {
  if (drop_replies_) return give_slot(slot);
  const u64 cookie = slot.header.cookie;
  const bool is_read = slot.header.command() == CommandType::read;
  const WireError error = wire_error(slot.error);
  Outgoing& reply = outbox_.add();
  reply.slot = &slot;
  if (!options_.structured_replies || (error == WireError::ok && !is_read)) {
    simple_reply(reply.head, cookie, error);
  } else if (error == WireError::ok) {
    end_chunk(reply.head, cookie);
  } else if (error == WireError::io || error == WireError::no_space) {
    error_offset_chunk(reply.head, cookie, error, slot.error_offset, true);
  } else {
    error_chunk(reply.head, cookie, error);
  }
}

void Session::sent(std::size_t bytes) {
  outbox_.sent(bytes, [this](const Outgoing& reply) {
    if (reply.slot != nullptr && reply.slot->tells_refusal) {
      --refusals_to_send_;
      refusals_sent_ = true;
    }
    release(reply);
  });
}

void Session::drop_replies() {
  drop_replies_ = true;
  outbox_.discard([this](const Outgoing& reply) { release(reply); });
}

void Session::release(const Outgoing& reply) {
  if (reply.piece != nullptr) pool_->give(*reply.piece);
  if (reply.slot != nullptr) give_slot(*reply.slot);
}

void Session::give_all(Slot& slot) {
  for (Piece* piece = slot.pieces; piece != nullptr;) {
    Piece* next = piece->next;
    pool_->give(*piece);
    piece = next;
  }
  slot.pieces = nullptr;
}

Slot* Session::take_slot() {
  Slot* slot = free_slots_;
  if (slot == nullptr) return nullptr;
  free_slots_ = slot->next_free;
  slot->pieces = nullptr;
  slot->outstanding = 0;
  slot->error = 0;
  slot->error_offset = 0;
  slot->zeroed = 0;
  slot->tells_refusal = false;
  return slot;
}

void Session::give_slot(Slot& slot) {
  slot.next_free = free_slots_;
  free_slots_ = &slot;
}

}  // namespace dmr::nbd

// SPDX-License-Identifier: GPL-2.0-or-later
// From bytes to requests: receiving, payloads, and the start of each command.
#include "exports/nbd/session.h"

#include <algorithm>
#include <cerrno>

namespace dmr::nbd {

namespace {

// Behind a large payload only this much is read into the parser's buffer: the next payload
// should go straight to its pieces, too.
constexpr std::size_t kReadAheadBytes = 4096;
constexpr u32 kLargePayloadBytes = 32768;

}  // namespace

std::unique_ptr<Session> Session::make(Options options, runtime::Queue& queue) {
  auto pool = PiecePool::make();
  if (pool == nullptr) return nullptr;
  (void)queue.register_memory(pool->small_memory());  // a refusal costs speed only
  return std::unique_ptr<Session>(new Session(std::move(options), queue, std::move(pool)));
}

Session::Session(Options options, runtime::Queue& queue, std::unique_ptr<PiecePool> pool)
    : options_(std::move(options)), queue_(queue), pool_(std::move(pool)), slots_(kMaxRequests) {
  for (Slot& slot : slots_) give_slot(slot);
}

Session::~Session() {
  // The kernel or the engine may still write to pieces that are under way.
  DMR_ASSERT(under_way_ == 0);
  drop_replies();
  if (receiving_ != nullptr) give_all(*receiving_);
}

std::span<iovec> Session::receive_parts() {
  if (ended() || stalled_) return {};
  std::size_t count = 0;
  const bool fills_pieces = receiving_ != nullptr && filling_ != nullptr;
  if (fills_pieces) {
    u32 begin = filled_;
    for (Piece* piece = filling_; piece != nullptr && count + 1 < receive_parts_.size();
         piece = piece->next) {
      receive_parts_[count++] = {piece->data + begin, piece->bytes - begin};
      begin = 0;
    }
  }
  std::span<std::byte> room = parser_.space();
  if (fills_pieces && payload_left_ > kLargePayloadBytes) room = room.first(kReadAheadBytes);
  receive_parts_[count++] = {room.data(), room.size()};
  return std::span(receive_parts_).first(count);
}

void Session::received(std::size_t bytes) {
  // The first parts were pieces of the write whose payload comes in, at most nine of them.
  for (u32 part = 0; part + 1 < receive_parts_.size() && bytes > 0 && filling_ != nullptr; ++part) {
    const auto count = static_cast<u32>(std::min<std::size_t>(bytes, filling_->bytes - filled_));
    filled_ += count;
    payload_left_ -= count;
    bytes -= count;
    if (filled_ < filling_->bytes) break;
    filling_ = filling_->next;
    filled_ = 0;
  }
  parser_.filled(bytes);
  parse();
}

void Session::received(std::span<const std::byte> bytes) {
  const std::span<std::byte> room = parser_.space();
  DMR_ASSERT(bytes.size() <= room.size());
  if (!bytes.empty()) std::memcpy(room.data(), bytes.data(), bytes.size());
  parser_.filled(bytes.size());
  parse();
}

void Session::resume() {
  if (stalled_) {
    parse();
  } else if (!pending_.empty()) {
    submit();
  }
}

void Session::parse() {
  // Each round takes a header or payload out of the buffer, which bounds them.
  while (!ended()) {
    if (receiving_ != nullptr && !take_payload()) break;
    if (!stalled_) {
      const auto result = parser_.next(header_);
      if (result == RequestParser::Result::need_more) break;
      if (result == RequestParser::Result::violation) {
        violated_ = true;
        break;
      }
    }
    stalled_ = !begin(header_);
    if (stalled_) break;
    ++begun_;
  }
  submit();
}

void Session::replies_read() {
  queue_.answers_received();
  refusals_sent_ = false;
}

// Returns true when the write's payload is complete.
bool Session::take_payload() {
  Slot& slot = *receiving_;
  if (slot.error != 0) {
    payload_left_ -= static_cast<u32>(parser_.drop(payload_left_));
    if (payload_left_ > 0) return false;
    receiving_ = nullptr;
    finish(slot);
    return true;
  }
  while (filling_ != nullptr) {
    const auto to = std::span(filling_->data, filling_->bytes).subspan(filled_);
    const auto count = static_cast<u32>(parser_.take(to));
    filled_ += count;
    payload_left_ -= count;
    if (filled_ < filling_->bytes) return false;
    filling_ = filling_->next;
    filled_ = 0;
  }
  DMR_ASSERT(payload_left_ == 0);
  receiving_ = nullptr;
  begin_write(slot);
  return true;
}

// Returns false when slots or pieces are missing: try again when some have been given back.
bool Session::begin(const RequestHeader& header) {
  if (header.command() == CommandType::disconnect) {
    // Who says goodbye has had what it came for. Any other request proves nothing: the client may
    // have sent it before it got the answer.
    if (awaits_reading()) replies_read();
    disconnected_ = true;
    return true;
  }
  Slot* slot = take_slot();
  if (slot == nullptr) return false;
  slot->header = header;
  const WireError error = shutting_down_
                              ? WireError::shutdown
                              : check_request(header, options_.info, options_.zeroes_fast);
  if (error != WireError::ok) {
    refuse(*slot, error);
    return true;
  }
  const CommandType command = header.command();
  if (command != CommandType::flush && header.length == 0) {
    finish(*slot);
    return true;
  }
  if (command != CommandType::read && command != CommandType::write) {
    begin_command(*slot);
    return true;
  }
  slot->pieces = pool_->take(header.length);
  if (slot->pieces == nullptr) {
    give_slot(*slot);
    return false;
  }
  if (command == CommandType::read) {
    begin_read(*slot);
  } else {
    receiving_ = slot;
    filling_ = slot->pieces;
    filled_ = 0;
    payload_left_ = header.length;
  }
  return true;
}

void Session::refuse(Slot& slot, WireError error) {
  slot.error = static_cast<int>(error);
  payload_left_ = slot.header.payload_bytes();
  if (payload_left_ == 0) return finish(slot);
  // Answered when its payload has passed by, as a client expects.
  receiving_ = &slot;
  filling_ = nullptr;
}

void Session::start(runtime::QueueRequest& request, IoOp op, u64 offset, u64 bytes) {
  request.op = op;
  request.fua = request.then_flush = false;
  request.sector = Sector(offset >> kSectorShift);
  request.sectors = static_cast<u32>(bytes >> kSectorShift);
  request.data = nullptr;
  request.error = 0;
  request.bad_sector = request.sector;
  ++under_way_;
  pending_.push_back(request);
}

void Session::start_piece(Slot& slot, Piece& piece, u64 offset, IoOp op) {
  piece.slot = &slot;
  start(piece.request, op, offset, piece.bytes);
  piece.request.data = piece.data;
  // The piece finds the session through the slot's own request.
  piece.request.context = &piece;
  slot.request.context = this;
  ++slot.outstanding;
}

void Session::begin_read(Slot& slot) {
  u64 offset = slot.header.offset;
  for (Piece* piece = slot.pieces; piece != nullptr; piece = piece->next) {
    start_piece(slot, *piece, offset, IoOp::read);
    piece->request.done = read_done;
    offset += piece->bytes;
  }
}

void Session::begin_write(Slot& slot) {
  if (shutting_down_) {  // since the payload began to come
    give_all(slot);
    slot.error = ESHUTDOWN;
    return finish(slot);
  }
  u64 offset = slot.header.offset;
  for (Piece* piece = slot.pieces; piece != nullptr; piece = piece->next) {
    start_piece(slot, *piece, offset, IoOp::write);
    piece->request.fua = slot.header.fua();
    piece->request.done = write_done;
    offset += piece->bytes;
  }
}

void Session::begin_command(Slot& slot) {
  const RequestHeader& header = slot.header;
  const CommandType command = header.command();
  slot.request.context = this;
  slot.outstanding = 1;
  switch (command) {
    case CommandType::flush:
      start(slot.request, IoOp::flush, 0, 0);
      break;
    case CommandType::trim:
      start(slot.request, IoOp::discard, header.offset, header.length);
      break;
    default:
      DMR_ASSERT(command == CommandType::write_zeroes);
      if ((header.flags & command_flag::kNoHole) != 0) return begin_zeroing(slot);
      start(slot.request, IoOp::write_zeroes, header.offset, header.length);
  }
  // FUA of a request that moves no data: what it does is made durable with all that there is.
  slot.request.then_flush = command != CommandType::flush && header.fua();
  slot.request.done = command_done;
}

// Writes the next piece of zeros: the way of WRITE_ZEROES that leaves no hole.
void Session::begin_zeroing(Slot& slot) {
  const u64 left = slot.header.length - slot.zeroed;
  start(slot.request, IoOp::write, slot.header.offset + slot.zeroed,
        std::min<u64>(left, kLargePieceBytes));
  slot.request.data = pool_->zeroes();
  slot.request.fua = slot.header.fua();
  slot.request.done = zeroing_done;
}

void Session::submit() {
  std::array<runtime::QueueRequest*, kMaxBatch> batch;
  while (!pending_.empty()) {
    std::size_t count = 0;
    while (count < batch.size() && !pending_.empty()) batch[count++] = pending_.pop_front();
    queue_.submit(std::span(batch).first(count));
  }
}

}  // namespace dmr::nbd

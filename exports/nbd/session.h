// SPDX-License-Identifier: GPL-2.0-or-later
// The transmission phase of one connection without its socket: received bytes become requests of
// the volume's queue, finished ones become replies to send. All memory is taken at the start.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "core/base/list.h"
#include "exports/nbd/outbox.h"
#include "exports/nbd/pieces.h"
#include "exports/nbd/request.h"

namespace dmr::nbd {

// One request from its header to the last byte of its reply.
struct Slot {
  RequestHeader header;
  Slot* next_free = nullptr;
  Piece* pieces = nullptr;  // of a write, and of a read that is answered in one
  u32 outstanding = 0;      // queue requests under way
  int error = 0;            // the first by offset
  u64 error_offset = 0;
  u64 zeroed = 0;                 // bytes that have been written by filling with zeros
  bool tells_refusal = false;     // its flush has failed
  runtime::QueueRequest request;  // of commands without data
};

class Session {
 public:
  struct Options {
    ExportInfo info;
    bool structured_replies = false;
    bool zeroes_fast = false;
  };

  // Null when there is no memory. `queue` is used by the calls below only.
  [[nodiscard]] static std::unique_ptr<Session> make(Options options, runtime::Queue& queue);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  // Where the next bytes of the client go; empty while no more can be taken.
  [[nodiscard]] std::span<iovec> receive_parts();
  void received(std::size_t bytes);
  // Bytes that came together with the end of the handshake; before any others.
  void received(std::span<const std::byte> bytes);
  // Starts what could not be started before: for the time after completions and sent replies.
  void resume();

  [[nodiscard]] std::span<iovec> send_parts() { return outbox_.parts(); }
  [[nodiscard]] bool anything_to_send() const { return !outbox_.empty(); }
  void sent(std::size_t bytes);
  // The client is gone: replies are dropped, now and later.
  void drop_replies();

  // From now on requests are answered with ESHUTDOWN. Those under way are finished.
  void shut_down() { shutting_down_ = true; }

  // The client has said goodbye, or broken the protocol: nothing more is received.
  [[nodiscard]] bool ended() const { return disconnected_ || violated_; }
  [[nodiscard]] bool violated() const { return violated_; }
  // Requests in the queue's hands.
  [[nodiscard]] u32 under_way() const { return under_way_; }
  // The client has been sent the answer to a failed flush, and is not known to have read it: the
  // owner of the socket says so when it has read all that was sent.
  [[nodiscard]] bool awaits_reading() const { return refusals_sent_ && refusals_to_send_ == 0; }
  void replies_read();
  // Requests that were taken from the client so far.
  [[nodiscard]] u64 begun() const { return begun_; }

 private:
  Session(Options options, runtime::Queue& queue, std::unique_ptr<PiecePool> pool);

  void parse();
  [[nodiscard]] bool take_payload();
  [[nodiscard]] bool begin(const RequestHeader& header);
  void refuse(Slot& slot, WireError error);
  void begin_read(Slot& slot);
  void begin_write(Slot& slot);
  void begin_command(Slot& slot);
  void begin_zeroing(Slot& slot);
  void submit();

  static void read_done(runtime::QueueRequest& request);
  static void write_done(runtime::QueueRequest& request);
  static void command_done(runtime::QueueRequest& request);
  static void zeroing_done(runtime::QueueRequest& request);

  void start(runtime::QueueRequest& request, IoOp op, u64 offset, u64 bytes);
  void start_piece(Slot& slot, Piece& piece, u64 offset, IoOp op);
  static void note_error(Slot& slot, const runtime::QueueRequest& request);
  void answer_piece(Slot& slot, Piece& piece);
  void answer_read(Slot& slot);
  void finish(Slot& slot);
  void release(const Outgoing& reply);
  void give_all(Slot& slot);
  [[nodiscard]] Slot* take_slot();
  void give_slot(Slot& slot);

  Options options_;
  runtime::Queue& queue_;
  std::unique_ptr<PiecePool> pool_;
  RequestParser parser_;
  Outbox outbox_;
  std::vector<Slot> slots_;
  Slot* free_slots_ = nullptr;
  Fifo<runtime::QueueRequest> pending_;

  RequestHeader header_;       // the last one parsed
  bool stalled_ = false;       // ... waits for a slot or for pieces
  Slot* receiving_ = nullptr;  // the write whose payload comes in
  Piece* filling_ = nullptr;   // its piece that is being filled
  u32 filled_ = 0;             // bytes of that piece
  u32 payload_left_ = 0;       // of the write, or of the refused one that is skipped
  u32 under_way_ = 0;
  u64 begun_ = 0;
  bool shutting_down_ = false;
  bool disconnected_ = false;
  bool violated_ = false;
  bool drop_replies_ = false;
  u32 refusals_to_send_ = 0;    // answers to failed flushes that are on their way out
  bool refusals_sent_ = false;  // and the client is not known to have read them
  std::array<iovec, 10> receive_parts_{};
};

}  // namespace dmr::nbd

// SPDX-License-Identifier: GPL-2.0-or-later
// The hot path as a host has it: cut a request into pieces, route each inside an epoch, send it to
// its device, and hand to the executor what cannot be finished here. Its steps are separate events,
// so that everything else can come between them.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "core/task/flush_client.h"
#include "core/volume/volume.h"
#include "sim/host.h"
#include "sim/oracle.h"

namespace dmr::sim {

// The data of one request, a token a sector.
class TokenPayload final : public Payload {
 public:
  void copy_out(u64 offset_bytes, std::span<std::byte> to) const override;
  void copy_in(u64 offset_bytes, std::span<const std::byte> from) override;
  std::vector<u64> tokens;
};

// What a read gives where a sector's bytes are not one token repeated.
inline constexpr u64 kMixedUp = 0xFFFFFFFFFFFFFFFEU;

// One request of a client, which owns it until `done`.
struct UserRequest {
  Ticket ticket;
  TokenPayload payload;
  bool failed = false;
  Sector bad_sector;  // the first that failed
  std::function<void(UserRequest&)> done;
};

class SimQueue {
 public:
  SimQueue(World& world, SimHost& host, Oracle& oracle);
  ~SimQueue();
  SimQueue(const SimQueue&) = delete;
  SimQueue& operator=(const SimQueue&) = delete;

  void attach(Volume* volume) {
    volume_ = volume;
    client_.reset();
    if (volume != nullptr) client_.emplace(volume->flush_refusals());
  }
  // Fills the ticket's stamps and the tokens of a write.
  void start(UserRequest& request);
  [[nodiscard]] std::size_t in_flight() const { return jobs_.size(); }
  // Virtual time at which the oldest request under way was begun; ~0 when none.
  [[nodiscard]] u64 oldest_ns() const;
  // A power cut: no request under way is ever answered.
  void forget_all();

  [[nodiscard]] u64 requests() const { return requests_; }
  [[nodiscard]] u64 slow_requests() const { return slow_; }

 private:
  struct Job;
  struct Piece;

  void start_flush(Job& job);
  void flush_done(Piece& piece);
  void look_for_waiters(Member member);
  void await_other_flushes(Piece& piece);
  void cut(Job& job);
  void route_piece(Job& job, Piece& piece);
  void launch(Piece& piece, const Route& route);
  void act(Piece& piece, const Route& route);
  void device_done(Piece& piece);
  void leave(Piece& piece);
  void to_executor(Piece& piece);
  void finish(Piece& piece, bool ok, Sector bad);
  void hot(u64 most_ns, World::Action action);
  [[nodiscard]] bool dawdles();

  World& world_;
  SimHost& host_;
  Oracle& oracle_;
  Volume* volume_ = nullptr;
  std::vector<std::unique_ptr<Job>> jobs_;
  u64 requests_ = 0;
  u64 slow_ = 0;
  std::optional<FlushClient> client_;  // all requests are one client's
};

}  // namespace dmr::sim

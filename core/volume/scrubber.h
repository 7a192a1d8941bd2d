// SPDX-License-Identifier: GPL-2.0-or-later
// Reads the whole volume behind the users' I/O, so that a bad place is found while its neighbours
// and its spare are still good. What does not come at once takes the way of a user's failed read:
// salvaged, moved, or recorded as lost. One pass at a time, on order.
#pragma once

#include "core/volume/state.h"
#include "core/volume/stats.h"

namespace dmr {

enum class ScrubAction : u8 {
  start,  // a new pass, or on with one that is paused; nothing when one runs
  pause,
  stop,  // ends the pass; what it has found stays to be seen
};
inline constexpr u32 kScrubActions = 3;

class Scrubber {
 public:
  // Takes a failed read to the slow path; its `done` may be called before this returns.
  using Submit = void (*)(void* context, Request& request);

  Scrubber(VolumeState& state, Submit submit, void* context)
      : state_(state), submit_(submit), context_(context) {}

  Status open();
  void close();
  void start();
  // The loop ends with the read that is under way.
  void request_stop(Ready& stopped);

  // `from`: where a new pass begins. `invalid`: there is nothing to pause, or it lies outside.
  Status act(ScrubAction action, Sector from);
  // Takes over what an earlier opening of the volume had come to, a pass that its closing has ended
  // included. `invalid`: it lies outside.
  Status restore(const ScrubStats& kept);
  // Ends a rest that is over; otherwise gives the time of its end, or never.
  u64 on_timer(u64 now);
  [[nodiscard]] const ScrubStats& stats() const { return stats_; }

 private:
  static constexpr std::size_t kFrameBytes = 8192;
  static constexpr u32 kBurst = 16;          // reads between two rests
  static constexpr u32 kDeviceFailures = 3;  // in a row, with rests between, and the pass is paused
  static constexpr u64 kShortestRest = kMillisecond;

  class NoPayload final : public Payload {
   public:
    void copy_out(u64, std::span<std::byte>) const override { DMR_ASSERT(false); }
    void copy_in(u64, std::span<const std::byte>) override {}
  };
  struct SalvageAwait;

  Task<Status> loop(FrameStack& frames);
  Task<Status> burst(FrameStack& frames);
  Task<Status> read_next(FrameStack& frames);
  Task<Status> salvage_piece(FrameStack& frames, u32 sectors, u64 pass);
  void pass_over();
  void end_pass();
  void rest_after(u64 began_ns, u64 sectors);
  void note_device_failure();
  [[nodiscard]] Sector end() const { return Sector(state_.geometry.volume_sectors); }
  [[nodiscard]] bool runs() const { return stats_.state == ScrubState::running && !stop_; }

  VolumeState& state_;
  Submit submit_;
  void* context_;
  ScrubStats stats_;
  std::byte* frame_memory_ = nullptr;
  FrameStack frames_;
  std::optional<Task<Status>> root_;
  Ready ended_;
  Ready* stopped_ = nullptr;
  bool stop_ = false;
  Signal wake_;
  IoBuffer* buffer_ = nullptr;
  DeviceIo io_;
  Request request_;
  NoPayload nowhere_;
  u64 due_ns_ = 0;  // the next read's
  u64 pass_ = 0;    // another number: what is under way belongs to no pass any more
  u32 device_failures_ = 0;
};

}  // namespace dmr

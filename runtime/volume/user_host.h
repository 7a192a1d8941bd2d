// SPDX-License-Identifier: GPL-2.0-or-later
// The engine's host in user space: device I/O through one ring, time, grace periods by a look at
// the queues, memory, events. Used by one thread, the executor; also alone, for `create` and
// `check`.
#pragma once

#include <array>
#include <memory>
#include <span>

#include "core/base/list.h"
#include "core/host/host.h"
#include "core/task/executor.h"
#include "runtime/device/device_queue.h"
#include "runtime/volume/event_log.h"
#include "runtime/volume/index_pages.h"
#include "runtime/volume/queue_shared.h"

namespace dmr::runtime {

inline constexpr unsigned kMaxQueues = 64;  // of one volume

class UserHost final : public Host {
 public:
  // `devices` by member number, null where one is missing. Both arguments must outlive the host.
  static Expected<std::unique_ptr<UserHost>> create(std::span<Device* const> devices,
                                                    EventLog& events);
  UserHost(const UserHost&) = delete;
  UserHost& operator=(const UserHost&) = delete;
  ~UserHost() = default;

  // Submits, completes, ends grace periods; true when something has happened.
  bool step();
  // Does that once something has happened or wake() was called. To be called after prepare_sleep(),
  // when nothing was found to do since.
  void wait();
  void prepare_sleep() { queue_->prepare_sleep(); }
  void cancel_sleep() { queue_->cancel_sleep(); }
  void wake() { queue_->wake(); }  // any thread

  // For tools without a volume: runs tasks until `finished`, which one of them sets.
  void drive(Executor& executor, const bool& finished);

  // What the loop around the host has to pass on to the volume.
  [[nodiscard]] bool take_timer();  // the time given to wake_at() has come: call on_timer()
  // Who takes index pages: called from request_pages(), later only when memory was short.
  using PageTaker = void (*)(void* context, void* page);
  void set_page_taker(PageTaker taker, void* context) {
    page_taker_ = taker;
    page_context_ = context;
  }

  // The queues whose sections and counters count. False when kMaxQueues are there.
  bool add_queue(QueueShared& queue);
  void remove_queue(QueueShared& queue);
  [[nodiscard]] std::span<QueueShared* const> queues() const { return {queues_.data(), count_}; }

  // ---- Host ----
  void submit(DeviceIo& io) override;
  void submit_batch(std::span<DeviceIo* const> batch) override;
  u64 now_ns() override { return monotonic_ns(); }
  void wake_at(u64 deadline_ns) override;
  void after_grace(GraceWork& work) override;
  i64 epoch_in_flight(u32 slot) override;
  void* allocate(std::size_t bytes, std::size_t alignment) override;
  void release(void* memory, std::size_t bytes) override;
  void request_pages(u32 count) override;
  void random(std::span<std::byte> out) override;
  void event(const Event& event) override { events_.add(event); }
  void poison(const void* memory, std::size_t bytes) override;
  void unpoison(const void* memory, std::size_t bytes) override;

 private:
  static constexpr unsigned kOps = 256;        // I/Os of the engine with the devices; more wait
  static constexpr u64 kGracePollNs = 50'000;  // a section lasts some microseconds
  static constexpr u64 kMemoryPollNs = 20'000'000;

  // One I/O of the engine on its way.
  struct Flight {
    DeviceOp op;
    DeviceIo* io = nullptr;
    UserHost* host = nullptr;
    u64 started_ns = 0;
    Flight* next = nullptr;
  };

  explicit UserHost(EventLog& events) : events_(events) {}
  void start_waiting();
  void take_off(Flight& flight, DeviceIo& io);
  static void landed(DeviceOp& op);
  bool give_pages();
  bool step_grace();
  void begin_round();
  [[nodiscard]] u64 wait_timeout() const;

  EventLog& events_;
  std::unique_ptr<DeviceQueue> queue_;
  std::unique_ptr<std::array<Flight, kOps>> flights_;
  Flight* free_flights_ = nullptr;
  Fifo<DeviceIo> waiting_;

  static constexpr u64 kNoDeadline = ~u64{0};
  u64 deadline_ns_ = kNoDeadline;
  PageTaker page_taker_ = nullptr;
  void* page_context_ = nullptr;
  IndexPages index_pages_;
  u64 pages_wanted_ = 0;  // that could not be allocated yet

  Fifo<GraceWork> grace_next_;  // wait for a round that begins after they came
  Fifo<GraceWork> grace_now_;   // end with the present round
  std::array<QueueShared*, kMaxQueues> queues_{};
  std::array<u64, kMaxQueues> seen_{};  // section value that the round waits to change; 0: none
  std::size_t count_ = 0;
};

}  // namespace dmr::runtime

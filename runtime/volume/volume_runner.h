// SPDX-License-Identifier: GPL-2.0-or-later
// The control thread of a volume: runs the engine, its host's I/O and timers, and what other
// threads post to it.
#pragma once

#include <atomic>
#include <functional>
#include <thread>

#include "core/volume/volume.h"
#include "runtime/device/mailbox.h"
#include "runtime/queue/volume_queue.h"
#include "runtime/volume/user_host.h"

namespace dmr::runtime {

class VolumeRunner final : public QueueOwner {
 public:
  VolumeRunner(std::unique_ptr<UserHost> host, const VolumeConfig& config);
  VolumeRunner(const VolumeRunner&) = delete;
  VolumeRunner& operator=(const VolumeRunner&) = delete;
  ~VolumeRunner();  // stops the thread; the engine is not open any more

  Volume& engine() override { return volume_; }
  void post(Message& message) override;
  bool attach(QueueShared& shared) override;
  void detach(QueueShared& shared) override;
  ClientBook& clients() override { return clients_; }
  [[nodiscard]] std::size_t queues();

  // From another thread: runs `work` on the executor and waits for its end.
  void call(const std::function<void()>& work);
  // Executor only: the counters of all queues there have been.
  [[nodiscard]] IoCounters io_counters() const;

 private:
  void loop();

  std::unique_ptr<UserHost> host_;
  Volume volume_;
  IoCounters past_queues_;  // executor only
  Mailbox mailbox_;
  ClientBook clients_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace dmr::runtime

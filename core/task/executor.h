// SPDX-License-Identifier: GPL-2.0-or-later
// The volume's one executor: a queue of things that are ready to run. Whoever makes a coroutine
// ready posts it here; only run() resumes, so no completion ever recurses into a submitter.
#pragma once

#include <coroutine>

#include "core/base/list.h"

namespace dmr {

struct Ready {
  Ready* next = nullptr;
  void (*run)(Ready&) = nullptr;
  void* context = nullptr;

  void set_resume(std::coroutine_handle<> handle) {
    context = handle.address();
    run = [](Ready& self) { std::coroutine_handle<>::from_address(self.context).resume(); };
  }
};

class Executor {
 public:
  void post(Ready& node) { ready_.push_back(node); }
  [[nodiscard]] bool idle() const { return ready_.empty(); }

  // Runs at most `limit` nodes; true when more are waiting. Not re-entrant.
  bool run(u32 limit = 4096) {
    DMR_ASSERT(!running_);
    running_ = true;
    for (u32 i = 0; i < limit; ++i) {
      Ready* node = ready_.pop_front();
      if (node == nullptr) break;
      node->run(*node);  // the node may be gone after this
    }
    running_ = false;
    return !ready_.empty();
  }

 private:
  Fifo<Ready> ready_;
  bool running_ = false;
};

// Coroutines that wait for a condition; whoever makes it true wakes them through the executor.
class Signal {
 public:
  struct Awaiter {
    Signal& signal;
    Ready node{};
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) noexcept {
      node.set_resume(handle);
      signal.waiting_.push_back(node);
    }
    void await_resume() const noexcept {}
  };

  // Wait in a loop that checks the condition: waking is not a promise that it holds.
  [[nodiscard]] Awaiter wait() { return Awaiter{*this}; }
  [[nodiscard]] bool has_waiters() const { return !waiting_.empty(); }
  void wake_one(Executor& executor) {
    if (Ready* node = waiting_.pop_front()) executor.post(*node);
  }
  void wake_all(Executor& executor) {
    while (Ready* node = waiting_.pop_front()) executor.post(*node);
  }

 private:
  Fifo<Ready> waiting_;
};

}  // namespace dmr

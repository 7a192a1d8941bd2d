// SPDX-License-Identifier: GPL-2.0-or-later
// Task<T>: a coroutine whose frame comes from its operation's frame stack. T is Status or
// Result<X>; a frame that did not fit makes the task yield Status::again.
//
// A coroutine takes a FrameStack& as its first parameter (after the object, for a member).
// All other parameters are taken by value or outlive the task.
#pragma once

#include <coroutine>

#include "core/base/result.h"
#include "core/task/executor.h"
#include "core/task/frame_stack.h"

namespace dmr {

template <class T>
class [[nodiscard]] Task {
 public:
  struct promise_type;
  using Handle = std::coroutine_handle<promise_type>;

  struct FinalAwaiter {
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    [[nodiscard]] std::coroutine_handle<> await_suspend(Handle handle) const noexcept {
      promise_type& promise = handle.promise();
      if (promise.continuation) return promise.continuation;
      DMR_ASSERT(promise.executor != nullptr);
      promise.executor->post(*promise.finished);  // the starter destroys the frame from there
      return std::noop_coroutine();
    }
    void await_resume() const noexcept {}
  };

  struct promise_type {
    T result = T(Status::closed);
    std::coroutine_handle<> continuation;
    Executor* executor = nullptr;
    Ready* finished = nullptr;

    template <class... Args>
    static void* operator new(std::size_t bytes, FrameStack& frames, Args&&...) noexcept {
      return frames.push(bytes);
    }
    template <class Self, class... Args>
    static void* operator new(std::size_t bytes, Self&, FrameStack& frames, Args&&...) noexcept {
      return frames.push(bytes);
    }
    static void operator delete(void* frame, std::size_t bytes) { FrameStack::pop(frame, bytes); }

    static Task get_return_object_on_allocation_failure() noexcept { return Task(Handle{}); }
    Task get_return_object() noexcept { return Task(Handle::from_promise(*this)); }
    [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }
    [[nodiscard]] FinalAwaiter final_suspend() const noexcept { return {}; }
    void return_value(T value) noexcept { result = value; }
    void unhandled_exception() const noexcept { __builtin_trap(); }
  };

  explicit Task(Handle handle) : handle_(handle) {}
  Task(Task&& other) noexcept : handle_(other.handle_) { other.handle_ = Handle{}; }
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;
  Task& operator=(Task&&) = delete;
  ~Task() {
    if (handle_) handle_.destroy();
  }

  [[nodiscard]] bool has_frame() const { return static_cast<bool>(handle_); }

  // Awaiting runs the task and yields its result.
  struct Awaiter {
    Handle handle;
    [[nodiscard]] bool await_ready() const noexcept { return !handle; }
    [[nodiscard]] std::coroutine_handle<> await_suspend(
        std::coroutine_handle<> outer) const noexcept {
      handle.promise().continuation = outer;
      return handle;
    }
    [[nodiscard]] T await_resume() const noexcept {
      if (!handle) return T(Status::again);
      return handle.promise().result;
    }
  };
  [[nodiscard]] Awaiter operator co_await() const noexcept { return Awaiter{handle_}; }

  // Runs the task as the outermost of an operation; `finished` is posted when it has ended.
  // The task must not be destroyed before that.
  void start(Executor& executor, Ready& finished) {
    DMR_ASSERT(handle_);
    handle_.promise().executor = &executor;
    handle_.promise().finished = &finished;
    handle_.resume();
  }
  [[nodiscard]] T result() const {
    DMR_ASSERT(handle_ && handle_.done());
    return handle_.promise().result;
  }

 private:
  Handle handle_;
};

}  // namespace dmr

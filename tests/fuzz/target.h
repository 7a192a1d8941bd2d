// SPDX-License-Identifier: GPL-2.0-or-later
// What a fuzz target is: a function that takes any bytes, and a few inputs to begin with. One
// target is one program, linked either with libFuzzer or with the bounded driver.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

namespace dmr::fuzz {

using Bytes = std::vector<std::byte>;

// Each target defines these two.

// Runs one input to its end. A broken promise ends the process.
void run_one(std::span<const std::byte> input);
// What the target is fed first: ordinary inputs, and those that have found something before.
[[nodiscard]] std::vector<Bytes> seeds();

// Ends the process with the promise that was broken, so that both drivers see a crash.
[[noreturn]] void fail(const char* promise);
inline void expect(bool kept, const char* promise) {
  if (!kept) fail(promise);
}

[[nodiscard]] inline Bytes bytes_of(std::string_view text) {
  const auto* begin = reinterpret_cast<const std::byte*>(text.data());
  return {begin, begin + text.size()};
}
[[nodiscard]] inline std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Decisions taken from an input, one after the other; zero once it is used up.
class Input {
 public:
  explicit Input(std::span<const std::byte> bytes) : left_(bytes) {}

  template <class T>
    requires std::is_integral_v<T>
  [[nodiscard]] T take() {
    T value{};
    const std::size_t count = std::min(sizeof value, left_.size());
    if (count > 0) std::memcpy(&value, left_.data(), count);
    left_ = left_.subspan(count);
    return value;
  }
  [[nodiscard]] std::span<const std::byte> take_bytes(std::size_t count) {
    const auto taken = left_.first(std::min(count, left_.size()));
    left_ = left_.subspan(taken.size());
    return taken;
  }
  [[nodiscard]] bool empty() const { return left_.empty(); }

 private:
  std::span<const std::byte> left_;
};

}  // namespace dmr::fuzz

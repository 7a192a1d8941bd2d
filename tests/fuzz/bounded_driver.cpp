// SPDX-License-Identifier: GPL-2.0-or-later
// Runs a target without libFuzzer: its seeds, then a fixed number of inputs made from them with a
// fixed seed, the same in every run. `TARGET [RUNS]`, or `TARGET --input FILE` to repeat one.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <unistd.h>

#include "tests/fuzz/target.h"

namespace dmr::fuzz {
namespace {

constexpr std::size_t kMaxInputBytes = 4096;
constexpr unsigned kSecondsPerInput = 10;  // a target that takes longer hangs
constexpr unsigned long kDefaultRuns = 1000;

Bytes current;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables): for a dying process

// What to repeat, printed as hexadecimal bytes.
void print_current() {
  std::fprintf(stderr, "input (%zu bytes):", current.size());
  for (const std::byte b : current) std::fprintf(stderr, " %02x", std::to_integer<unsigned>(b));
  std::fputc('\n', stderr);
}

void run(Bytes input) {
  current = std::move(input);
  (void)::alarm(kSecondsPerInput);
  run_one(current);
}

class Mutator {
 public:
  explicit Mutator(std::vector<Bytes> pool) : pool_(std::move(pool)) {}

  Bytes next() {
    Bytes input = pool_[below(pool_.size())];
    for (std::size_t changes = 1 + below(6); changes > 0; --changes) change(input);
    if (input.size() > kMaxInputBytes) input.resize(kMaxInputBytes);
    return input;
  }

 private:
  std::size_t below(std::size_t limit) { return random_() % limit; }
  std::byte any() { return static_cast<std::byte>(random_()); }

  void change(Bytes& input) {
    constexpr std::size_t kInserted = 8;
    const std::size_t at = input.empty() ? 0 : below(input.size());
    const auto place = input.begin() + static_cast<std::ptrdiff_t>(at);
    const std::size_t kind = input.empty() ? 0 : below(6);
    if (kind == 0) {
      Bytes added(1 + below(kInserted));
      for (std::byte& b : added) b = any();
      input.insert(place, added.begin(), added.end());
    } else if (kind == 1) {
      const std::size_t count = std::min(1 + below(kInserted), input.size() - at);
      input.erase(place, place + static_cast<std::ptrdiff_t>(count));
    } else if (kind == 2) {
      input[at] ^= static_cast<std::byte>(1U << below(8));
    } else if (kind == 3) {
      input[at] = any();
    } else if (kind == 4) {  // the beginning of one, the end of another
      const Bytes& other = pool_[below(pool_.size())];
      const std::size_t from = other.empty() ? 0 : below(other.size());
      input.resize(at);
      input.insert(input.end(), other.begin() + static_cast<std::ptrdiff_t>(from), other.end());
    } else {
      const Bytes repeated(
          place, place + static_cast<std::ptrdiff_t>(std::min(1 + below(32), input.size() - at)));
      input.insert(place, repeated.begin(), repeated.end());
    }
  }

  std::vector<Bytes> pool_;
  std::mt19937_64 random_{1};  // NOLINT(cert-msc51-cpp): the same inputs in every run
};

}  // namespace

void fail(const char* promise) {
  std::fprintf(stderr, "broken promise: %s\n", promise);
  print_current();
  std::abort();
}

}  // namespace dmr::fuzz

int main(int count, char** arguments) {
  using namespace dmr::fuzz;
  if (count == 3 && std::strcmp(arguments[1], "--input") == 0) {
    std::ifstream file(arguments[2], std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    run(bytes_of(text));
    return 0;
  }
  const unsigned long runs = count > 1 ? std::strtoul(arguments[1], nullptr, 10) : kDefaultRuns;
  std::vector<Bytes> pool = seeds();
  for (const Bytes& seed : pool) run(seed);
  if (pool.empty()) pool.emplace_back();
  Mutator mutator(std::move(pool));
  for (unsigned long i = 0; i < runs; ++i) run(mutator.next());
  std::printf("%lu inputs, nothing found\n", runs);
  return 0;
}

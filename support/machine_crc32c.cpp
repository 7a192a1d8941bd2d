// SPDX-License-Identifier: GPL-2.0-or-later
// SSE 4.2 has CRC32C with this very polynomial.
#include "support/machine_crc32c.h"

#include <cstring>

namespace dmr {

#if defined(__x86_64__)
namespace {

__attribute__((target("sse4.2"))) u32 sse42(u32 state, const std::byte* bytes, std::size_t count) {
  u64 crc = state;
  for (; count >= sizeof(u64); count -= sizeof(u64), bytes += sizeof(u64)) {
    unsigned long long word = 0;
    std::memcpy(&word, bytes, sizeof(word));
    crc = __builtin_ia32_crc32di(crc, word);
  }
  u32 last = static_cast<u32>(crc);
  for (; count > 0; --count, ++bytes) {
    last = __builtin_ia32_crc32qi(last, static_cast<unsigned char>(*bytes));
  }
  return last;
}

}  // namespace

Crc32cFunction crc32c_of_this_machine() {
  return __builtin_cpu_supports("sse4.2") != 0 ? &sse42 : nullptr;
}
#else
Crc32cFunction crc32c_of_this_machine() { return nullptr; }
#endif

}  // namespace dmr

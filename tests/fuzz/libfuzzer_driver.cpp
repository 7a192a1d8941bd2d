// SPDX-License-Identifier: GPL-2.0-or-later
// Joins a target to libFuzzer. The target's own seeds are put into the first corpus folder of the
// command line, so that no binary file has to lie in the tree.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/fuzz/target.h"

namespace dmr::fuzz {

void fail(const char* promise) {
  std::fprintf(stderr, "broken promise: %s\n", promise);
  std::abort();
}

namespace {

void write_seeds(const std::filesystem::path& folder) {
  int number = 0;
  for (const Bytes& seed : seeds()) {
    std::ofstream file(folder / ("seed-" + std::to_string(number++)), std::ios::binary);
    file.write(reinterpret_cast<const char*>(seed.data()),
               static_cast<std::streamsize>(seed.size()));
  }
}

}  // namespace
}  // namespace dmr::fuzz

// The names are libFuzzer's.
// NOLINTBEGIN(readability-identifier-naming)
extern "C" int LLVMFuzzerInitialize(int* count, char*** arguments) {
  for (int i = 1; i < *count; ++i) {
    const std::filesystem::path path((*arguments)[i]);
    if (!std::filesystem::is_directory(path)) continue;
    dmr::fuzz::write_seeds(path);
    break;
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  dmr::fuzz::run_one({reinterpret_cast<const std::byte*>(data), size});
  return 0;
}
// NOLINTEND(readability-identifier-naming)

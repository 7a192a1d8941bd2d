// SPDX-License-Identifier: GPL-2.0-or-later
// What the scenarios do sector by sector, and what a shell would take minutes for under emulation.
//   sectors pattern SEED COUNT             text that repeats nowhere, a line of 512 bytes a sector
//   sectors unreadable DEVICE FIRST COUNT  those that cannot be read, one by one: `<n> <n> `
//   sectors fill DEVICE FIRST COUNT SEED   writes the pattern, 4 KiB a request, up to the first one
//                                          that is refused; prints how many sectors were taken
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <unistd.h>

namespace {

constexpr std::size_t kSectorBytes = 512;

[[noreturn]] void give_up(const char* what) {
  std::fprintf(stderr, "sectors: %s\n", what);
  std::exit(1);
}

std::string pattern_line(const char* seed, unsigned long long i) {
  std::string line = "seed " + std::string(seed) + " sector " + std::to_string(i) + " ";
  const std::string filling = "0123456789abcdef" + std::to_string(i);
  while (line.size() < kSectorBytes) line += filling;
  line.resize(kSectorBytes - 1);
  line += '\n';
  return line;
}

int pattern(const char* seed, unsigned long long count) {
  for (unsigned long long i = 0; i < count; ++i) {
    const std::string line = pattern_line(seed, i);
    if (std::fwrite(line.data(), line.size(), 1, stdout) != 1) give_up("nobody reads this");
  }
  return std::fflush(stdout) == 0 ? 0 : 1;
}

// Direct: a page that is read ahead would fail together with its neighbours.
int unreadable(const char* path, unsigned long long first, unsigned long long count) {
  const int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
  void* sector = std::aligned_alloc(kSectorBytes, kSectorBytes);
  if (fd < 0 || sector == nullptr) give_up("the device cannot be opened");
  for (unsigned long long at = first; at < first + count; ++at) {
    const ssize_t got = pread(fd, sector, kSectorBytes, static_cast<off_t>(at * kSectorBytes));
    if (got != static_cast<ssize_t>(kSectorBytes)) std::printf("%llu ", at);
  }
  std::free(sector);
  close(fd);
  return 0;
}

int fill(const char* path, unsigned long long first, unsigned long long count, const char* seed) {
  constexpr unsigned long long kAtOnce = 8;
  constexpr std::size_t kBytes = kAtOnce * kSectorBytes;
  const int fd = open(path, O_WRONLY | O_DIRECT | O_CLOEXEC);
  char* block = static_cast<char*>(std::aligned_alloc(kBytes, kBytes));
  if (fd < 0 || block == nullptr) give_up("the device cannot be opened");
  unsigned long long taken = 0;
  for (; taken + kAtOnce <= count; taken += kAtOnce) {
    for (unsigned long long i = 0; i < kAtOnce; ++i) {
      std::memcpy(block + i * kSectorBytes, pattern_line(seed, taken + i).data(), kSectorBytes);
    }
    const auto at = static_cast<off_t>((first + taken) * kSectorBytes);
    if (pwrite(fd, block, kBytes, at) != static_cast<ssize_t>(kBytes)) break;
  }
  std::printf("%llu\n", taken);
  std::free(block);
  close(fd);
  return 0;
}

unsigned long long number(const char* text) { return std::strtoull(text, nullptr, 10); }

}  // namespace

int main(int argc, char** argv) {
  if (argc == 4 && std::strcmp(argv[1], "pattern") == 0) return pattern(argv[2], number(argv[3]));
  if (argc == 5 && std::strcmp(argv[1], "unreadable") == 0) {
    return unreadable(argv[2], number(argv[3]), number(argv[4]));
  }
  if (argc == 6 && std::strcmp(argv[1], "fill") == 0) {
    return fill(argv[2], number(argv[3]), number(argv[4]), argv[5]);
  }
  give_up(
      "usage: sectors pattern SEED COUNT | unreadable DEVICE FIRST COUNT | "
      "fill DEVICE FIRST COUNT SEED");
}

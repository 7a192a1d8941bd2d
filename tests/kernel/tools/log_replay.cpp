// SPDX-License-Identifier: GPL-2.0-or-later
// Replays what dm-log-writes has logged, up to each point at which the power may have been cut.
//   log_replay LOG TARGET ENTRY
// applies the entries from number ENTRY on, through the next one that was a flush or had FUA, and
// prints `<next entry> <entries> <newest mark, or ->`.
//   log_replay LOG
// prints each entry that is no mark: `<newest mark, or -> <sector> <sectors> <flags>`.
// The log's layout: a sector with the superblock, then for each entry a sector with its description
// and a mark's text, and its data.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <unistd.h>
#include <vector>

namespace {

constexpr std::uint64_t kMagic = 0x6a736677736872;
constexpr std::uint64_t kSectorBytes = 512;
constexpr std::uint64_t kFlush = 1;
constexpr std::uint64_t kFua = 2;
constexpr std::uint64_t kDiscard = 4;
constexpr std::uint64_t kMark = 8;
constexpr std::uint64_t kMostSectors = 65536;  // of one entry

struct Superblock {
  std::uint64_t magic;
  std::uint64_t version;
  std::uint64_t entries;
  std::uint32_t sector_bytes;
};

struct Entry {
  std::uint64_t sector;
  std::uint64_t sectors;
  std::uint64_t flags;
  std::uint64_t text_bytes;
};

[[noreturn]] void give_up(const char* what) {
  std::fprintf(stderr, "log_replay: %s\n", what);
  std::exit(1);
}

void read_at(int fd, std::uint64_t sector, char* to, std::uint64_t bytes) {
  const ssize_t got = pread(fd, to, bytes, static_cast<off_t>(sector * kSectorBytes));
  if (got != static_cast<ssize_t>(bytes)) give_up("the log ends early");
}

void write_at(int fd, std::uint64_t sector, const char* from, std::uint64_t bytes) {
  const ssize_t put = pwrite(fd, from, bytes, static_cast<off_t>(sector * kSectorBytes));
  if (put != static_cast<ssize_t>(bytes)) give_up("the target takes no more");
}

class Replay {
 public:
  Replay(int log, int target) : log_(log), target_(target) {
    std::array<char, kSectorBytes> sector{};
    read_at(log_, 0, sector.data(), sector.size());
    std::memcpy(&superblock_, sector.data(), sizeof superblock_);
    if (superblock_.magic != kMagic || superblock_.sector_bytes != kSectorBytes) {
      give_up("this is no log of 512-byte sectors");
    }
  }

  // Earlier entries are passed over: they have been applied before.
  void run(std::uint64_t first) {
    std::uint64_t number = 0;
    bool cut = false;
    for (; number < superblock_.entries && !cut; ++number) {
      const Entry entry = next();
      if (number < first) continue;
      apply(entry);
      cut = (entry.flags & (kFlush | kFua)) != 0;
    }
    if (fsync(target_) != 0) give_up("the target refuses a flush");
    std::printf("%llu %llu %s\n", static_cast<unsigned long long>(number),
                static_cast<unsigned long long>(superblock_.entries), mark_.c_str());
  }

  void list() {
    for (std::uint64_t number = 0; number < superblock_.entries; ++number) {
      const Entry entry = next();
      if ((entry.flags & kMark) != 0) continue;
      std::printf("%s %llu %llu %llu\n", mark_.c_str(),
                  static_cast<unsigned long long>(entry.sector),
                  static_cast<unsigned long long>(entry.sectors),
                  static_cast<unsigned long long>(entry.flags));
    }
  }

 private:
  Entry next() {
    std::array<char, kSectorBytes> sector{};
    read_at(log_, at_, sector.data(), sector.size());
    Entry entry{};
    std::memcpy(&entry, sector.data(), sizeof entry);
    if (entry.sectors > kMostSectors) give_up("an entry is too large");
    if ((entry.flags & kMark) != 0) {
      const std::uint64_t bytes = std::min(entry.text_bytes, kSectorBytes - sizeof entry);
      mark_.assign(sector.data() + sizeof entry, bytes);
      mark_.erase(std::find(mark_.begin(), mark_.end(), '\0'), mark_.end());
    }
    data_ = at_ + 1;
    at_ = data_ + ((entry.flags & kDiscard) != 0 ? 0 : entry.sectors);
    return entry;
  }

  // A discard leaves what was there: that, too, is what may be read after it.
  void apply(const Entry& entry) {
    if ((entry.flags & (kDiscard | kMark)) != 0 || entry.sectors == 0) return;
    std::vector<char> data(entry.sectors * kSectorBytes);
    read_at(log_, data_, data.data(), data.size());
    write_at(target_, entry.sector, data.data(), data.size());
  }

  int log_;
  int target_;
  Superblock superblock_{};
  std::uint64_t at_ = 1;
  std::uint64_t data_ = 0;
  std::string mark_ = "-";
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 && argc != 4) give_up("usage: log_replay LOG [TARGET ENTRY]");
  const int log = open(argv[1], O_RDONLY | O_CLOEXEC);
  if (argc == 2) {
    if (log < 0) give_up("the log cannot be opened");
    Replay(log, -1).list();
    return 0;
  }
  const int target = open(argv[2], O_RDWR | O_CLOEXEC);
  if (log < 0 || target < 0) give_up("a device cannot be opened");
  Replay(log, target).run(std::strtoull(argv[3], nullptr, 10));
}

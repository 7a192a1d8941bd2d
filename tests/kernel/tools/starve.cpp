// SPDX-License-Identifier: GPL-2.0-or-later
// Lets each memory allocation behind a call of the kernel fail once, one after the other:
//   starve [--workers] NAME TABLE STEP...
// goes through the steps, on the device-mapper device NAME, in round N = 1, 2, ... In a step that
// ends in `!` the Nth allocation fails: of this process, or with --workers the Nth of each worker
// of the kernel's unbound workqueues, on which the module's engine runs. Such a step succeeds, or
// says ENOMEM and succeeds when it is done again. When no step has had N for three rounds, it looks
// at all data once more and prints `rounds <n> refused <n>`: how many steps said ENOMEM.
#include <linux/dm-ioctl.h>
#include <sys/ioctl.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <fstream>
#include <string>
#include <string_view>
#include <unistd.h>
#include <utility>
#include <vector>

namespace {

constexpr unsigned kMostRounds = 3000;
constexpr unsigned kQuietRounds = 3;
constexpr unsigned kReadAgain = 4;
constexpr std::size_t kBytes = 8192;
constexpr std::size_t kReplyBytes = 16384;

[[noreturn]] void give_up(const std::string& what) {
  std::fprintf(stderr, "starve: %s\n", what.c_str());
  std::exit(1);
}

// Whose allocations fail, and which one.
class Shortage {
 public:
  explicit Shortage(bool workers) : workers_(workers) {
    if (!workers_) add("/proc/thread-self/fail-nth");
  }
  Shortage(const Shortage&) = delete;
  Shortage& operator=(const Shortage&) = delete;
  ~Shortage() { close_all(); }

  void expect(unsigned nth) {
    nth_ = nth;
    reached_ = false;
  }
  [[nodiscard]] bool reached() const { return reached_; }

  // Nothing but the call, the first one since expect(), runs while allocations are counted.
  // Returns its errno.
  template <typename Call>
  int during(const Call& call) {
    if (nth_ == 0) return call() < 0 ? errno : 0;
    if (workers_) find_workers();
    set(std::exchange(nth_, 0U));
    const int error = call() < 0 ? errno : 0;
    for (const int file : files_) {
      char left = '1';
      if (pread(file, &left, 1, 0) == 1 && left == '0') reached_ = true;
    }
    set(0);
    return error;
  }

 private:
  void add(const std::string& path) {
    const int file = open(path.c_str(), O_RDWR | O_CLOEXEC);
    if (file >= 0) files_.push_back(file);
    if (file < 0 && !workers_) give_up("this kernel lets no allocation fail");
  }
  // They come and go.
  void find_workers() {
    close_all();
    DIR* all = opendir("/proc");
    if (all == nullptr) give_up("/proc cannot be read");
    while (const dirent* entry = readdir(all)) {
      const std::string number = static_cast<const char*>(entry->d_name);
      if (number.front() < '0' || number.front() > '9') continue;
      std::string name;
      std::ifstream("/proc/" + number + "/comm") >> name;
      if (name.starts_with("kworker/u")) add("/proc/" + number + "/fail-nth");
    }
    closedir(all);
    if (files_.empty()) give_up("no worker is there, or none that lets an allocation fail");
  }
  void close_all() {
    for (const int file : files_) close(file);
    files_.clear();
  }
  void set(unsigned nth) {
    const std::string text = std::to_string(nth);
    for (const int file : files_) {
      // A worker that has ended meanwhile takes none.
      if (pwrite(file, text.data(), text.size(), 0) < 0 && !workers_) give_up("fail-nth");
    }
  }

  bool workers_;
  std::vector<int> files_;
  unsigned nth_ = 0;  // 0: none
  bool reached_ = false;
};

//   create, load, clear, resume, suspend, remove, status, table, message=WORDS
//   write=SECTOR     8 KiB, behind those of the rounds before; the first ones lie at SECTOR
//   read             what the last rounds have written
//   file=PATH        reads it
struct Step {
  explicit Step(std::string text) : starved(text.ends_with('!')) {
    if (starved) text.pop_back();
    const std::size_t equal = text.find('=');
    word = text.substr(0, equal);
    if (equal != std::string::npos) argument = text.substr(equal + 1);
  }
  std::string word;
  std::string argument;
  bool starved;
};

std::uint64_t number_in(std::string_view text) {
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

struct Outcome {
  int error = 0;
  std::string reply;
};

class Device {
 public:
  Device(std::string name, std::string table, Shortage& shortage)
      : name_(std::move(name)), table_(std::move(table)), shortage_(shortage) {
    control_ = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
    data_ = static_cast<std::uint64_t*>(std::aligned_alloc(4096, kBytes));
    if (control_ < 0 || data_ == nullptr) give_up("there is no device mapper");
  }
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  ~Device() {
    std::free(data_);
    close(control_);
  }

  Outcome run(const Step& step) {
    if (step.word == "write") return write(number_in(step.argument));
    if (step.word == "read") return read_last();
    if (step.word == "file") return read_file(step.argument);
    return control(step);
  }
  void end_round() {
    places_ += wrote_ ? 1 : 0;
    wrote_ = false;
  }
  void check(unsigned first) {
    for (unsigned place = first; place < places_; ++place) {
      if (const int error = transfer(false, place); error != 0) {
        give_up("what round " + std::to_string(place + 1) + " wrote: " + std::strerror(error));
      }
    }
  }

 private:
  Outcome control(const Step& step);
  Outcome order(unsigned long command, std::uint32_t flags, const std::string& payload);
  [[nodiscard]] std::string payload_of(const Step& step) const;
  Outcome read_file(const std::string& path);
  int transfer(bool write, unsigned place);

  Outcome write(std::uint64_t first_sector) {
    first_sector_ = first_sector;
    wrote_ = true;
    return {.error = transfer(true, places_), .reply = {}};
  }
  Outcome read_last() {
    const int error = wrote_ ? transfer(false, places_) : 0;
    if (error == 0) check(places_ > kReadAgain ? places_ - kReadAgain : 0);
    return {.error = error, .reply = {}};
  }

  std::string name_;
  std::string table_;
  Shortage& shortage_;
  int control_ = -1;
  unsigned minor_ = 0;
  std::uint64_t* data_ = nullptr;
  std::uint64_t first_sector_ = 0;
  unsigned places_ = 0;  // of rounds that have ended
  bool wrote_ = false;   // in this round
  alignas(8) std::array<char, kReplyBytes> buffer_{};
};

// The struct for a target or a message, with its text behind it.
std::string Device::payload_of(const Step& step) const {
  std::string payload;
  if (step.word == "load") {
    std::array<char, 16> type{};
    unsigned long long begin = 0;
    dm_target_spec spec{};
    int used = 0;
    if (std::sscanf(table_.c_str(), "%llu %llu %15s %n", &begin, &spec.length, type.data(),
                    &used) != 3) {
      give_up("no table: " + table_);
    }
    std::memcpy(static_cast<char*>(spec.target_type), type.data(), type.size());
    payload.assign(reinterpret_cast<const char*>(&spec), sizeof spec);
    payload += table_.substr(static_cast<std::size_t>(used));
  } else if (step.word == "message") {
    payload.assign(sizeof(std::uint64_t), '\0');
    payload += step.argument;
  }
  return payload + '\0';
}

Outcome Device::control(const Step& step) {
  const std::string payload = payload_of(step);
  if (step.word == "create") return order(DM_DEV_CREATE, 0, payload);
  if (step.word == "load") return order(DM_TABLE_LOAD, 0, payload);
  if (step.word == "clear") return order(DM_TABLE_CLEAR, 0, payload);
  if (step.word == "resume") return order(DM_DEV_SUSPEND, 0, payload);
  if (step.word == "suspend") return order(DM_DEV_SUSPEND, DM_SUSPEND_FLAG, payload);
  if (step.word == "remove") return order(DM_DEV_REMOVE, 0, payload);
  if (step.word == "status") {
    Outcome outcome = order(DM_TABLE_STATUS, 0, payload);
    if (outcome.reply == "unknown") outcome.error = ENOMEM;  // it can give no error
    return outcome;
  }
  if (step.word == "table") return order(DM_TABLE_STATUS, DM_STATUS_TABLE_FLAG, payload);
  if (step.word != "message") give_up("there is no step " + step.word);
  Outcome outcome = order(DM_TARGET_MSG, 0, payload);
  // Of a range of blocks it tells what was done before one failed.
  constexpr std::string_view kFailed = " failed ";
  if (const std::size_t at = outcome.reply.find(kFailed); at != std::string::npos) {
    outcome.error = static_cast<int>(number_in(outcome.reply.substr(at + kFailed.size())));
  }
  return outcome;
}

Outcome Device::order(unsigned long command, std::uint32_t flags, const std::string& payload) {
  buffer_.fill(0);
  auto* header = reinterpret_cast<dm_ioctl*>(buffer_.data());
  header->version[0] = DM_VERSION_MAJOR;
  header->data_size = kReplyBytes;
  header->data_start = sizeof(dm_ioctl);
  header->flags = flags;
  header->target_count = 1;
  std::memcpy(static_cast<char*>(header->name), name_.c_str(), name_.size());
  std::memcpy(buffer_.data() + sizeof(dm_ioctl), payload.data(), payload.size());
  Outcome outcome;
  outcome.error = shortage_.during([&] { return ioctl(control_, command, buffer_.data()); });
  if (outcome.error != 0) return outcome;
  minor_ = static_cast<unsigned>((header->dev & 0xff) | ((header->dev >> 12) & 0xfff00));
  const std::size_t skipped = command == DM_TABLE_STATUS ? sizeof(dm_target_spec) : 0;
  if (command == DM_TABLE_STATUS || (header->flags & DM_DATA_OUT_FLAG) != 0) {
    outcome.reply = buffer_.data() + header->data_start + skipped;
  }
  return outcome;
}

int Device::transfer(bool write, unsigned place) {
  const std::string path = "/dev/dm-" + std::to_string(minor_);
  const auto at = static_cast<off_t>(first_sector_ * 512 + std::uint64_t{place} * kBytes);
  const int file = open(path.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC);
  if (file < 0) give_up(path + " cannot be opened");
  const auto word = [&](std::size_t i) { return (place + 1) * 0x9e3779b97f4a7c15U + i; };
  for (std::size_t i = 0; i < kBytes / 8; ++i) data_[i] = write ? word(i) : 0;
  ssize_t done = 0;
  const int error = shortage_.during([&] {
    done = write ? pwrite(file, data_, kBytes, at) : pread(file, data_, kBytes, at);
    return done;
  });
  close(file);
  if (error != 0) return error;
  if (done != static_cast<ssize_t>(kBytes)) give_up("only a part was written or read");
  for (std::size_t i = 0; i < kBytes / 8; ++i) {
    if (data_[i] != word(i)) give_up("other data than round " + std::to_string(place + 1) + "'s");
  }
  return 0;
}

Outcome Device::read_file(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return {.error = errno, .reply = {}};
  const int error = shortage_.during([&] { return read(file, buffer_.data(), buffer_.size()); });
  close(file);
  return {.error = error, .reply = {}};
}

// Whether the answer is the same when nothing else has been asked for.
bool is_steady(const Step& step) {
  return step.word == "status" || step.word == "table" || step.argument == "map";
}

struct Sum {
  bool reached = false;
  unsigned refused = 0;
};

void run_step(const Step& step, unsigned round, Device& device, Shortage& shortage, Sum& sum) {
  const std::string where = "round " + std::to_string(round) + ", " + step.word + " ";
  shortage.expect(step.starved ? round : 0);
  Outcome outcome = device.run(step);
  const bool reached = shortage.reached();
  sum.reached |= reached;
  shortage.expect(0);
  if (outcome.error == 0) {
    if (step.starved && is_steady(step) && device.run(step).reply != outcome.reply) {
      give_up(where + "answers `" + outcome.reply + "`, which is not so");
    }
    return;
  }
  if (!reached || outcome.error != ENOMEM) {
    give_up(where + step.argument + ": " + std::strerror(outcome.error));
  }
  ++sum.refused;
  outcome = device.run(step);
  if (outcome.error != 0) give_up(where + "again: " + std::strerror(outcome.error));
}

int run_rounds(const std::vector<Step>& steps, Device& device, Shortage& shortage) {
  Sum sum;
  unsigned quiet = 0;
  unsigned round = 0;
  while (quiet < kQuietRounds) {
    if (++round > kMostRounds) give_up("there is no end of allocations");
    sum.reached = false;
    for (const Step& step : steps) run_step(step, round, device, shortage, sum);
    device.end_round();
    quiet = sum.reached ? 0 : quiet + 1;
  }
  if (steps.back().word != "remove") device.check(0);
  std::printf("rounds %u refused %u\n", round - kQuietRounds, sum.refused);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  const bool workers = !words.empty() && words.front() == "--workers";
  const std::size_t first = workers ? 1 : 0;
  if (words.size() < first + 3) give_up("usage: starve [--workers] NAME TABLE STEP...");
  Shortage shortage(workers);
  Device device(words[first], words[first + 1], shortage);
  const std::vector<Step> steps([&] {
    std::vector<Step> all;
    for (std::size_t i = first + 2; i < words.size(); ++i) all.emplace_back(words[i]);
    return all;
  }());
  return run_rounds(steps, device, shortage);
}

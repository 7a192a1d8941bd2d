// SPDX-License-Identifier: GPL-2.0-or-later
// Fuzz target: `check`, `repair` and the salvage of records on sets whose metadata was edited, as a
// user calls them: disks in any order, some of them not given. Neither writes before it is known
// what is right, and what was repaired is clean and says the same.
#include "cli/metadata/examine.h"
#include "cli/metadata/salvage.h"
#include "tests/fuzz/images.h"

namespace dmr::fuzz {
namespace {

constexpr u32 kMaxEdits = 12;

// The disks that are given: all that an input does not leave out.
class Given {
 public:
  Given(const EditedSet& set, u8 left_out) {
    for (std::size_t i = 0; i < set.disks.size(); ++i) {
      if (((left_out >> i) & 1U) != 0) continue;
      disks_.push_back(
          std::make_unique<cli::MemoryDisk>("member " + std::to_string(i), set.disks[i]));
      if (i == kMain) main_ = disks_.back().get();
      pointers_.push_back(disks_.back().get());
    }
    std::reverse(pointers_.begin(), pointers_.end());
  }
  [[nodiscard]] std::span<const cli::OfflineDisk* const> all() const { return pointers_; }
  [[nodiscard]] u64 writes() const {
    u64 count = 0;
    for (const auto& disk : disks_) count += disk->writes;
    return count;
  }
  void expect_untouched() const {
    expect(main_ == nullptr || main_->writes == 0, "main is never written to");
    for (const auto& disk : disks_) expect(disk->strays == 0, "I/O lies inside its disk");
  }

 private:
  std::vector<std::unique_ptr<cli::MemoryDisk>> disks_;
  std::vector<const cli::OfflineDisk*> pointers_;
  const cli::MemoryDisk* main_ = nullptr;
};

void check_map(const EditedSet& set, const cli::Examination& found) {
  if (found.status != Status::ok) {
    expect(found.map.mappings().empty() && !cli::is_clean(found),
           "what does not load is not taken for clean");
  } else if (set.only_damaged()) {
    const int age = set.age_of(found.map.mappings());
    expect(age >= 0, "damage yields a state that there was");
    expect(age <= 1, "damage to more than the tail is no reason to go back");
  }
}

void check_repair(const EditedSet& set, const Given& given, const cli::DiskSet& arranged,
                  bool degraded) {
  const cli::Repair done = cli::repair(arranged, {.degraded = degraded});
  if (done.outcome == cli::RepairOutcome::failed) fail("disks that take all writes are repaired");
  if (done.outcome != cli::RepairOutcome::repaired) {
    expect(given.writes() == 0, "what is not repaired is not written to");
    return;
  }
  const auto again = cli::arrange(given.all());
  expect(again.has_value(), "repaired disks are found again");
  const cli::Examination after = cli::examine(*again);
  expect(cli::is_clean(after), "after a repair the check is clean");
  check_map(set, after);
  if (done.before.status != Status::ok) return;  // a spare had no good superblock left
  expect(same(after.map.mappings(), done.before.map.mappings()), "a repair changes no mapping");
}

void check(const EditedSet& set, u8 choice) {
  const Given given(set, choice >> 4U);
  if (given.all().empty()) return;
  const auto arranged = cli::arrange(given.all());
  (void)cli::salvage(given.all());
  if (arranged) check_map(set, cli::examine(*arranged));
  expect(given.writes() == 0, "looking writes nothing");
  if (arranged) check_repair(set, given, *arranged, (choice & 8U) != 0);
  given.expect_untouched();
}

}  // namespace

void run_one(std::span<const std::byte> bytes) {
  static std::vector<std::unique_ptr<EditedSet>> sets = edited_sets();
  Input input(bytes);
  EditedSet& set = *sets[input.take<u8>() % sets.size()];
  const auto choice = input.take<u8>();
  for (u32 i = 0; i < kMaxEdits && !input.empty(); ++i) set.edit(input);
  check(set, choice);
  set.put_back();
}

// Those of the metadata target, with all disks given, and one with spare 2 left out.
std::vector<Bytes> seeds() {
  std::vector<Bytes> all;
  for (Bytes seed : image_seeds()) {
    seed.insert(seed.begin() + 1, std::byte{8});
    all.push_back(seed);
  }
  all.push_back({std::byte{1}, std::byte{0x48}});
  return all;
}

}  // namespace dmr::fuzz

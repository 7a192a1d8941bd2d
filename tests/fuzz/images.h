// SPDX-License-Identifier: GPL-2.0-or-later
// Valid sets to begin with, and edits of their metadata: single bytes that a checksum gives away,
// and changes of fields that are sealed again, so that what lies behind the checksum is reached.
#pragma once

#include <map>
#include <vector>

#include "core/format/codec.h"
#include "tests/fuzz/image_host.h"

namespace dmr::fuzz {

// A metadata block of a set. Copies of the same content share `group`.
struct MetaPlace {
  Member member = 1;
  format::Kind kind = format::Kind::superblock;
  u8 area = 0;
  Sector sector;
  u64 group = 0;
};

struct BaseSet {
  std::vector<Disk> disks;
  std::vector<std::vector<std::pair<u64, u64>>> metadata;  // ranges of sectors, by member
  std::vector<MetaPlace> places;
  // What the map was after each commit; the last one is what lies in the image.
  std::vector<std::vector<format::Mapping>> history;
};

// A few sets of different shape, made by the engine itself and caught while running or closed.
[[nodiscard]] const std::vector<BaseSet>& base_sets();

// The same home and the same lost sectors for every block.
[[nodiscard]] bool same(const std::vector<format::Mapping>& a,
                        const std::vector<format::Mapping>& b);

// An image that is edited and put back.
class EditedSet {
 public:
  explicit EditedSet(const BaseSet& base) : disks(base.disks), host(disks), base_(base) {
    host.metadata = base.metadata;
  }
  EditedSet(const EditedSet&) = delete;
  EditedSet& operator=(const EditedSet&) = delete;

  // Takes one edit from the input.
  void edit(Input& input);
  void put_back();

  // All edits so far can be told by their checksum: damage, not a forgery.
  [[nodiscard]] bool only_damaged() const { return only_damaged_; }
  // How many commits ago the map was like that; negative when it never was.
  [[nodiscard]] int age_of(const std::vector<format::Mapping>& map) const;

  std::vector<Disk> disks;
  ImageHost host;

 private:
  struct Change;

  [[nodiscard]] format::MetaBytes at(const MetaPlace& place);
  void apply(const MetaPlace& place, const Change& change);
  void poke(const MetaPlace& place, const Change& change);
  void reseal(const MetaPlace& place);
  void copy_from(const MetaPlace& place, const MetaPlace& source, bool addressed);
  void join_journal();
  void join_checkpoint(Member member, u8 area);

  const BaseSet& base_;
  std::vector<std::pair<Member, u64>> edited_;  // sectors
  bool only_damaged_ = true;
};

// One of each base set.
[[nodiscard]] std::vector<std::unique_ptr<EditedSet>> edited_sets();
// Inputs to begin with: the number of the set, then edits.
[[nodiscard]] std::vector<Bytes> image_seeds();

}  // namespace dmr::fuzz

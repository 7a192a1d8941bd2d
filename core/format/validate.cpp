// SPDX-License-Identifier: GPL-2.0-or-later
// Content of superblocks: versions before reserved bytes before sense, so that what a newer program
// wrote is called newer and not damaged.
#include "core/format/validate.h"

#include <cstring>

#include "core/base/bits.h"
#include "core/format/codec.h"

namespace dmr::format {
namespace {

template <class T, std::size_t N>
bool is_zero(const T (&field)[N]) {
  return all_zero(std::as_bytes(std::span<const T>(field)));
}

// Printable text, then zeros to the end, at least one.
template <std::size_t N>
bool is_padded_text(const char (&field)[N]) {
  std::size_t length = 0;
  while (length < N && field[length] != 0) {
    const auto byte = static_cast<u8>(field[length]);
    if (byte < 0x20 || byte == 0x7F) return false;
    ++length;
  }
  if (length == N) return false;
  return all_zero(std::as_bytes(std::span<const char>(field)).subspan(length));
}

// The name becomes a file name in the run-time folder.
bool is_name(const char (&name)[kNameBytes]) {
  if (!is_padded_text(name)) return false;
  if (std::memcmp(name, ".", 2) == 0 || std::memcmp(name, "..", 3) == 0) return false;
  for (const char letter : name) {
    if (letter == '/') return false;
  }
  return true;
}

Judgement judge_version(const Superblock& block, Access access) {
  if (block.version_major != kVersionMajor) {
    return {Status::wrong_version, "the major format version is not known to this program"};
  }
  if ((block.incompat & ~kKnownIncompat) != 0) {
    return {Status::wrong_version, "it uses a feature that this program does not know"};
  }
  if (access == Access::read_write && (block.ro_compat & ~kKnownRoCompat) != 0) {
    return {Status::wrong_version,
            "it uses a feature that this program does not know: it can be opened read-only"};
  }
  bool reserved_used =
      block.header.reserved != 0 || !is_zero(block.reserved0) || !is_zero(block.reserved);
  for (const MemberEntry& entry : block.member) {
    reserved_used = reserved_used || !is_zero(entry.reserved);
  }
  if (!reserved_used) return kFine;
  if (block.version_minor > kVersionMinor) {
    return {Status::wrong_version, "a newer minor version uses bytes that are reserved here"};
  }
  return damaged("reserved bytes of the superblock are not zero");
}

Judgement judge_set(const Superblock& block) {
  if (block.oldest_minor > block.version_minor) {
    return damaged("the oldest minor version is newer than the present one");
  }
  if (block.header.set == Uuid{}) return damaged("the set UUID is zero");
  if (block.header.sequence == 0) return damaged("the superblock version is zero");
  if (!geometry_of(block)) return damaged("the volume's size or block size cannot be");
  if (block.policy > static_cast<u8>(Policy::rewrite)) return damaged("the policy is not known");
  if (!is_name(block.name)) return damaged("the volume's name is not a plain text");
  return kFine;
}

Judgement judge_membership(const Superblock& block) {
  if (block.membership.generation == 0) return damaged("the membership generation is zero");
  u64 newer = block.membership.generation;
  bool ended = false;
  for (const MembershipPoint& point : block.history) {
    const bool unused = point.generation == 0;
    if (unused && point.epoch != 0) return damaged("the membership history has half a row");
    if (!unused && (ended || point.generation >= newer)) {
      return damaged("the membership history is not in descending order");
    }
    ended = unused;
    newer = point.generation;
  }
  return kFine;
}

Judgement judge_main(const Superblock& block) {
  const MemberEntry& main = block.member[kMain];
  if (main.state == static_cast<u8>(MemberState::removed)) return damaged("main is removed");
  if (main.journal_slots != 0 || main.checkpoint_blocks != 0) {
    return damaged("main carries metadata");
  }
  if (main.sectors < block.volume_sectors || main.sectors >= kMaxSectors) {
    return damaged("main is smaller than the volume");
  }
  if (main.logical_block_bytes > block.block_sectors * kSectorBytes) {
    return damaged("a block is smaller than main's logical block");
  }
  return kFine;
}

Judgement judge_spare(const Superblock& block, Member member) {
  if (block.member[member].logical_block_bytes > block.member[kMain].logical_block_bytes) {
    return damaged("a spare's logical block is larger than main's");
  }
  if (block.member[member].logical_block_bytes > kMetaBytes) {
    return damaged("a spare's logical block is larger than a metadata block");
  }
  if (!layout_of(block, member)) return damaged("a spare's size does not fit its metadata");
  return kFine;
}

Judgement judge_row(const Superblock& block, Member member) {
  const MemberEntry& entry = block.member[member];
  if (entry.state == static_cast<u8>(MemberState::absent) ||
      entry.state > static_cast<u8>(MemberState::removed)) {
    return damaged("the state of a member is not known");
  }
  if (entry.uuid == Uuid{}) return damaged("the UUID of a member is zero");
  for (Member other = 0; other < member; ++other) {
    if (block.member[other].uuid == entry.uuid) return damaged("two members have the same UUID");
  }
  if (entry.logical_block_bytes < kSectorBytes || !is_power_of_two(entry.logical_block_bytes)) {
    return damaged("the logical block size of a member is no power of two from 512");
  }
  if (!is_padded_text(entry.identity)) return damaged("the identity of a member is not plain text");
  return member == kMain ? judge_main(block) : judge_spare(block, member);
}

Judgement judge_members(const Superblock& block) {
  if (block.member_count < 2 || block.member_count > kMaxMembers) {
    return damaged("the number of members cannot be");
  }
  for (Member member = 0; member < block.member_count; ++member) {
    const Judgement row = judge_row(block, member);
    if (!row) return row;
  }
  const auto unused = std::span<const MemberEntry>(block.member).subspan(block.member_count);
  if (!all_zero(std::as_bytes(unused))) return damaged("an unused row of the member table is set");
  return kFine;
}

// The superblock lies where its own member table says that it lies.
Judgement judge_own_place(const Superblock& block) {
  const Member own = block.own_member;
  if (own == kMain || own >= block.member_count || own != block.header.member) {
    return damaged("the superblock's own member number is wrong");
  }
  const Result<Sector> place =
      SpareLayout::superblock_sector(block.member[own].sectors, block.header.area);
  if (!place || place->value != block.header.address) {
    return damaged("the superblock does not lie where its member's size puts it");
  }
  return kFine;
}

}  // namespace

Judgement validate_superblock(const Superblock& block, Access access) {
  if (const Judgement version = judge_version(block, access); !version) return version;
  if (const Judgement set = judge_set(block); !set) return set;
  if (const Judgement membership = judge_membership(block); !membership) return membership;
  if (const Judgement members = judge_members(block); !members) return members;
  return judge_own_place(block);
}

bool is_restored_older(const Superblock& block) { return (block.ro_compat & kRestoredOlder) != 0; }

Result<Geometry> geometry_of(const Superblock& block) {
  return Geometry::make(block.volume_sectors, block.block_sectors);
}

Result<SpareLayout> layout_of(const Superblock& block, Member spare) {
  if (spare == kMain || spare >= kMaxMembers) return Status::invalid;
  const MemberEntry& entry = block.member[spare];
  return SpareLayout::make(entry.sectors, block.block_sectors, entry.journal_slots,
                           entry.checkpoint_blocks);
}

}  // namespace dmr::format

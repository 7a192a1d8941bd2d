// SPDX-License-Identifier: GPL-2.0-or-later
// Sealing and checking metadata blocks: every block names itself, and whatever does not is told
// apart.
#pragma once

#include <cstddef>
#include <span>

#include "core/format/format.h"
#include "core/geometry/geometry.h"

namespace dmr::format {

using MetaBytes = std::span<std::byte, kMetaBytes>;
using ConstMetaBytes = std::span<const std::byte, kMetaBytes>;

template <class T>
concept MetaBlock = sizeof(T) == kMetaBytes && alignof(T) == 1;

template <MetaBlock T>
[[nodiscard]] MetaBytes bytes_of(T& block) {
  return MetaBytes(reinterpret_cast<std::byte*>(&block), kMetaBytes);
}
template <MetaBlock T>
[[nodiscard]] ConstMetaBytes bytes_of(const T& block) {
  return ConstMetaBytes(reinterpret_cast<const std::byte*>(&block), kMetaBytes);
}

// What a block says about itself, or should say.
struct Place {
  Kind kind = Kind::superblock;
  Member member = 1;
  u8 area = 0;  // superblock copy, journal area or checkpoint area
  Uuid set{};
  Sector address{};
};

// What a metadata block turned out to be. All but `ok` and `blank` are damage or a stranger's.
enum class Verdict : u8 {
  ok,
  blank,          // all zero: nothing was ever written here
  bad_magic,      // not a block of ours
  bad_crc,        // ours, but damaged or torn
  wrong_kind,     // intact, of another kind than expected
  wrong_set,      // intact, of another volume
  wrong_member,   // intact, of another spare of the same volume
  wrong_area,     // intact, of another copy or area
  wrong_address,  // intact, but meant for another place: a misdirected write
  malformed,      // intact, but reserved bytes are set or a count is impossible
};
[[nodiscard]] const char* text(Verdict verdict);

// Fills the header and the CRC; the rest of the block must be final.
void seal(MetaBytes block, const Place& place, u64 sequence, u64 open_epoch);

// Judges a block that was read from expected.address. Reserved bytes are checked here for every
// kind but the superblock, where validate_superblock() must look at the version first.
[[nodiscard]] Verdict check(ConstMetaBytes block, const Place& expected);

// The same for a block whose set and member are not yet known (a superblock at open);
// `expected.set` and `expected.member` are not looked at.
[[nodiscard]] Verdict check_of_any_set(ConstMetaBytes block, const Place& expected);

template <MetaBlock T>
void seal(T& block, const Place& place, u64 sequence, u64 open_epoch) {
  seal(bytes_of(block), place, sequence, open_epoch);
}
template <MetaBlock T>
[[nodiscard]] Verdict check(const T& block, const Place& expected) {
  return check(bytes_of(block), expected);
}
template <MetaBlock T>
[[nodiscard]] Verdict check_of_any_set(const T& block, const Place& expected) {
  return check_of_any_set(bytes_of(block), expected);
}

// The CRC that a block of this kind must carry: over all its bytes with the crc field as zero.
[[nodiscard]] u32 block_crc(ConstMetaBytes block, Kind kind);

// Continues CheckpointHeader::body_crc (0 before the first) with the next sealed body block.
[[nodiscard]] u32 add_body_crc(u32 body_crc, const CheckpointBody& body);

[[nodiscard]] bool all_zero(std::span<const std::byte> bytes);

}  // namespace dmr::format

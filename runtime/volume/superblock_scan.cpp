// SPDX-License-Identifier: GPL-2.0-or-later
// Reads the three places of a superblock and takes the intact copy that counts.
#include "runtime/volume/superblock_scan.h"

#include <array>
#include <cstring>

#include <fmt/format.h>

#include "core/format/codec.h"
#include "core/log/election.h"
#include "runtime/device/errno_status.h"

namespace dmr::runtime {
namespace {

// Any logical block that a metadata block shares with its neighbours has to be read whole.
struct alignas(4096) ReadBuffer {
  std::byte bytes[2 * 64 * 1024];
};

int read_meta(const Device& device, Sector address, ReadBuffer& buffer, format::Superblock& out) {
  const u64 unit = device.logical_block_bytes();
  const u64 begin = address.value * kSectorBytes;
  const u64 from = begin / unit * unit;
  const u64 end = (begin + kMetaBytes + unit - 1) / unit * unit;
  const int error = device.read(from, std::span(buffer.bytes).first(end - from));
  if (error == 0) std::memcpy(&out, buffer.bytes + (begin - from), kMetaBytes);
  return error;
}

}  // namespace

Expected<std::optional<format::Superblock>> find_superblock(const Device& device) {
  std::array<format::Superblock, kSuperblockCopies> block;
  const format::BlockHeader* intact[kSuperblockCopies] = {};
  auto buffer = std::make_unique<ReadBuffer>();
  u32 unreadable = 0;
  int last_error = 0;
  for (u8 copy = 0; copy < kSuperblockCopies; ++copy) {
    const Result<Sector> address = SpareLayout::superblock_sector(device.sectors(), copy);
    if (!address) return std::nullopt;  // too small for any
    if (const int error = read_meta(device, *address, *buffer, block[copy]); error != 0) {
      ++unreadable;
      last_error = error;
      continue;
    }
    const format::Place place{.kind = format::Kind::superblock,
                              .member = 0,
                              .area = copy,
                              .set = {},
                              .address = *address};
    if (format::check_of_any_set(block[copy], place) == format::Verdict::ok) {
      intact[copy] = &block[copy].header;
    }
  }
  if (unreadable == kSuperblockCopies) {
    return fail_errno(device.path() + ": no superblock can be read", last_error);
  }
  const u8 winner = elect(intact).winner;
  if (winner == Election::kNone) return std::nullopt;
  return block[winner];
}

std::string uuid_text(const Uuid& uuid) {
  std::string text;
  for (std::size_t i = 0; i < sizeof uuid.bytes; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", uuid.bytes[i]);
  }
  return text;
}

}  // namespace dmr::runtime

// SPDX-License-Identifier: GPL-2.0-or-later
// Reads and judges the superblock copies of a device.
#include "cli/metadata/survey.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>

#include <fmt/format.h>

#include "core/log/election.h"

namespace dmr::cli {
namespace {

template <std::size_t N>
std::string padded_text(const char (&text)[N]) {
  return std::string(text, strnlen(text, N));
}

SuperblockCopy read_copy(const OfflineDisk& device, u32 number, Sector at, MetaBuffer& buffer) {
  SuperblockCopy copy;
  copy.sector = at;
  copy.error = read_meta(device, at, buffer);
  if (copy.error != 0) return copy;
  copy.block = buffer.as<format::Superblock>();
  const format::Place place{.kind = format::Kind::superblock,
                            .member = 1,
                            .area = static_cast<u8>(number),
                            .set = {},
                            .address = at};
  copy.verdict = format::check_of_any_set(copy.block, place);
  if (copy.verdict != format::Verdict::ok) return copy;
  const format::Judgement judged =
      format::validate_superblock(copy.block, format::Access::read_only);
  copy.status = judged.status;
  copy.why = judged.why;
  return copy;
}

}  // namespace

MetaBuffer::MetaBuffer()
    : memory_(static_cast<std::byte*>(std::aligned_alloc(kMetaBytes, kMetaBytes))) {
  if (memory_ == nullptr) throw std::bad_alloc();
  std::memset(memory_.get(), 0, kMetaBytes);
}

void MetaBuffer::Free::operator()(std::byte* memory) const { std::free(memory); }

int read_meta(const OfflineDisk& device, Sector at, MetaBuffer& buffer) {
  // A logical block larger than a metadata block has to be read whole.
  const u64 unit = device.logical_block_bytes();
  const u64 wanted = at.value * kSectorBytes;
  if (unit <= kMetaBytes && wanted % unit == 0) return device.read(wanted, buffer.bytes());
  const u64 begin = wanted / unit * unit;
  const u64 end = (wanted + kMetaBytes + unit - 1) / unit * unit;
  const std::size_t bytes = end - begin;
  const std::unique_ptr<std::byte, MetaBuffer::Free> whole(
      static_cast<std::byte*>(std::aligned_alloc(unit, bytes)));
  if (whole == nullptr) return ENOMEM;
  const int error = device.read(begin, {whole.get(), bytes});
  if (error == 0) std::memcpy(buffer.bytes().data(), whole.get() + (wanted - begin), kMetaBytes);
  return error;
}

bool Survey::ours() const {
  return std::any_of(copy.begin(), copy.end(), [](const auto& one) { return one.ours(); });
}

bool Survey::readable() const {
  return !too_small &&
         std::any_of(copy.begin(), copy.end(), [](const auto& one) { return one.error == 0; });
}

const format::Superblock* Survey::newest() const {
  const format::BlockHeader* good[kSuperblockCopies] = {};
  for (u32 c = 0; c < kSuperblockCopies; ++c) {
    if (copy[c].good()) good[c] = &copy[c].block.header;
  }
  const u8 winner = elect(good).winner;
  return winner == Election::kNone ? nullptr : &copy[winner].block;
}

const SuperblockCopy* Survey::newest_intact() const {
  const SuperblockCopy* best = nullptr;
  for (const SuperblockCopy& one : copy) {
    if (one.error != 0 || one.verdict != format::Verdict::ok) continue;
    if (best == nullptr || one.block.header.sequence > best->block.header.sequence) best = &one;
  }
  return best;
}

Survey survey(const OfflineDisk& disk) {
  Survey all;
  MetaBuffer buffer;
  for (u32 number = 0; number < kSuperblockCopies; ++number) {
    const Result<Sector> at = SpareLayout::superblock_sector(disk.sectors(), number);
    if (!at) {
      all.too_small = true;
      return all;
    }
    all.copy[number] = read_copy(disk, number, *at, buffer);
  }
  return all;
}

std::string name_of(const format::Superblock& block) { return padded_text(block.name); }

std::string identity_of(const format::MemberEntry& entry) { return padded_text(entry.identity); }

}  // namespace dmr::cli

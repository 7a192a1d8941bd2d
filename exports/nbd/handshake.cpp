// SPDX-License-Identifier: GPL-2.0-or-later
// Greeting, client flags and options of an NBD connection.
#include "exports/nbd/handshake.h"

#include <algorithm>

namespace dmr::nbd {

namespace {

std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

}  // namespace

u16 ExportInfo::transmission_flags() const {
  using namespace transmission_flag;
  // The volume's queues share one device and no cache, so a flush covers all connections.
  u16 flags = kHasFlags | kSendFlush | kSendFua | kCanMultiConn;
  flags |= read_only ? kReadOnly : u16{kSendTrim | kSendWriteZeroes | kSendFastZero};
  return flags;
}

Handshake::Handshake(const ExportInfo& info) : info_(info) {
  std::array<std::byte, kGreetingBytes> greeting;
  Writer writer(greeting);
  writer.put(kInitMagic).put(kOptionMagic).put(u16{kFixedNewstyle | kNoZeroes});
  send(greeting);
  expect(Step::client_flags, kClientFlagsBytes);
}

void Handshake::expect(Step step, u32 bytes) {
  step_ = step;
  needed_ = bytes;
  have_ = 0;
}

std::size_t Handshake::receive(std::span<const std::byte> bytes) {
  std::size_t taken = 0;
  while (state_ == State::haggling && taken < bytes.size()) {
    const std::size_t count = std::min<std::size_t>(needed_ - have_, bytes.size() - taken);
    if (step_ != Step::skip_data && count > 0) {
      DMR_ASSERT(have_ + count <= input_.size());
      std::memcpy(input_.data() + have_, bytes.data() + taken, count);
    }
    have_ += static_cast<u32>(count);
    taken += count;
    if (have_ == needed_) finish_step();
  }
  return taken;
}

void Handshake::finish_step() {
  switch (step_) {
    case Step::client_flags:
      return take_client_flags();
    case Step::option_header:
      return take_option_header();
    case Step::option_data:
      return take_option();
    case Step::skip_data:
      reply_error(OptionReply::too_big, "the option's data is too long");
      return expect(Step::option_header, kOptionHeaderBytes);
  }
}

void Handshake::take_client_flags() {
  const u32 flags = load_big<u32>(input_.data());
  // Without fixed newstyle a client may send one option only, and we could not answer others.
  if ((flags & ~u32{kFixedNewstyle | kNoZeroes}) != 0 || (flags & kFixedNewstyle) == 0) {
    state_ = State::broken;
    return;
  }
  no_zeroes_ = (flags & kNoZeroes) != 0;
  expect(Step::option_header, kOptionHeaderBytes);
}

void Handshake::take_option_header() {
  const u64 magic = load_big<u64>(input_.data());
  option_ = load_big<u32>(input_.data() + 8);
  const u32 length = load_big<u32>(input_.data() + 12);
  if (magic != kOptionMagic || ++options_ > kMaxOptions || length > kMaxSkippedOptionBytes) {
    state_ = State::broken;
    return;
  }
  if (length > kMaxOptionBytes) {
    // EXPORT_NAME has no way to say no.
    if (option_ == static_cast<u32>(Option::export_name)) {
      state_ = State::broken;
      return;
    }
    return expect(Step::skip_data, length);
  }
  expect(Step::option_data, length);
  if (length == 0) take_option();
}

void Handshake::take_option() {
  const auto option = static_cast<Option>(option_);
  if (option == Option::abort) {
    reply(OptionReply::ack);
    state_ = State::closing;
    return;
  }
  if (option == Option::export_name) return option_export_name();
  if (shutting_down_) {
    reply_error(OptionReply::shutdown, "the volume is being stopped");
  } else {
    switch (option) {
      case Option::list:
        option_list();
        break;
      case Option::info:
      case Option::go:
        option_info_or_go();
        break;
      case Option::structured_reply:
        option_structured_reply();
        break;
      default:
        reply_error(OptionReply::unsupported, "this server does not know the option");
    }
  }
  if (state_ == State::haggling) expect(Step::option_header, kOptionHeaderBytes);
}

void Handshake::option_export_name() {
  if (shutting_down_ || !is_ours(std::span(input_).first(needed_))) {
    state_ = State::broken;
    return;
  }
  std::array<std::byte, 10 + kExportNamePadding> answer{};
  Writer writer(answer);
  writer.put(info_.bytes).put(info_.transmission_flags());
  send(std::span(answer).first(no_zeroes_ ? 10 : answer.size()));
  state_ = State::transmission;
}

void Handshake::option_list() {
  if (needed_ != 0) return reply_error(OptionReply::invalid, "LIST takes no data");
  std::vector<std::byte> data(4 + info_.name.size());
  Writer writer(data);
  writer.put(static_cast<u32>(info_.name.size())).put_bytes(as_bytes(info_.name));
  reply(OptionReply::server, data);
  reply(OptionReply::ack);
}

void Handshake::option_info_or_go() {
  const auto data = std::span<const std::byte>(input_).first(needed_);
  if (data.size() < 6) return reply_error(OptionReply::invalid, "the option's data is too short");
  const u32 name_bytes = load_big<u32>(data.data());
  if (name_bytes > data.size() - 6 || name_bytes > kMaxNameBytes) {
    return reply_error(OptionReply::invalid, "the name is longer than the option");
  }
  const u16 requests = load_big<u16>(data.data() + 4 + name_bytes);
  if (data.size() != 6 + std::size_t{name_bytes} + 2 * std::size_t{requests}) {
    return reply_error(OptionReply::invalid, "the number of information requests is wrong");
  }
  if (!is_ours(data.subspan(4, name_bytes))) {
    return reply_error(OptionReply::unknown_export, "there is no such export here");
  }

  std::array<std::byte, 14> info;
  Writer writer{std::span(info).first(12)};
  writer.put(static_cast<u16>(Info::export_info)).put(info_.bytes).put(info_.transmission_flags());
  reply(OptionReply::info, std::span(info).first(12));
  // Sent whether asked for or not: a client that understands it will keep to it.
  Writer sizes(info);
  sizes.put(static_cast<u16>(Info::block_size));
  sizes.put(info_.minimum_block).put(info_.preferred_block).put(kMaxPayloadBytes);
  reply(OptionReply::info, info);
  for (u32 i = 0; i < requests; ++i) {
    const auto wanted = load_big<u16>(data.data() + 6 + name_bytes + 2 * std::size_t{i});
    if (wanted != static_cast<u16>(Info::name)) continue;
    std::vector<std::byte> name(2 + info_.name.size());
    Writer(std::span(name)).put(static_cast<u16>(Info::name)).put_bytes(as_bytes(info_.name));
    reply(OptionReply::info, name);
    break;
  }
  reply(OptionReply::ack);
  if (static_cast<Option>(option_) == Option::go) state_ = State::transmission;
}

void Handshake::option_structured_reply() {
  if (needed_ != 0) return reply_error(OptionReply::invalid, "STRUCTURED_REPLY takes no data");
  structured_ = true;
  reply(OptionReply::ack);
}

void Handshake::reply(OptionReply type, std::span<const std::byte> data) {
  std::array<std::byte, kOptionReplyHeaderBytes> header;
  Writer writer(header);
  writer.put(kOptionReplyMagic).put(option_);
  writer.put(static_cast<u32>(type)).put(static_cast<u32>(data.size()));
  send(header);
  send(data);
}

void Handshake::reply_error(OptionReply type, std::string_view text) {
  reply(type, as_bytes(text));
}

void Handshake::send(std::span<const std::byte> bytes) {
  output_.insert(output_.end(), bytes.begin(), bytes.end());
}

bool Handshake::is_ours(std::span<const std::byte> name) const {
  return name.empty() || std::ranges::equal(name, as_bytes(info_.name));
}

}  // namespace dmr::nbd

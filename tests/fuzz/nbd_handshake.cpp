// SPDX-License-Identifier: GPL-2.0-or-later
// Fuzz target: the NBD handshake against any client, in pieces of any size.
#include "exports/nbd/handshake.h"
#include "exports/nbd/protocol.h"
#include "tests/fuzz/target.h"

namespace dmr::fuzz {
namespace {

using nbd::Handshake;

// One reply has at most the longest name and a text; so many options are answered at most.
constexpr std::size_t kMaxOutput =
    nbd::kGreetingBytes + std::size_t{nbd::kMaxOptions} * 4 * (nbd::kMaxNameBytes + 256);

// Each reply to an option names itself and is as long as it says.
void expect_well_formed(std::span<const std::byte> output) {
  while (!output.empty() && output.size() >= nbd::kOptionReplyHeaderBytes &&
         nbd::load_big<u64>(output.data()) == nbd::kOptionReplyMagic) {
    const u32 length = nbd::load_big<u32>(output.data() + 16);
    expect(length <= output.size() - nbd::kOptionReplyHeaderBytes, "a reply is sent whole");
    output = output.subspan(nbd::kOptionReplyHeaderBytes + length);
  }
  // What may follow is the answer to EXPORT_NAME: size, flags, and the padding of old.
  expect(output.empty() || output.size() == 10 || output.size() == 10 + nbd::kExportNamePadding,
         "nothing but replies is sent");
}

template <class T>
void append(Bytes& to, T value) {
  const std::size_t at = to.size();
  to.resize(at + sizeof value);
  nbd::store_big(to.data() + at, value);
}

}  // namespace

void run_one(std::span<const std::byte> bytes) {
  Input input(bytes);
  const auto choice = input.take<u8>();
  const nbd::ExportInfo info{.name = "tank", .bytes = 1U << 20, .read_only = (choice & 1U) != 0};
  Handshake handshake(info);
  expect(handshake.output().size() == nbd::kGreetingBytes, "the server greets first");
  handshake.output_sent();
  std::size_t sent = 0;
  const std::size_t step = choice < 128 ? 65536 : 1 + choice % 13;
  std::span<const std::byte> left = input.take_bytes(bytes.size());
  while (handshake.state() == Handshake::State::haggling && !left.empty()) {
    if (choice % 16 == 15) handshake.shut_down();
    const auto given = left.first(std::min(step, left.size()));
    const std::size_t taken = handshake.receive(given);
    expect(taken <= given.size(), "no more is taken than is there");
    expect(taken == given.size() || handshake.state() != Handshake::State::haggling,
           "all is taken until the handshake is over");
    left = left.subspan(taken);
    if (handshake.state() != Handshake::State::broken) expect_well_formed(handshake.output());
    sent += handshake.output().size();
    expect(sent <= kMaxOutput, "a client cannot ask for output without end");
    handshake.output_sent();
  }
}

std::vector<Bytes> seeds() {
  const auto option = [](Bytes& to, u32 number, std::string_view data) {
    append(to, nbd::kOptionMagic);
    append(to, number);
    append(to, static_cast<u32>(data.size()));
    const Bytes more = bytes_of(data);
    to.insert(to.end(), more.begin(), more.end());
  };
  const auto begin = [](u8 choice, u32 flags) {
    Bytes seed{static_cast<std::byte>(choice)};
    append(seed, flags);
    return seed;
  };
  using std::string_view;
  Bytes modern = begin(0, nbd::kFixedNewstyle | nbd::kNoZeroes);
  option(modern, 8, "");                                           // structured replies
  option(modern, 3, "");                                           // list
  option(modern, 6, string_view("\0\0\0\4tank\0\2\0\0\0\3", 14));  // info: all, block sizes
  option(modern, 7, string_view("\0\0\0\0\0\1\0\1", 8));           // go, the default export
  Bytes old = begin(200, nbd::kFixedNewstyle);
  option(old, 1, "tank");
  Bytes refused = begin(15, nbd::kFixedNewstyle | nbd::kNoZeroes);
  option(refused, 5, "");  // TLS
  option(refused, 7, string_view("\0\0\0\5wrong\0\0", 11));
  option(refused, 99, "?");
  option(refused, 2, "");
  return {modern, old, refused};
}

}  // namespace dmr::fuzz

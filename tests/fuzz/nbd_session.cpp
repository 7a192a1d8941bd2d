// SPDX-License-Identifier: GPL-2.0-or-later
// Fuzz target: the transmission phase of NBD over a volume in memory. The input is a client's
// requests, some well-formed and some not, cut into pieces, with completions and sends in between.
#include "exports/nbd/session.h"
#include "exports/testing/memory_volume.h"
#include "tests/fuzz/target.h"

namespace dmr::fuzz {
namespace {

constexpr u64 kVolumeBytes = u64{256} << 10;
constexpr u32 kMaxSteps = 64;

// Adds one request to what the client sends; most of its fields are such as clients send.
void add_request(Input& input, Bytes& stream) {
  const auto shape = input.take<u8>();
  const auto type = static_cast<u16>(shape % 9);
  const bool aligned = (shape & 0x10U) != 0;
  u64 offset = aligned ? u64{input.take<u16>()} * kSectorBytes : input.take<u64>();
  u32 length = aligned ? u32{input.take<u8>()} * 4096 : input.take<u32>();
  if (!aligned && (shape & 0x20U) != 0) {
    offset %= kVolumeBytes;
    length %= 262144;
  }
  const auto flags = static_cast<u16>((shape & 0x40U) != 0 ? input.take<u16>() : 0);
  std::array<std::byte, nbd::kRequestBytes> header{};
  nbd::Writer(header)
      .put(nbd::kRequestMagic)
      .put(flags)
      .put(type)
      .put(u64{stream.size()})
      .put(offset)
      .put(length);
  stream.insert(stream.end(), header.begin(), header.end());
  constexpr u32 kLongest = 1U << 18;  // of a payload that is really sent
  const bool is_write = static_cast<nbd::CommandType>(type) == nbd::CommandType::write;
  if (is_write) stream.resize(stream.size() + std::min(length, kLongest), std::byte{0x5A});
}

class Client {
 public:
  Client(u8 choice) : volume_(kVolumeBytes / kSectorBytes) {
    volume_.is_read_only = (choice & 1U) != 0;
    volume_.zeroes_supported = (choice & 2U) == 0;
    volume_.discard_supported = (choice & 4U) == 0;
    volume_.fast_zeroes = (choice & 8U) != 0;
    if ((choice & 0x10U) != 0) volume_.fail_reads(11);
    if ((choice & 0x20U) != 0) volume_.fail_writes(17, EIO);
    queue_ = std::move(*volume_.make_queue());
    const nbd::ExportInfo info{
        .name = "tank", .bytes = kVolumeBytes, .read_only = volume_.is_read_only};
    session_ = nbd::Session::make({info, (choice & 0x40U) != 0, volume_.fast_zeroes}, *queue_);
    expect(session_ != nullptr, "a session can be made");
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client() {
    while (queue_->process(false) > 0) session_->resume();
    expect(session_->under_way() == 0, "every request ends");
  }

  // As much as the session takes, at most `count`; returns how much that was.
  std::size_t feed(std::span<const std::byte> bytes) {
    std::size_t fed = 0;
    for (const iovec& part : session_->receive_parts()) {
      const std::size_t now = std::min(part.iov_len, bytes.size() - fed);
      if (now > 0) std::memcpy(part.iov_base, bytes.data() + fed, now);
      fed += now;
      if (now < part.iov_len) break;
    }
    if (fed > 0) session_->received(fed);
    return fed;
  }
  void complete() {
    (void)queue_->process(false);
    session_->resume();
  }
  void send(std::size_t at_most) {
    if (!session_->anything_to_send()) return;
    std::size_t count = 0;
    for (const iovec& part : session_->send_parts()) {
      const std::size_t now = std::min(part.iov_len, at_most - count);
      for (std::size_t i = 0; i < now; i += 64) {  // all that is sent can be read
        sum_ += static_cast<const unsigned char*>(part.iov_base)[i];
      }
      count += now;
    }
    session_->sent(count);
    session_->resume();
  }
  nbd::Session& session() { return *session_; }

 private:
  exports::testing::MemoryVolume volume_;
  std::unique_ptr<runtime::Queue> queue_;
  std::unique_ptr<nbd::Session> session_;
  unsigned sum_ = 0;
};

// Whatever the client sends: with completions and sends it gets on, or the session has ended.
void feed_all(Client& client, std::span<const std::byte> stream) {
  std::size_t stuck = 0;
  while (!stream.empty() && !client.session().ended()) {
    const std::size_t fed = client.feed(stream);
    stream = stream.subspan(fed);
    stuck = fed > 0 ? 0 : stuck + 1;
    expect(stuck < 100'000, "a client that reads its replies can go on sending");
    client.complete();
    client.send(~std::size_t{0});
  }
}

}  // namespace

void run_one(std::span<const std::byte> bytes) {
  Input input(bytes);
  Client client(input.take<u8>());
  Bytes stream;
  for (u32 step = 0; step < kMaxSteps && !input.empty(); ++step) {
    const auto action = input.take<u8>();
    if (action < 120) {
      add_request(input, stream);
    } else if (action < 140) {  // whatever comes
      const auto raw = input.take_bytes(input.take<u8>());
      stream.insert(stream.end(), raw.begin(), raw.end());
    } else if (action < 200) {
      const std::size_t count = std::min(stream.size(), std::size_t{input.take<u16>()});
      const std::size_t fed = client.feed(std::span(stream).first(count));
      stream.erase(stream.begin(), stream.begin() + static_cast<std::ptrdiff_t>(fed));
    } else if (action < 220) {
      client.complete();
    } else if (action < 250) {
      client.send(1 + input.take<u16>());
    } else if (action < 253) {
      client.session().shut_down();
    } else {
      client.session().drop_replies();
    }
  }
  feed_all(client, stream);
}

std::vector<Bytes> seeds() {
  const auto hex = [](std::initializer_list<unsigned> values) {
    Bytes seed;
    for (const unsigned value : values) seed.push_back(static_cast<std::byte>(value));
    return seed;
  };
  return {
      // A write of 4 KiB, a read of it, a flush, structured replies, in one stream.
      hex({0x40, 0, 0x13, 8, 0, 1, 0, 0x12, 8, 0, 1, 0, 0x15, 0, 0, 0}),
      // Reads over a bad sector, simple replies, sent in small pieces.
      hex({0x10, 0, 0x12, 0, 0, 9, 150, 255, 255, 210, 230, 7, 0, 230, 9, 0}),
      // A large write cut in the middle, then zeroes that the volume cannot do, and a trim.
      hex({0x42, 0, 0x13, 0, 0, 255, 150, 100,  0, 150, 255, 255,
           210,  0, 0x1F, 0, 0, 4,   0,   0x1D, 0, 0,   4}),
      // Rubbish instead of a header; a goodbye.
      hex({0, 130, 28, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0x14, 0, 0, 0}),
  };
}

}  // namespace dmr::fuzz

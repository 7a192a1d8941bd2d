// SPDX-License-Identifier: GPL-2.0-or-later
// The handshake, option by option and malformation by malformation.
#include "exports/nbd/handshake.h"

#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "exports/testing/nbd_client.h"

namespace dmr::nbd {
namespace {

using exports::testing::Bytes;
using exports::testing::client_flags;
using exports::testing::go_data;
using exports::testing::operator+;
using exports::testing::option;
using State = Handshake::State;

Bytes text(std::string_view words) {
  const auto bytes = std::as_bytes(std::span(words.data(), words.size()));
  return {bytes.begin(), bytes.end()};
}

struct Answer {
  u32 option = 0;
  OptionReply type = OptionReply::ack;
  Bytes data;
};

class HandshakeTest : public ::testing::Test {
 protected:
  HandshakeTest() { handshake_.output_sent(); }

  // The answers to these bytes.
  std::vector<Answer> say(const Bytes& bytes) {
    handshake_.output_sent();
    taken_ = handshake_.receive(bytes);
    return answers(handshake_.output());
  }
  static std::vector<Answer> answers(std::span<const std::byte> output) {
    std::vector<Answer> found;
    while (output.size() >= kOptionReplyHeaderBytes) {
      EXPECT_EQ(load_big<u64>(output.data()), kOptionReplyMagic);
      const u32 length = load_big<u32>(output.data() + 16);
      EXPECT_LE(kOptionReplyHeaderBytes + length, output.size());
      const auto data = output.subspan(kOptionReplyHeaderBytes, length);
      found.push_back({load_big<u32>(output.data() + 8),
                       static_cast<OptionReply>(load_big<u32>(output.data() + 12)),
                       {data.begin(), data.end()}});
      output = output.subspan(kOptionReplyHeaderBytes + length);
    }
    EXPECT_TRUE(output.empty());
    return found;
  }
  // The type of the only answer.
  OptionReply only_answer(const Bytes& bytes) {
    const auto found = say(bytes);
    EXPECT_EQ(found.size(), 1U);
    return found.empty() ? OptionReply::ack : found[0].type;
  }

  ExportInfo info_{.name = "tank", .bytes = 1 << 20, .minimum_block = 512, .preferred_block = 4096};
  Handshake handshake_{info_};
  std::size_t taken_ = 0;
};

TEST_F(HandshakeTest, GreetsAsFixedNewstyleServer) {
  const Handshake fresh(info_);
  const auto greeting = fresh.output();
  ASSERT_EQ(greeting.size(), kGreetingBytes);
  EXPECT_EQ(std::memcmp(greeting.data(), "NBDMAGICIHAVEOPT", 16), 0);
  EXPECT_EQ(load_big<u16>(greeting.data() + 16), kFixedNewstyle | kNoZeroes);
}

TEST_F(HandshakeTest, GoTellsSizeFlagsAndBlockSizesThenServes) {
  const auto found = say(client_flags() + option(Option::go, go_data("tank")));
  ASSERT_EQ(found.size(), 3U);
  ASSERT_EQ(found[0].data.size(), 12U);
  EXPECT_EQ(load_big<u64>(found[0].data.data() + 2), 1U << 20);
  const u16 flags = load_big<u16>(found[0].data.data() + 10);
  using namespace transmission_flag;
  EXPECT_EQ(flags, kHasFlags | kSendFlush | kSendFua | kSendTrim | kSendWriteZeroes |
                       kCanMultiConn | kSendFastZero);
  ASSERT_EQ(found[1].data.size(), 14U);
  EXPECT_EQ(load_big<u16>(found[1].data.data()), static_cast<u16>(Info::block_size));
  EXPECT_EQ(load_big<u32>(found[1].data.data() + 2), 512U);
  EXPECT_EQ(load_big<u32>(found[1].data.data() + 6), 4096U);
  EXPECT_EQ(load_big<u32>(found[1].data.data() + 10), 32U << 20);
  EXPECT_EQ(found[2].type, OptionReply::ack);
  EXPECT_EQ(handshake_.state(), State::transmission);
  EXPECT_FALSE(handshake_.structured_replies());
}

TEST_F(HandshakeTest, ReadOnlyExportOffersNoWriting) {
  info_.read_only = true;
  using namespace transmission_flag;
  EXPECT_EQ(info_.transmission_flags(),
            kHasFlags | kReadOnly | kSendFlush | kSendFua | kCanMultiConn);
}

TEST_F(HandshakeTest, InfoTellsTheSameAndGoesOnHaggling) {
  const std::array<u16, 2> wanted = {static_cast<u16>(Info::name), 77};
  const auto found = say(client_flags() + option(Option::info, go_data("", wanted)));
  ASSERT_EQ(found.size(), 4U);
  EXPECT_EQ(load_big<u16>(found[2].data.data()), static_cast<u16>(Info::name));
  EXPECT_EQ(Bytes(found[2].data.begin() + 2, found[2].data.end()), text("tank"));
  EXPECT_EQ(handshake_.state(), State::haggling);
  EXPECT_EQ(say(option(Option::go, go_data(""))).size(), 3U);
  EXPECT_EQ(handshake_.state(), State::transmission);
}

TEST_F(HandshakeTest, ExportNameIsAnsweredWithoutZeroesWhenAgreed) {
  (void)handshake_.receive(client_flags() + option(Option::export_name, text("tank")));
  EXPECT_EQ(handshake_.output().size(), 10U);
  EXPECT_EQ(handshake_.state(), State::transmission);
}

TEST_F(HandshakeTest, ExportNameIsPaddedForOldClients) {
  (void)handshake_.receive(client_flags(kFixedNewstyle) + option(Option::export_name));
  EXPECT_EQ(handshake_.output().size(), 134U);
  EXPECT_EQ(load_big<u64>(handshake_.output().data()), 1U << 20);
}

TEST_F(HandshakeTest, ExportNameOfAnotherEndsTheConnection) {
  (void)handshake_.receive(client_flags() + option(Option::export_name, text("pool")));
  EXPECT_EQ(handshake_.state(), State::broken);
}

TEST_F(HandshakeTest, ListNamesTheExport) {
  const auto found = say(client_flags() + option(Option::list));
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].type, OptionReply::server);
  EXPECT_EQ(load_big<u32>(found[0].data.data()), 4U);
  EXPECT_EQ(Bytes(found[0].data.begin() + 4, found[0].data.end()), text("tank"));
  EXPECT_EQ(found[1].type, OptionReply::ack);
}

TEST_F(HandshakeTest, AbortIsAcknowledgedAndCloses) {
  EXPECT_EQ(only_answer(client_flags() + option(Option::abort, text("bye"))), OptionReply::ack);
  EXPECT_EQ(handshake_.state(), State::closing);
}

TEST_F(HandshakeTest, StructuredRepliesAreAgreed) {
  EXPECT_EQ(only_answer(client_flags() + option(Option::structured_reply)), OptionReply::ack);
  EXPECT_TRUE(handshake_.structured_replies());
}

TEST_F(HandshakeTest, UnknownOptionsAreRefusedAndHagglingGoesOn) {
  EXPECT_EQ(only_answer(client_flags() + option(Option::starttls)), OptionReply::unsupported);
  for (const u32 number : {0U, 4U, 9U, 10U, 11U, 0xffffffffU}) {
    EXPECT_EQ(only_answer(exports::testing::option(number, text("x"))), OptionReply::unsupported);
  }
  EXPECT_EQ(handshake_.state(), State::haggling);
}

TEST_F(HandshakeTest, OptionsThatTakeNoDataRefuseSome) {
  EXPECT_EQ(only_answer(client_flags() + option(Option::list, text("x"))), OptionReply::invalid);
  EXPECT_EQ(only_answer(option(Option::structured_reply, text("x"))), OptionReply::invalid);
  EXPECT_FALSE(handshake_.structured_replies());
}

TEST_F(HandshakeTest, GoOfAnotherExportIsUnknown) {
  EXPECT_EQ(only_answer(client_flags() + option(Option::go, go_data("tan"))),
            OptionReply::unknown_export);
  EXPECT_EQ(handshake_.state(), State::haggling);
}

TEST_F(HandshakeTest, MalformedGoIsInvalid) {
  (void)say(client_flags());
  const Bytes good = go_data("tank", std::array<u16, 1>{3});
  for (std::size_t length = 0; length < good.size(); ++length) {
    EXPECT_EQ(only_answer(option(Option::go, std::span(good).first(length))), OptionReply::invalid)
        << "cut to " << length;
  }
  EXPECT_EQ(only_answer(option(Option::go, good + text("x"))), OptionReply::invalid);
  Bytes long_name = good;
  store_big(long_name.data(), u32{0xfffffffe});
  EXPECT_EQ(only_answer(option(Option::go, long_name)), OptionReply::invalid);
  EXPECT_EQ(handshake_.state(), State::haggling);
}

TEST_F(HandshakeTest, OptionWithLongDataIsSkipped) {
  EXPECT_EQ(only_answer(client_flags() + option(Option::info, Bytes(kMaxOptionBytes + 1))),
            OptionReply::too_big);
  EXPECT_EQ(say(option(Option::go, go_data(""))).size(), 3U);
}

TEST_F(HandshakeTest, LongExportNameEndsTheConnection) {
  (void)say(client_flags() + option(Option::export_name, Bytes(kMaxOptionBytes + 1)));
  EXPECT_EQ(handshake_.state(), State::broken);
}

TEST_F(HandshakeTest, OversizeOptionEndsTheConnectionBeforeItsData) {
  const Bytes oversize = option(Option::info, Bytes(kMaxSkippedOptionBytes + 1));
  (void)say(client_flags() + std::span(oversize).first(kOptionHeaderBytes));
  EXPECT_EQ(handshake_.state(), State::broken);
}

TEST_F(HandshakeTest, WrongOptionMagicEndsTheConnection) {
  (void)say(client_flags() + exports::testing::option(3, {}, kOptionMagic + 1));
  EXPECT_EQ(handshake_.state(), State::broken);
}

TEST_F(HandshakeTest, UnknownClientFlagsEndTheConnection) {
  for (const u32 flags : {4U | 3U, 0U, 2U, 0x80000001U}) {
    Handshake one(info_);
    (void)one.receive(client_flags(flags));
    EXPECT_EQ(one.state(), State::broken) << flags;
  }
}

TEST_F(HandshakeTest, TooManyOptionsEndTheConnection) {
  (void)say(client_flags());
  for (u32 i = 0; i < kMaxOptions; ++i) {
    ASSERT_EQ(handshake_.state(), State::haggling) << i;
    (void)say(option(Option::list));
  }
  (void)say(option(Option::list));
  EXPECT_EQ(handshake_.state(), State::broken);
}

TEST_F(HandshakeTest, ShuttingDownRefusesAllButAbort) {
  (void)say(client_flags());
  handshake_.shut_down();
  EXPECT_EQ(only_answer(option(Option::go, go_data(""))), OptionReply::shutdown);
  EXPECT_EQ(only_answer(option(Option::list)), OptionReply::shutdown);
  EXPECT_EQ(only_answer(option(Option::abort)), OptionReply::ack);
}

TEST_F(HandshakeTest, BytesBehindTheEndAreLeftForTheRequests) {
  const Bytes handshake = client_flags() + option(Option::go, go_data("tank"));
  (void)say(handshake + text("requests"));
  EXPECT_EQ(taken_, handshake.size());
}

TEST_F(HandshakeTest, BytesMayComeOneByOne) {
  const Bytes all = client_flags() + option(Option::structured_reply) + option(Option::list) +
                    option(Option::info, Bytes(kMaxOptionBytes + 7)) +
                    option(Option::go, go_data("tank"));
  Bytes whole_output;
  (void)handshake_.receive(all);
  whole_output.assign(handshake_.output().begin(), handshake_.output().end());

  Handshake other(info_);
  other.output_sent();
  for (const std::byte& one : all) EXPECT_EQ(other.receive(std::span(&one, 1)), 1U);
  EXPECT_THAT(other.output(), ::testing::ElementsAreArray(whole_output));
  EXPECT_EQ(other.state(), State::transmission);
}

TEST_F(HandshakeTest, GarbageNeitherCrashesNorIsAnsweredWithoutEnd) {
  std::mt19937_64 random(7);
  const Bytes good = client_flags() + option(Option::structured_reply) +
                     option(Option::info, go_data("tank", std::array<u16, 2>{1, 3})) +
                     option(Option::list) + option(Option::go, go_data("tank"));
  for (int round = 0; round < 20000; ++round) {
    Bytes bytes = good;
    for (u64 i = random() % 4; i > 0; --i) bytes[random() % bytes.size()] ^= std::byte(random());
    bytes.resize(random() % (bytes.size() + 1));
    Handshake one(info_);
    one.output_sent();
    ASSERT_LE(one.receive(bytes), bytes.size());
    ASSERT_LE(one.output().size(), 1024U);
  }
}

}  // namespace
}  // namespace dmr::nbd

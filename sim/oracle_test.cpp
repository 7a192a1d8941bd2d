// SPDX-License-Identifier: GPL-2.0-or-later
// The oracle alone: what it must allow, and what it must not.
#include "sim/oracle.h"

#include <memory>

#include <gtest/gtest.h>

namespace dmr::sim {
namespace {

class OracleTest : public testing::Test {
 protected:
  Ticket begin(IoOp op, u64 sector, bool fua = false) {
    Ticket t{
        .op = op, .fua = fua, .sector = Sector(sector), .sectors = op == IoOp::flush ? 0U : 1U};
    oracle_.begin(t);
    return t;
  }
  Ticket write(u64 sector, bool fua = false) {
    const Ticket t = begin(IoOp::write, sector, fua);
    oracle_.end_write(t, true);
    return t;
  }
  void flush(bool ok = true) { oracle_.end_flush(begin(IoOp::flush, 0), ok); }
  Rule read(u64 sector, u64 write_number) {
    oracle_.end_read(begin(IoOp::read, sector), true, Sector(0),
                     {make_token(Sector(sector), write_number)});
    return oracle_.violation().rule;
  }
  Rule read_fails(u64 sector) {
    oracle_.end_read(begin(IoOp::read, sector), false, Sector(sector), {});
    return oracle_.violation().rule;
  }
  void fail_write(const Ticket& ticket) {
    oracle_.device_error(1, IoOp::write, IoStatus::transport, Sector(0), 1);
    oracle_.end_write(ticket, false);
  }
  void metadata_fails_during(const Ticket& ticket) {
    oracle_.metadata_failed();
    fail_write(ticket);
  }
  void reopen() {
    oracle_.closed();
    oracle_.opening(false);
  }
  void outage_meets(u64 sector) {
    oracle_.device_error(kMain, IoOp::read, IoStatus::unspecified, Sector(sector), 1);
  }

  World world_{1};
  Oracle oracle_{world_, 16, VolumeConfig{}};
};

TEST_F(OracleTest, TheLastWriteIsReadAndNothingOlder) {
  EXPECT_EQ(read(3, 0), Rule::none);
  const Ticket w = write(3);
  EXPECT_EQ(read(3, w.write), Rule::none);
  EXPECT_EQ(read(3, 0), Rule::never_wrong_data);
}

TEST_F(OracleTest, DataOfAnotherSectorIsNeverRight) {
  const Ticket w = write(3);
  oracle_.end_read(begin(IoOp::read, 4), true, Sector(0), {make_token(Sector(3), w.write)});
  EXPECT_EQ(oracle_.violation().rule, Rule::never_wrong_data);
}

TEST_F(OracleTest, ConcurrentWritesMayEndEitherWayButThenItStays) {
  const Ticket a = begin(IoOp::write, 3);
  const Ticket b = begin(IoOp::write, 3);
  oracle_.end_write(b, true);
  oracle_.end_write(a, true);
  EXPECT_EQ(read(3, b.write), Rule::none);
  EXPECT_EQ(read(3, a.write), Rule::never_wrong_data);
}

TEST_F(OracleTest, WithoutAFlushAPowerCutMayBringTheOldDataBack) {
  (void)write(3);
  oracle_.power_cut();
  EXPECT_EQ(read(3, 0), Rule::none);
}

TEST_F(OracleTest, AfterAPowerCutTheFirstReadDecides) {
  const Ticket w = write(3);
  oracle_.power_cut();
  EXPECT_EQ(read(3, w.write), Rule::none);
  EXPECT_EQ(read(3, 0), Rule::never_wrong_data);
}

TEST_F(OracleTest, FlushedDataSurvives) {
  (void)write(3);
  flush();
  oracle_.power_cut();
  EXPECT_EQ(read(3, 0), Rule::never_wrong_data);
}

TEST_F(OracleTest, FuaDataSurvives) {
  (void)write(3, true);
  oracle_.power_cut();
  EXPECT_EQ(read(3, 0), Rule::never_wrong_data);
}

TEST_F(OracleTest, AFlushPromisesNothingAboutDataFromBeforeARefusedOne) {
  (void)write(3);
  oracle_.device_error(kMain, IoOp::flush, IoStatus::transport, Sector(0), 0);
  flush(false);
  flush();
  oracle_.power_cut();
  EXPECT_EQ(read(3, 0), Rule::none);
}

TEST_F(OracleTest, AFlushThatGoesWellBeforeTheUserHearsOfARefusalPromisesAllTheSame) {
  (void)write(3);
  oracle_.device_error(kMain, IoOp::flush, IoStatus::transport, Sector(0), 0);
  flush();
  oracle_.power_cut();
  EXPECT_EQ(read(3, 0), Rule::never_wrong_data);
}

TEST_F(OracleTest, AnErrorNeedsAReason) { EXPECT_EQ(read_fails(3), Rule::lost_means_lost); }

TEST_F(OracleTest, AMediumThatFailedTwiceIsAReason) {
  oracle_.media_error(kMain, Sector(3), IoOp::read, Oracle::adopted(Sector(3)));
  oracle_.media_error(kMain, Sector(3), IoOp::read, Oracle::adopted(Sector(3)));
  EXPECT_EQ(read_fails(3), Rule::none);
  EXPECT_EQ(read_fails(4), Rule::lost_means_lost);
}

TEST_F(OracleTest, WhatTheMapCallsLostStaysLostUntilWritten) {
  oracle_.media_error(kMain, Sector(3), IoOp::read, Oracle::adopted(Sector(3)));
  oracle_.media_error(kMain, Sector(3), IoOp::read, Oracle::adopted(Sector(3)));
  oracle_.audit_sector(Sector(3), true);
  EXPECT_EQ(oracle_.violation().rule, Rule::none);
  const Ticket w = write(3);
  EXPECT_EQ(read(3, w.write), Rule::none);
  oracle_.audit_sector(Sector(3), true);
  EXPECT_EQ(oracle_.violation().rule, Rule::lost_means_lost);
}

TEST_F(OracleTest, ALostMarkMustNotVanish) {
  oracle_.media_error(kMain, Sector(3), IoOp::read, Oracle::adopted(Sector(3)));
  oracle_.media_error(kMain, Sector(3), IoOp::read, Oracle::adopted(Sector(3)));
  oracle_.audit_sector(Sector(3), true);
  oracle_.audit_sector(Sector(3), false);
  EXPECT_EQ(oracle_.violation().rule, Rule::lost_means_lost);
}

TEST_F(OracleTest, AFailedWriteMayHaveHappenedOrNot) {
  const Ticket w = begin(IoOp::write, 3);
  oracle_.device_error(kMain, IoOp::write, IoStatus::transport, Sector(3), 1);
  oracle_.end_write(w, false);
  EXPECT_EQ(read(3, 0), Rule::none);
  EXPECT_EQ(read(3, w.write), Rule::never_wrong_data);
}

TEST_F(OracleTest, AWriteThatFailsWithoutAReasonIsBroken) {
  oracle_.end_write(begin(IoOp::write, 3), false);
  EXPECT_EQ(oracle_.violation().rule, Rule::writes_survive);
}

// The volume turns read-only with it.
TEST_F(OracleTest, AWriteThatFailsWithAnUnknownCommitMayAppearAtTheNextOpening) {
  const Ticket w = begin(IoOp::write, 3);
  metadata_fails_during(w);
  EXPECT_EQ(read(3, 0), Rule::none);
  reopen();
  EXPECT_EQ(read(3, w.write), Rule::none);
  EXPECT_EQ(read(3, 0), Rule::never_wrong_data);
}

TEST_F(OracleTest, ItMustNotAppearOverAWriteThatWasAcknowledgedAfterIt) {
  const Ticket w = begin(IoOp::write, 3);
  metadata_fails_during(w);
  (void)write(3);
  reopen();
  EXPECT_EQ(read(3, w.write), Rule::never_wrong_data);
}

TEST_F(OracleTest, NorMayOneThatFailedBeforeOrBeganLater) {
  const Ticket before = begin(IoOp::write, 3);
  fail_write(before);
  EXPECT_EQ(read(3, 0), Rule::none);
  metadata_fails_during(begin(IoOp::write, 4));
  fail_write(begin(IoOp::write, 5));
  EXPECT_EQ(read(5, 0), Rule::none);
  reopen();
  Oracle as_it_was(oracle_);
  EXPECT_EQ(read(3, before.write), Rule::never_wrong_data);
  std::destroy_at(&oracle_);
  std::construct_at(&oracle_, as_it_was);
  EXPECT_EQ(read(5, before.write + 2), Rule::never_wrong_data);
}

TEST_F(OracleTest, AnOutageThatGoesOnIsNoReasonToLoseASector) {
  outage_meets(3);
  outage_meets(3);
  oracle_.audit_sector(Sector(3), true);
  EXPECT_EQ(oracle_.violation().rule, Rule::only_medium_errors_remap);
}

TEST_F(OracleTest, TwoOutagesThatMeetTheSameSectorAreWhenTheDeviceAnsweredBetweenThem) {
  outage_meets(3);
  oracle_.answered(kMain);
  outage_meets(3);
  oracle_.audit_sector(Sector(3), true);
  EXPECT_EQ(oracle_.violation().rule, Rule::none);
}

TEST_F(OracleTest, ARefusalIsToldOnce) {
  oracle_.device_error(kMain, IoOp::flush, IoStatus::transport, Sector(0), 0);
  flush(false);
  EXPECT_EQ(oracle_.violation().rule, Rule::none);
  flush(false);
  EXPECT_EQ(oracle_.violation().rule, Rule::flush_means_flush);
}

TEST_F(OracleTest, ADiscardedSectorReadsAsBeforeOrAsZeros) {
  const Ticket d = begin(IoOp::discard, 3);
  oracle_.end_write(d, true);
  EXPECT_EQ(read(3, 0), Rule::none);
  oracle_.end_read(begin(IoOp::read, 3), true, Sector(0), {0});
  EXPECT_EQ(oracle_.violation().rule, Rule::none);
  EXPECT_EQ(read(3, 0), Rule::none);
}

}  // namespace
}  // namespace dmr::sim

// SPDX-License-Identifier: GPL-2.0-or-later
// Turns the records of checkpoint and journal into the map, while a volume is being opened.
#pragma once

#include "core/volume/state.h"

namespace dmr {

// The index is opened with the first record: only then is the geometry known to be good. Homes are
// claimed afterwards, because a snapshot that was taken while commits went on may name a spare
// block twice until the journal has been replayed.
class Loading final : public RecordSink {
 public:
  explicit Loading(VolumeState& state) : state_(state), loader_(state.index) {}

  void reset() override;
  Status snapshot(const format::Record& record) override;
  Status replay(const format::Record& record) override;
  // After the last record; also opens the index of a set without any.
  Status finish();
  // Gives up: the index is closed again.
  void abandon();

 private:
  Status begin();
  Status end_snapshot();
  Status note_bad(const format::Record& record);

  VolumeState& state_;
  Loader loader_;
  bool begun_ = false;
  bool loading_ = false;        // the loader still has a checkpoint's runs in hand
  bool index_loading_ = false;  // the index expects end_load()
};

}  // namespace dmr

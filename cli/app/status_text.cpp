// SPDX-License-Identifier: GPL-2.0-or-later
// One phrase for each status of the engine.
#include "cli/app/status_text.h"

namespace dmr::cli {

const char* text_of(Status status) {
  switch (status) {
    case Status::ok:
      return "ok";
    case Status::io_error:
      return "a device could not be read or written";
    case Status::no_space:
      return "no space is left on the spares";
    case Status::read_only:
      return "the volume is read-only";
    case Status::again:
      return "too much is under way at present; try again";
    case Status::no_memory:
      return "there is not enough memory";
    case Status::invalid:
      return "an argument is out of range";
    case Status::not_found:
      return "there is no dm-remap superblock";
    case Status::damaged:
      return "metadata is damaged and no good copy is left";
    case Status::wrong_version:
      return "it was made by a newer version of dm-remap";
    case Status::wrong_member:
      return "a device does not belong to this volume";
    case Status::member_missing:
      return "a member of the volume is missing";
    case Status::divergent:
      return "the members were changed apart from each other";
    case Status::too_small:
      return "the device cannot hold the metadata";
    case Status::timed_out:
      return "it took too long";
    case Status::closed:
      return "the volume is stopping";
  }
  return "an unknown error";
}

}  // namespace dmr::cli

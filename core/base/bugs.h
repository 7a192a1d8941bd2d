// SPDX-License-Identifier: GPL-2.0-or-later
// Deliberate bugs, to prove that the simulator finds them: `if (DMR_BUG(name)) ...` breaks one rule
// where the code keeps it. Constant false, so nothing of it is compiled, unless the simulator
// builds the engine with DMR_DELIBERATE_BUGS; then a switch in the simulator turns each on.
#pragma once

#include "core/base/types.h"

namespace dmr {

enum class Bug : u8 {
  // Data path
  skip_spare_flush,       // a redirected write is committed before its spare was flushed
  publish_before_commit,  // readers see the new home before it is durable
  skip_commit,            // a mapping is published and never written down
  no_second_lookup,       // the home found before the hold is used under it
  skip_drain,             // a block is moved without waiting for I/O in flight
  hold_too_late,          // the block is read before requests to it are held
  reuse_spare_early,      // a freed spare block is given away before its freeing is durable
  shared_spare_block,     // a spare block serves two blocks
  lost_mask_dropped,      // a partly lost block is published as whole
  lost_not_cleared,       // a written sector stays lost
  neighbours_lost,        // one unreadable sector makes the whole block lost
  zeros_for_unreadable,   // salvage gives zeros where it could not read
  fua_dropped_on_retry,   // a retried FUA write goes out without FUA
  error_class_ignored,    // every error counts as medium
  no_confirmation,        // an error of the medium marks without a second try
  return_before_flush,    // home goes back to main before main is flushed
  skip_flush_of_spare,    // the user's flush leaves spares out
  flush_error_swallowed,  // a member refused a flush, the caller hears ok
  first_sector_route,     // the whole request goes where its first sector lives
  request_lost,           // a request that met a hold is never answered
  salvage_over_newer,     // a read is recovered from the home found before the hold
  stays_in_epoch,         // a failed request is still counted while it waits for recovery
  rest_lost_by_outage,    // what a dead device does not give of a block is called lost
  refused_block_reused,   // a spare block whose write failed is given away though it may arrive
  late_home_reused,       // the same, when the block becomes free only later
  healed_before_flush,    // a lost mark is cleared in place before main is flushed
  not_read_back,          // a block goes home to main without a look at what main took
  flush_covers_later,     // a flush counts for writes that came while it was under way
  fua_flush_swallowed,    // FUA goes to a device that makes of it a write and a flush, one answer
  healthy_detour,         // where a device has no FUA, the executor sends each write, not only FUA
  own_flush_uncounted,    // a user's flush does not wait for one of the engine's beside it
  told_by_another_flush,  // a flush goes well because one beside it has told of the refusal
  scrub_passes_over,      // a scrub goes on behind what it could not read
  // Metadata
  single_journal_copy,       // a journal block is written once
  journal_without_fua,       // a journal block is acknowledged from the cache
  checkpoint_over_newest,    // the newer checkpoint area is overwritten
  checkpoint_header_first,   // the header says complete before the body is durable
  checkpoint_flush_unheard,  // nobody hears of the flush that a checkpoint's spare refused
  newest_not_distrusted,     // an opening goes on from a header that it could not write again
  newest_not_renewed,        // an opening trusts what it read, though no flush may have taken it
  body_lost_unseen,          // a checkpoint counts whose body a refused flush may have dropped
  journal_past_older,        // the journal is freed up to the newer checkpoint
  replay_one_short,          // the last journal block is left out
  damage_ignored,            // a bad CRC counts as a torn tail
  zombie_commit,             // a commit of unknown outcome is not cancelled
  stale_member_alone,        // a member that missed commits is opened without a word
  bad_spare_forgotten,       // a refused spare block is not recorded
  second_copy_unread,        // only the first copy of a journal block is looked at
  skipped_member_live,       // a member that missed a commit is not recorded as out
  divergence_ignored,        // members that were changed apart from each other are opened together
  lagging_taken_for_whole,   // a live spare without the newest block need not get it at an opening
  passed_over_forgotten,     // an opening goes on from a place that one checkpoint knows of
  lagging_not_refreshed,     // a member that comes back serves without the newest log
};
inline constexpr u32 kBugs = static_cast<u32>(Bug::lagging_not_refreshed) + 1;

#ifdef DMR_DELIBERATE_BUGS
extern bool deliberate_bugs[kBugs];
[[nodiscard]] inline bool bug_is_on(Bug bug) { return deliberate_bugs[static_cast<u32>(bug)]; }
#else
[[nodiscard]] constexpr bool bug_is_on(Bug) { return false; }
#endif

}  // namespace dmr

#define DMR_BUG(name) (::dmr::bug_is_on(::dmr::Bug::name))

// SPDX-License-Identifier: GPL-2.0-or-later
// What `dmsetup status`, `dmsetup table` and IMA read. IMA asks before the first resume, so each
// answer is possible while the volume is closed.
#include <linux/slab.h>

#include "kernel/dmr.h"

const char* dmr_state_name(const struct dmr_target* t, const struct dmr_stats* stats) {
  if (stats->read_only_by_failure) return "failed";
  if (READ_ONCE(t->flush_latched)) return "flush-failed";
  return stats->writable ? "rw" : "ro";
}

// By the superblock's member state.
static const char* const member_states[DMR_MEMBER_STATES] = {"absent", "live", "missing", "failed",
                                                             "removed"};
static const char member_letters[] = "ULMFR";

const char* dmr_member_state_name(unsigned int state) {
  return state < ARRAY_SIZE(member_states) ? member_states[state] : "unknown";
}

static char dmr_member_letter(unsigned int state) {
  return state < ARRAY_SIZE(member_states) ? member_letters[state] : '?';
}

// <state> <remapped blocks> <lost sectors> <weak blocks> <members>, then for each member its state
// (U unused, L live, M missing, F failed, R removed; `!`: its breaker is open), and for a spare
// used/total of its blocks. Without memory to ask the engine with the state is `unknown`: no error
// can be given.
static unsigned int dmr_info(struct dmr_target* t, char* result, unsigned int maxlen) {
  struct dmr_stats* stats = kzalloc(sizeof(*stats), GFP_NOIO);
  int r = stats ? dmr_get_stats(t, stats) : -ENOMEM;
  unsigned int sz = 0, m;

  if (r) {
    DMEMIT("%s", r == -EAGAIN ? "closed" : "unknown");
  } else {
    DMEMIT("%s %llu %llu %llu %u", dmr_state_name(t, stats), stats->remapped_blocks,
           stats->lost_sectors, stats->weak_blocks, stats->members);
    for (m = 0; m < stats->members; m++) {
      const struct dmr_member_stats* member = &stats->member[m];

      DMEMIT(" %c%s", dmr_member_letter(member->state), member->breaker_open ? "!" : "");
      if (m) DMEMIT(" %llu/%llu", member->used_blocks, member->data_blocks);
    }
  }
  kfree(stats);
  return sz;
}

static unsigned int dmr_table(struct dmr_target* t, char* result, unsigned int maxlen) {
  unsigned int features = t->read_only + t->degraded;
  unsigned int sz = 0, i;

  DMEMIT("%s %u", t->dev[0] ? t->dev[0]->name : "-", t->devices - 1);
  for (i = 1; i < t->devices; i++) DMEMIT(" %s", t->dev[i] ? t->dev[i]->name : "-");
  if (features)
    DMEMIT(" %u%s%s", features, t->read_only ? " read_only" : "", t->degraded ? " degraded" : "");
  return sz;
}

static void dmr_ima(struct dmr_target* t, char* result, unsigned int maxlen) {
  unsigned int sz = 0, i;

  DMEMIT_TARGET_NAME_VERSION(t->ti->type);
  DMEMIT(",main=%s,spares=%u", t->dev[0] ? t->dev[0]->name : "-", t->devices - 1);
  for (i = 1; i < t->devices; i++) DMEMIT(",spare_%u=%s", i, t->dev[i] ? t->dev[i]->name : "-");
  DMEMIT(",read_only=%c,degraded=%c;", t->read_only ? 'y' : 'n', t->degraded ? 'y' : 'n');
}

void dmr_status(struct dm_target* ti, status_type_t type, unsigned int flags, char* result,
                unsigned int maxlen) {
  struct dmr_target* t = ti->private;

  result[0] = '\0';
  switch (type) {
    case STATUSTYPE_INFO:
      dmr_info(t, result, maxlen);
      break;
    case STATUSTYPE_TABLE:
      dmr_table(t, result, maxlen);
      break;
    case STATUSTYPE_IMA:
      dmr_ima(t, result, maxlen);
      break;
  }
}

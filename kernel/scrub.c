// SPDX-License-Identifier: GPL-2.0-or-later
// The scrub: users' orders, and how it lives through a suspend. From presuspend, and from each
// opening, to resume the engine holds it, whatever users order meanwhile; in between the volume is
// closed, and what it had come to is kept here.
#include "kernel/dmr.h"

static const char* const state_names[DMR_SCRUB_STATES] = {"idle", "running", "paused", "held"};

const char* dmr_scrub_state_name(const struct dmr_target* t, const struct dmr_stats* stats) {
  return stats->scrub.state < DMR_SCRUB_STATES ? state_names[stats->scrub.state] : "unknown";
}

static void dmr_begin_hold(struct dmr_target* t, void* arg) { dmr_volume_hold_scrub(t->volume, 1); }

static void dmr_end_hold(struct dmr_target* t, void* arg) { dmr_volume_hold_scrub(t->volume, 0); }

// Without the lock: the device mapper lets suspends, resumes and removals follow each other, so the
// volume stays open or closed meanwhile, and a command of a user may hold the lock for long.
void dmr_hold_scrub(struct dmr_target* t) {
  if (READ_ONCE(t->running)) dmr_call(t, dmr_begin_hold, NULL);
}

void dmr_release_scrub(struct dmr_target* t) {
  if (READ_ONCE(t->running)) dmr_call(t, dmr_end_hold, NULL);
}

static void dmr_read_scrub(struct dmr_target* t, void* arg) {
  dmr_volume_keep_scrub(t->volume, &t->scrub);
}

// The volume is closed, but not gone.
void dmr_keep_scrub(struct dmr_target* t) { dmr_call(t, dmr_read_scrub, NULL); }

static void dmr_write_scrub(struct dmr_target* t, void* arg) {
  dmr_volume_hold_scrub(t->volume, 1);
  dmr_volume_restore_scrub(t->volume, &t->scrub);
}

// Held until the resume, which may fail yet at another target of the table.
void dmr_restore_scrub(struct dmr_target* t) { dmr_call(t, dmr_write_scrub, NULL); }

struct dmr_scrub_order {
  u8 action;
  u64 from;
  int error;
};

static void dmr_follow_order(struct dmr_target* t, void* arg) {
  struct dmr_scrub_order* order = arg;

  order->error = dmr_volume_scrub(t->volume, order->action, order->from);
}

static int dmr_order_scrub(struct dmr_target* t, u8 action, u64 from) {
  struct dmr_scrub_order order = {.action = action, .from = from, .error = -EAGAIN};

  mutex_lock(&t->lock);
  if (t->running) dmr_call(t, dmr_follow_order, &order);
  mutex_unlock(&t->lock);
  return order.error;
}

// argv[0] is `scrub`.
int dmr_scrub_message(struct dmr_target* t, unsigned int argc, char** argv, char* result,
                      unsigned int maxlen) {
  unsigned int sz = 0;
  u64 number = 0;
  int r = -EINVAL;

  if (argc < 2 || argc > 3 || (argc == 3 && kstrtou64(argv[2], 10, &number))) return r;
  if (!strcmp(argv[1], "start"))
    r = dmr_order_scrub(t, DMR_SCRUB_START, number);
  else if (argc == 2 && !strcmp(argv[1], "pause"))
    r = dmr_order_scrub(t, DMR_SCRUB_PAUSE, 0);
  else if (argc == 2 && !strcmp(argv[1], "stop"))
    r = dmr_order_scrub(t, DMR_SCRUB_STOP, 0);
  else if (argc == 3 && !strcmp(argv[1], "rate"))
    r = dmr_tune(t, DMR_SCRUB_KIB_PER_S, number);
  if (r) return r;
  DMEMIT("ok");
  return 1;
}

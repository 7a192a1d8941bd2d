// SPDX-License-Identifier: GPL-2.0-or-later
// Questions and orders of users, answered by the engine on its executor.
#include <linux/slab.h>

#include "kernel/dmr.h"

static void dmr_read_stats(struct dmr_target* t, void* arg) {
  dmr_volume_stats(t->volume, dmr_flush_latched(t), arg);
}

int dmr_get_stats(struct dmr_target* t, struct dmr_stats* stats) {
  int r = -EAGAIN;

  memset(stats, 0, sizeof(*stats));
  mutex_lock(&t->lock);
  if (t->running) {
    dmr_call(t, dmr_read_stats, stats);
    r = stats->members ? 0 : -ENOMEM;
  }
  mutex_unlock(&t->lock);
  return r;
}

static void dmr_begin_command(struct dmr_target* t, void* arg) {
  dmr_volume_command(t->volume, arg);
}

int dmr_run_command(struct dmr_target* t, struct dmr_command* command) {
  DECLARE_COMPLETION_ONSTACK(ended);

  command->waiter = &ended;
  mutex_lock(&t->lock);
  if (!t->running) {
    mutex_unlock(&t->lock);
    return -EAGAIN;
  }
  dmr_call(t, dmr_begin_command, command);
  wait_for_completion(&ended);
  mutex_unlock(&t->lock);
  return command->error;
}

static void dmr_apply_tunable(struct dmr_target* t, void* arg) {
  unsigned int which = *(unsigned int*)arg;

  dmr_volume_tune(t->volume, which, t->tunable[which]);
}

int dmr_tune(struct dmr_target* t, unsigned int which, u64 value) {
  int r = -EAGAIN;

  if (!dmr_tunable_allows(which, value)) return -ERANGE;
  mutex_lock(&t->lock);
  if (t->running) {
    WRITE_ONCE(t->tunable[which], value);
    dmr_call(t, dmr_apply_tunable, &which);
    r = 0;
  }
  mutex_unlock(&t->lock);
  return r;
}

// The counters of all CPUs together; to be freed by the caller. As everywhere in answers: a suspend
// waits for whoever is asking, so no memory may be sought that only I/O to this device would free.
struct dmr_cpu* dmr_sum_cpus(struct dmr_target* t) {
  struct dmr_cpu* sum = kzalloc(sizeof(*sum), GFP_NOIO);
  unsigned int i, j;
  int cpu;

  if (!sum) return NULL;
  for_each_possible_cpu (cpu) {
    const struct dmr_cpu* c = per_cpu_ptr(t->cpu, cpu);

    for (i = 0; i <= DMR_OTHER_SLOT; i++) sum->in_flight[i] += READ_ONCE(c->in_flight[i]);
    for (i = 0; i < ARRAY_SIZE(c->requests); i++) {
      sum->requests[i] += READ_ONCE(c->requests[i]);
      sum->sectors[i] += READ_ONCE(c->sectors[i]);
      sum->failed[i] += READ_ONCE(c->failed[i]);
    }
    for (i = 0; i < DMR_PATHS; i++) sum->path[i] += READ_ONCE(c->path[i]);
    for (i = 0; i < 2; i++)
      for (j = 0; j < DMR_LATENCY_BUCKETS; j++) sum->latency[i][j] += READ_ONCE(c->latency[i][j]);
  }
  return sum;
}

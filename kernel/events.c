// SPDX-License-Identifier: GPL-2.0-or-later
// Events of the engine: into the log (rate limited), into a ring for the message `events`, and as
// uevents and dm events from a workqueue of their own, because those may sleep on anything.
#include <linux/kobject.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "kernel/dmr.h"

static struct workqueue_struct* event_wq;

static const char* const kind_names[DMR_EVENT_KINDS] = {
    "remapped",        "relocated",      "lost",
    "recovered",       "returned",       "weak",
    "spare_block_bad", "spare_low",      "spare_exhausted",
    "member_failed",   "breaker_open",   "breaker_closed",
    "device_error",    "flush_failed",   "metadata_repaired",
    "metadata_failed", "pool_exhausted", "scrub_ended",
    "scrub_paused",
};

static const char* const status_names[DMR_STATUS_COUNT] = {
    "ok",       "medium",    "unspecified", "transport", "timeout",  "offline",
    "no_space", "read_only", "unsupported", "again",     "resource",
};

const char* dmr_event_name(unsigned int kind) {
  return kind < DMR_EVENT_KINDS ? kind_names[kind] : "unknown";
}

const char* dmr_io_status_name(unsigned int status) {
  return status < DMR_STATUS_COUNT ? status_names[status] : "unknown";
}

static void dmr_send(struct dmr_target* t, const struct dmr_logged_event* logged) {
  const struct dmr_event* event = &logged->event;
  char kind[40], member[24], sector[40], sectors[40], target[32];
  char* env[] = {kind, member, sector, sectors, target, NULL};

  snprintf(kind, sizeof(kind), "DM_REMAP_EVENT=%s", dmr_event_name(event->kind));
  snprintf(member, sizeof(member), "DM_REMAP_MEMBER=%u", event->member);
  snprintf(sector, sizeof(sector), "DM_REMAP_SECTOR=%llu", event->sector);
  snprintf(sectors, sizeof(sectors), "DM_REMAP_SECTORS=%llu", event->sectors);
  snprintf(target, sizeof(target), "DM_REMAP_TARGET=%u", t->index);
  kobject_uevent_env(&disk_to_dev(dm_disk(dm_table_get_md(t->ti->table)))->kobj, KOBJ_CHANGE, env);
}

// At most one uevent of each kind a run; the counters in sysfs have all.
static void dmr_event_work(struct work_struct* work) {
  struct dmr_target* t = container_of(work, struct dmr_target, event_work);
  unsigned int flags = memalloc_noio_save();  // a suspend waits for this
  struct dmr_logged_event logged;
  unsigned long sent = 0;
  bool any = false;
  u64 number, newest;

  spin_lock_irq(&t->event_lock);
  newest = t->events_total;
  number = max(t->events_sent, newest > DMR_EVENTS ? newest - DMR_EVENTS : 0) + 1;
  t->events_sent = newest;
  spin_unlock_irq(&t->event_lock);
  for (; number <= newest; number++) {
    spin_lock_irq(&t->event_lock);
    logged = t->events[number % DMR_EVENTS];
    spin_unlock_irq(&t->event_lock);
    if (logged.event.kind >= DMR_EVENT_KINDS || __test_and_set_bit(logged.event.kind, &sent))
      continue;
    dmr_send(t, &logged);
    any = true;
  }
  if (any) dm_table_event(t->ti->table);
  memalloc_noio_restore(flags);
}

void dmr_host_event(void* target, const struct dmr_event* event) {
  struct dmr_target* t = target;
  struct dmr_logged_event* logged;
  unsigned long flags;

  spin_lock_irqsave(&t->event_lock, flags);
  logged = &t->events[++t->events_total % DMR_EVENTS];
  logged->event = *event;
  logged->number = t->events_total;
  logged->time_ms = div_u64(ktime_get_real_ns(), NSEC_PER_MSEC);
  if (event->kind < DMR_EVENT_KINDS) t->event_count[event->kind]++;
  spin_unlock_irqrestore(&t->event_lock, flags);
  pr_warn_ratelimited("dm_remap: %s: %s: member %u, sector %llu, %llu sectors, %s\n",
                      dm_device_name(dm_table_get_md(t->ti->table)), dmr_event_name(event->kind),
                      event->member, event->sector, event->sectors,
                      dmr_io_status_name(event->status));
  queue_work(event_wq, &t->event_work);
}

void dmr_events_init(struct dmr_target* t) {
  spin_lock_init(&t->event_lock);
  INIT_WORK(&t->event_work, dmr_event_work);
}

// The volume is closed: no event comes any more.
void dmr_events_stop(struct dmr_target* t) { flush_work(&t->event_work); }

int dmr_events_module_init(void) {
  event_wq = alloc_workqueue("dm_remap_events", WQ_UNBOUND | WQ_MEM_RECLAIM, 1);
  return event_wq ? 0 : -ENOMEM;
}

void dmr_events_module_exit(void) { destroy_workqueue(event_wq); }

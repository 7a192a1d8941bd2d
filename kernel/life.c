// SPDX-License-Identifier: GPL-2.0-or-later
// Opening at preresume, closing at postsuspend. During a reload the old table's target is closed
// before the new one's is opened; between the two the state lies on the members and nowhere else.
#include <linux/delay.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "kernel/dmr.h"

// Puts the devices of the table at the places that their superblocks name.
static int dmr_arrange(struct dmr_target* t, struct dmr_open* open, const char** why) {
  struct dm_dev* placeless[DMR_MAX_MEMBERS];
  unsigned int i, m, lost = 0;
  bool have_set = false;
  void* block = (void*)__get_free_page(GFP_NOIO);
  int r = -ENOMEM;

  *why = "not enough memory";
  if (!block) return r;
  memset(t->place, 0, sizeof(t->place));
  t->place[0] = t->dev[0] ? t->dev[0]->bdev : NULL;
  for (i = 1; i < t->devices; i++) {
    u8 member = 0, set[16];

    if (!t->dev[i]) continue;
    r = dmr_find_member(t, i, bdev_nr_sectors(t->dev[i]->bdev), block, &member, set);
    if (r <= 0 || member == 0 || member >= DMR_MAX_MEMBERS) {
      placeless[lost++] = t->dev[i];
      continue;
    }
    *why = "two spares claim the same place";
    r = -EINVAL;
    if (t->place[member]) goto out;
    t->place[member] = t->dev[i]->bdev;
    if (!have_set) memcpy(t->set, set, sizeof(t->set));
    have_set = true;
  }
  *why = "no spare carries a volume's superblock";
  r = -ENOENT;
  if (!have_set) goto out;
  // The engine says what is wrong with those that prove nothing.
  for (i = 0; i < lost; i++) {
    for (m = 1; m < DMR_MAX_MEMBERS && t->place[m]; m++);
    if (m < DMR_MAX_MEMBERS) t->place[m] = placeless[i]->bdev;
  }
  for (m = 0; m < DMR_MAX_MEMBERS; m++) {
    struct dmr_member_config* config = &open->member[m];

    if (!t->place[m]) continue;
    open->members = m + 1;
    config->present = 1;
    config->sectors = bdev_nr_sectors(t->place[m]);
    config->logical_block_bytes = bdev_logical_block_size(t->place[m]);
    // Without a cache there is nothing to flush behind a write.
    config->has_cache = bdev_write_cache(t->place[m]);
    config->native_fua = bdev_fua(t->place[m]) || !config->has_cache;
  }
  *why = "the set has more members: name those that are missing as `-`";
  r = open->members > t->devices ? -EINVAL : 0;
out:
  free_page((unsigned long)block);
  return r;
}

static void dmr_begin_open(struct dmr_target* t, void* arg) {
  t->volume = dmr_host_allocate(dmr_volume_bytes(), 64);
  if (!t->volume) {
    struct dmr_open* open = arg;

    open->error = -ENOMEM;
    complete(open->waiter);
    return;
  }
  dmr_volume_construct(t->volume, t);
  dmr_volume_open(t->volume, arg);
}

static void dmr_begin_close(struct dmr_target* t, void* arg) { dmr_volume_close(t->volume, arg); }

static void dmr_destroy_volume(struct dmr_target* t, void* arg) {
  if (!t->volume) return;
  dmr_volume_destroy(t->volume);
  dmr_host_release(t->volume);
  t->volume = NULL;
  t->pages_wanted = 0;
}

static int dmr_open_volume(struct dmr_target* t, struct dmr_open* open) {
  DECLARE_COMPLETION_ONSTACK(opened);

  open->read_only = t->read_only || !(dm_table_get_mode(t->ti->table) & DMR_TABLE_WRITE);
  open->allow_degraded = t->degraded;
  memcpy(open->tunable, t->tunable, sizeof(open->tunable));
  open->waiter = &opened;
  dmr_call(t, dmr_begin_open, open);
  wait_for_completion(&opened);
  return open->error;
}

static void dmr_close_volume(struct dmr_target* t) {
  DECLARE_COMPLETION_ONSTACK(closed);
  struct dmr_close close = {.waiter = &closed};

  dmr_call(t, dmr_begin_close, &close);
  wait_for_completion(&closed);
  if (close.error && close.error != -EROFS)
    DMWARN("%s: the last checkpoint could not be written (%d), the journal has all",
           dm_device_name(dm_table_get_md(t->ti->table)), close.error);
}

// On the executor, which compares; before any request is mapped.
static void dmr_forget_refusals(struct dmr_target* t, void* arg) {
  t->flush_refusals = dmr_volume_flush_refusals(t->volume);
  WRITE_ONCE(t->flush_latched, false);
}

int dmr_preresume(struct dm_target* ti) {
  struct dmr_target* t = ti->private;
  const char* name = dm_device_name(dm_table_get_md(ti->table));
  unsigned int flags = memalloc_noio_save();
  struct dmr_open* open = kzalloc(sizeof(*open), GFP_NOIO);
  const char* why = "not enough memory";
  int r = -ENOMEM;

  if (!open) goto out;
  mutex_lock(&t->lock);
  r = 0;
  if (t->running) {  // an earlier resume failed at another target of the table
    dmr_call(t, dmr_forget_refusals, NULL);
    goto unlock;
  }
  r = dmr_arrange(t, open, &why);
  if (r) goto unlock;
  r = dmr_registry_add(t, &why);
  if (r) goto unlock;
  r = dmr_open_volume(t, open);
  why = open->message[0] ? open->message : "not enough memory";
  if (!r && open->volume_sectors != ti->len) {
    dmr_close_volume(t);
    dmr_call(t, dmr_destroy_volume, NULL);
    DMERR("%s: the table has %llu sectors, the volume %llu", name, (unsigned long long)ti->len,
          (unsigned long long)open->volume_sectors);
    why = "wrong length";
    r = -EINVAL;
  } else if (r) {
    dmr_call(t, dmr_destroy_volume, NULL);
  }
  if (r) {
    dmr_registry_remove(t);
    goto unlock;
  }
  t->volume_sectors = open->volume_sectors;
  dmr_call(t, dmr_forget_refusals, NULL);
  dmr_restore_scrub(t);
  WRITE_ONCE(t->running, true);
unlock:
  mutex_unlock(&t->lock);
out:
  if (r) DMERR("%s: refused: %s (%d)", name, why, r);
  kfree(open);
  memalloc_noio_restore(flags);
  return r;
}

void dmr_resume(struct dm_target* ti) {
  struct dmr_target* t = ti->private;
  unsigned int flags = memalloc_noio_save();

  WRITE_ONCE(t->suspending, false);
  dmr_release_scrub(t);
  dmr_sysfs_add(t);
  memalloc_noio_restore(flags);
}

// Own counters tell when the last bio has left: on removal the device mapper does not wait.
static void dmr_wait_for_bios(struct dmr_target* t) {
  unsigned int slot;

  for (slot = 0; slot <= DMR_OTHER_SLOT; slot++)
    while (dmr_host_in_flight(t, slot) != 0) msleep(1);
  // end_io may still be between its last decrement and its return.
  synchronize_rcu();
  flush_work(&t->work);
}

void dmr_shut(struct dmr_target* t) {
  unsigned int flags = memalloc_noio_save();

  dmr_sysfs_remove(t);
  mutex_lock(&t->lock);
  if (t->running) {
    dmr_wait_for_bios(t);
    dmr_close_volume(t);
    dmr_keep_scrub(t);
    dmr_call(t, dmr_destroy_volume, NULL);
    WRITE_ONCE(t->running, false);
    dmr_registry_remove(t);
    timer_delete_sync(&t->timer);
    dmr_events_stop(t);
  }
  mutex_unlock(&t->lock);
  memalloc_noio_restore(flags);
}

// Ends or holds only what users have ordered: lock_fs() comes after it and writes, so recovery goes
// on until all I/O has drained.
void dmr_presuspend(struct dm_target* ti) {
  struct dmr_target* t = ti->private;

  WRITE_ONCE(t->suspending, true);
  dmr_hold_scrub(t);
}

void dmr_presuspend_undo(struct dm_target* ti) {
  struct dmr_target* t = ti->private;

  WRITE_ONCE(t->suspending, false);
  dmr_release_scrub(t);
}

void dmr_postsuspend(struct dm_target* ti) { dmr_shut(ti->private); }

// SPDX-License-Identifier: GPL-2.0-or-later
// Which sets and which parts of which disks are open. The device mapper claims devices with one
// holder for all of its targets, so it would let two volumes use one spare.
#include "kernel/dmr.h"

static DEFINE_MUTEX(registry_lock);
static LIST_HEAD(open_targets);
static LIST_HEAD(all_targets);

struct dmr_extent {
  struct gendisk* disk;
  u64 begin;
  u64 end;
};

static struct dmr_extent dmr_extent_of(struct block_device* bdev) {
  u64 begin = get_start_sect(bdev);

  return (struct dmr_extent){bdev->bd_disk, begin, begin + bdev_nr_sectors(bdev)};
}

// A disk and its own partition overlap.
static bool dmr_overlap(struct block_device* a, struct block_device* b) {
  struct dmr_extent x = dmr_extent_of(a), y = dmr_extent_of(b);

  return x.disk == y.disk && x.begin < y.end && y.begin < x.end;
}

static bool dmr_share(struct dmr_target* a, struct dmr_target* b) {
  unsigned int i, j;

  for (i = 0; i < a->devices; i++) {
    for (j = a == b ? i + 1 : 0; j < b->devices; j++) {
      if (a->dev[i] && b->dev[j] && dmr_overlap(a->dev[i]->bdev, b->dev[j]->bdev)) return true;
    }
  }
  return false;
}

int dmr_registry_add(struct dmr_target* t, const char** why) {
  struct dmr_target* other;
  int r = -EBUSY;

  if (dmr_share(t, t)) {
    *why = "two of its devices overlap";
    return -EINVAL;
  }
  mutex_lock(&registry_lock);
  list_for_each_entry (other, &open_targets, registered) {
    *why = "this set is open already";
    if (!memcmp(other->set, t->set, sizeof(t->set))) goto out;
    *why = "one of its devices is in use by another volume";
    if (dmr_share(other, t)) goto out;
  }
  list_add(&t->registered, &open_targets);
  r = 0;
out:
  mutex_unlock(&registry_lock);
  return r;
}

void dmr_registry_remove(struct dmr_target* t) {
  mutex_lock(&registry_lock);
  list_del_init(&t->registered);
  mutex_unlock(&registry_lock);
}

// Targets of one table are constructed in their order: that gives each its number.
void dmr_tables_add(struct dmr_target* t) {
  struct dmr_target* other;

  mutex_lock(&registry_lock);
  list_for_each_entry (other, &all_targets, tables)
    if (other->ti->table == t->ti->table) t->index++;
  list_add(&t->tables, &all_targets);
  mutex_unlock(&registry_lock);
}

void dmr_tables_remove(struct dmr_target* t) {
  mutex_lock(&registry_lock);
  list_del(&t->tables);
  mutex_unlock(&registry_lock);
}

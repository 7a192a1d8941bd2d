// SPDX-License-Identifier: GPL-2.0-or-later
// /sys/block/dm-N/remap/<target index>/: one value a file, from resume to suspend. The numbers are
// in figures.c; here are the texts, the limits that can be written, and the folder itself.
#include <linux/slab.h>

#include "kernel/dmr.h"

// The folder `remap` of a disk, shared by the targets of its table.
struct dmr_folder {
  struct list_head list;
  struct gendisk* disk;
  struct kobject* kobj;
  unsigned int users;
};

static DEFINE_MUTEX(folders_lock);
static LIST_HEAD(folders);

static ssize_t show_word(struct dmr_target* t, char* buf,
                         const char* (*word)(const struct dmr_target* t,
                                             const struct dmr_stats* stats)) {
  struct dmr_stats* stats = kzalloc(sizeof(*stats), GFP_NOIO);
  ssize_t r = -ENOMEM;

  if (stats) r = dmr_get_stats(t, stats);
  if (!r) r = sysfs_emit(buf, "%s\n", word(t, stats));
  kfree(stats);
  return r;
}

static ssize_t show_state(struct dmr_target* t, char* buf) {
  return show_word(t, buf, dmr_state_name);
}

static ssize_t show_scrub_state(struct dmr_target* t, char* buf) {
  return show_word(t, buf, dmr_scrub_state_name);
}

static ssize_t show_set(struct dmr_target* t, char* buf) {
  return sysfs_emit(buf, "%pUb\n", t->set);
}

static ssize_t show_events_total(struct dmr_target* t, char* buf) {
  return sysfs_emit(buf, "%llu\n", READ_ONCE(t->events_total));
}

static ssize_t show_latency(struct dmr_target* t, char* buf, unsigned int write) {
  struct dmr_cpu* sum = dmr_sum_cpus(t);
  unsigned int i;
  int n = 0;

  if (!sum) return -ENOMEM;
  for (i = 0; i < DMR_LATENCY_BUCKETS; i++)
    n += sysfs_emit_at(buf, n, "%llu%c", sum->latency[write][i],
                       i + 1 < DMR_LATENCY_BUCKETS ? ' ' : '\n');
  kfree(sum);
  return n;
}

static ssize_t show_read_latency(struct dmr_target* t, char* buf) {
  return show_latency(t, buf, 0);
}

static ssize_t show_write_latency(struct dmr_target* t, char* buf) {
  return show_latency(t, buf, 1);
}

static void dmr_look_at_slices(struct dmr_target* t, void* arg) {
  dmr_volume_slices(t->volume, arg);
}

// A large map is looked at in parts, between which the executor does its work.
static ssize_t show_region_map(struct dmr_target* t, char* buf) {
  struct dmr_slices slices = {.cursor = 0};
  int r = 0;

  memset(slices.kind, '.', sizeof(slices.kind));
  while (!r && !slices.done) {
    mutex_lock(&t->lock);
    if (t->running)
      dmr_call(t, dmr_look_at_slices, &slices);
    else
      r = -EAGAIN;
    mutex_unlock(&t->lock);
  }
  return r ? r : sysfs_emit(buf, "%.*s\n", DMR_MAP_SLICES, slices.kind);
}

#define DMR_TEXT(text)                       \
  static struct dmr_attr attr_##text = {     \
      .attr = {.name = #text, .mode = 0444}, \
      .show = show_##text,                   \
  }
DMR_TEXT(state);
DMR_TEXT(scrub_state);
DMR_TEXT(set);
DMR_TEXT(events_total);
DMR_TEXT(read_latency);
DMR_TEXT(write_latency);
DMR_TEXT(region_map);

static struct attribute* text_attrs[] = {
    &attr_state.attr,        &attr_scrub_state.attr,
    &attr_set.attr,          &attr_events_total.attr,
    &attr_read_latency.attr, &attr_write_latency.attr,
    &attr_region_map.attr,   NULL,
};
static const struct attribute_group text_group = {.attrs = text_attrs};

// Their names and ranges are the engine's: filled in when the module is loaded.
static struct dmr_attr tunables[DMR_TUNABLES];
static struct attribute* tunable_attrs[DMR_TUNABLES + 1];
static const struct attribute_group tunable_group = {.attrs = tunable_attrs};

void dmr_sysfs_module_init(void) {
  unsigned int i;

  for (i = 0; i < DMR_TUNABLES; i++) {
    sysfs_attr_init(&tunables[i].attr);
    tunables[i].attr.name = dmr_tunable_name(i);
    tunables[i].attr.mode = 0644;
    tunable_attrs[i] = &tunables[i].attr;
  }
}

static bool dmr_is_tunable(const struct dmr_attr* attr) {
  return attr >= tunables && attr < tunables + DMR_TUNABLES;
}

static ssize_t dmr_attr_show(struct kobject* kobj, struct attribute* attr, char* buf) {
  struct dmr_target* t = container_of(kobj, struct dmr_target, kobj);
  struct dmr_attr* own = container_of(attr, struct dmr_attr, attr);

  if (dmr_is_tunable(own)) return sysfs_emit(buf, "%u\n", READ_ONCE(t->tunable[own - tunables]));
  return own->show ? own->show(t, buf) : dmr_show_number(t, own, buf);
}

static ssize_t dmr_attr_store(struct kobject* kobj, struct attribute* attr, const char* buf,
                              size_t count) {
  struct dmr_target* t = container_of(kobj, struct dmr_target, kobj);
  struct dmr_attr* own = container_of(attr, struct dmr_attr, attr);
  u64 value;
  int r;

  if (!dmr_is_tunable(own)) return -EACCES;
  if (kstrtou64(buf, 10, &value)) return -EINVAL;
  r = dmr_tune(t, own - tunables, value);
  return r ? r : count;
}

static void dmr_kobj_release(struct kobject* kobj) {
  struct dmr_target* t = container_of(kobj, struct dmr_target, kobj);

  complete(&t->kobj_gone);
}

static const struct sysfs_ops dmr_sysfs_ops = {.show = dmr_attr_show, .store = dmr_attr_store};
static const struct attribute_group* dmr_groups[] = {
    &dmr_number_group,
    &text_group,
    &tunable_group,
    NULL,
};
static const struct kobj_type dmr_kobj_type = {
    .release = dmr_kobj_release,
    .sysfs_ops = &dmr_sysfs_ops,
    .default_groups = dmr_groups,
};

static struct dmr_folder* dmr_get_folder(struct gendisk* disk) {
  struct dmr_folder* folder;

  list_for_each_entry (folder, &folders, list) {
    if (folder->disk == disk) {
      folder->users++;
      return folder;
    }
  }
  folder = kzalloc(sizeof(*folder), GFP_NOIO);
  if (!folder) return NULL;
  folder->kobj = kobject_create_and_add("remap", &disk_to_dev(disk)->kobj);
  if (!folder->kobj) {
    kfree(folder);
    return NULL;
  }
  folder->disk = disk;
  folder->users = 1;
  list_add(&folder->list, &folders);
  return folder;
}

static void dmr_put_folder(struct dmr_folder* folder) {
  if (--folder->users) return;
  list_del(&folder->list);
  kobject_put(folder->kobj);
  kfree(folder);
}

// A volume without its files is better than none: failures are told and passed over.
void dmr_sysfs_add(struct dmr_target* t) {
  struct mapped_device* md = dm_table_get_md(t->ti->table);
  int r = -ENOMEM;

  mutex_lock(&folders_lock);
  if (t->kobj_there) goto out;
  t->folder = dmr_get_folder(dm_disk(md));
  if (!t->folder) goto failed;
  init_completion(&t->kobj_gone);
  memset(&t->kobj, 0, sizeof(t->kobj));
  r = kobject_init_and_add(&t->kobj, &dmr_kobj_type, t->folder->kobj, "%u", t->index);
  if (!r) {
    t->kobj_there = true;
    goto out;
  }
  kobject_put(&t->kobj);
  dmr_put_folder(t->folder);
failed:
  DMWARN("%s: no files in sysfs (%d)", dm_device_name(md), r);
out:
  mutex_unlock(&folders_lock);
}

// Waits for whoever reads a file now.
void dmr_sysfs_remove(struct dmr_target* t) {
  mutex_lock(&folders_lock);
  if (t->kobj_there) {
    kobject_del(&t->kobj);
    kobject_put(&t->kobj);
    wait_for_completion(&t->kobj_gone);
    dmr_put_folder(t->folder);
    t->kobj_there = false;
  }
  mutex_unlock(&folders_lock);
}

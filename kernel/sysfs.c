// SPDX-License-Identifier: GPL-2.0-or-later
// /sys/block/dm-N/remap/<target index>/: one value a file, from resume to suspend. The list of
// figures here is also what the message `stats` prints. docs/sysfs.md describes each.
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

struct dmr_attr {
  struct attribute attr;
  u64 (*get)(const struct dmr_stats* s, const struct dmr_cpu* c);
  ssize_t (*show)(struct dmr_target* t, char* buf);
};

#define DMR_FIGURE(figure, value)                                                               \
  static u64 get_##figure(const struct dmr_stats* s, const struct dmr_cpu* c) { return value; } \
  static struct dmr_attr attr_##figure = {                                                      \
      .attr = {.name = #figure, .mode = 0444},                                                  \
      .get = get_##figure,                                                                      \
  }

static u64 sum_spares(const struct dmr_stats* s, size_t offset) {
  u64 sum = 0;
  unsigned int m;

  for (m = 1; m < s->members; m++) sum += *(const u64*)((const char*)&s->member[m] + offset);
  return sum;
}

static u64 sum_errors(const struct dmr_stats* s, unsigned int write, unsigned int class) {
  u64 sum = 0;
  unsigned int m;

  for (m = 0; m < s->members; m++) sum += s->member[m].errors[write][class];
  return sum;
}

#define SPARES(field) sum_spares(s, offsetof(struct dmr_member_stats, field))

DMR_FIGURE(writable, s->writable);
DMR_FIGURE(block_sectors, s->block_sectors);
DMR_FIGURE(volume_sectors, s->volume_sectors);
DMR_FIGURE(remapped_blocks, s->remapped_blocks);
DMR_FIGURE(lost_sectors, s->lost_sectors);
DMR_FIGURE(weak_blocks, s->weak_blocks);
DMR_FIGURE(runs, s->runs);
DMR_FIGURE(index_bytes, s->index_bytes);
DMR_FIGURE(spare_total, SPARES(data_blocks));
DMR_FIGURE(spare_used, SPARES(used_blocks));
DMR_FIGURE(spare_free, SPARES(free_blocks));
DMR_FIGURE(spare_bad, SPARES(bad_blocks));
DMR_FIGURE(reads, c->requests[DMR_READ]);
DMR_FIGURE(writes, c->requests[DMR_WRITE]);
DMR_FIGURE(flushes, c->requests[DMR_FLUSH]);
DMR_FIGURE(discards, c->requests[DMR_DISCARD]);
DMR_FIGURE(write_zeroes, c->requests[DMR_WRITE_ZEROES]);
DMR_FIGURE(read_sectors, c->sectors[DMR_READ]);
DMR_FIGURE(written_sectors, c->sectors[DMR_WRITE]);
DMR_FIGURE(fast_requests, c->path[DMR_PATH_FAST]);
DMR_FIGURE(slow_requests, c->path[DMR_PATH_SLOW]);
DMR_FIGURE(held_requests, s->held_requests);
DMR_FIGURE(recovered_reads, s->recovered_reads);
DMR_FIGURE(failed_reads, s->failed_reads);
DMR_FIGURE(redirected_writes, s->redirected_writes);
DMR_FIGURE(retried_writes, s->retried_writes);
DMR_FIGURE(failed_writes, s->failed_writes);
DMR_FIGURE(relocated_blocks, s->relocated_blocks);
DMR_FIGURE(returned_blocks, s->returned_blocks);
DMR_FIGURE(commits, s->commits);
DMR_FIGURE(commit_records, s->commit_records);
DMR_FIGURE(commit_flushes, s->commit_flushes);
DMR_FIGURE(checkpoints, s->checkpoints);
DMR_FIGURE(read_errors_medium, sum_errors(s, 0, 1));
DMR_FIGURE(read_errors_unspecified, sum_errors(s, 0, 2));
DMR_FIGURE(read_errors_device, sum_errors(s, 0, 3));
DMR_FIGURE(read_errors_not_disk, sum_errors(s, 0, 4));
DMR_FIGURE(write_errors_medium, sum_errors(s, 1, 1));
DMR_FIGURE(write_errors_unspecified, sum_errors(s, 1, 2));
DMR_FIGURE(write_errors_device, sum_errors(s, 1, 3));
DMR_FIGURE(write_errors_not_disk, sum_errors(s, 1, 4));

#define DMR_POOL_FIGURES(pool_name, number)                       \
  DMR_FIGURE(pool_name##_size, s->pool[number].size);             \
  DMR_FIGURE(pool_name##_in_use, s->pool[number].in_use);         \
  DMR_FIGURE(pool_name##_high_water, s->pool[number].high_water); \
  DMR_FIGURE(pool_name##_exhausted, s->pool[number].exhausted)

DMR_POOL_FIGURES(pool_health, DMR_POOL_HEALTH);
DMR_POOL_FIGURES(pool_io, DMR_POOL_IO);
DMR_POOL_FIGURES(pool_work, DMR_POOL_WORK);
DMR_POOL_FIGURES(pool_buffers, DMR_POOL_BUFFERS);

static ssize_t show_state(struct dmr_target* t, char* buf) {
  return sysfs_emit(buf, "%s\n",
                    !READ_ONCE(t->running)           ? "closed"
                    : READ_ONCE(t->flush_latched)    ? "flush-failed"
                    : dmr_volume_writable(t->volume) ? "rw"
                                                     : "ro");
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

#define DMR_TEXT(text)                       \
  static struct dmr_attr attr_##text = {     \
      .attr = {.name = #text, .mode = 0444}, \
      .show = show_##text,                   \
  }
DMR_TEXT(state);
DMR_TEXT(set);
DMR_TEXT(events_total);
DMR_TEXT(read_latency);
DMR_TEXT(write_latency);

#define POOL_ATTRS(name)                                                                \
  &attr_##name##_size.attr, &attr_##name##_in_use.attr, &attr_##name##_high_water.attr, \
      &attr_##name##_exhausted.attr

static struct attribute* dmr_attrs[] = {
    &attr_state.attr,
    &attr_set.attr,
    &attr_writable.attr,
    &attr_block_sectors.attr,
    &attr_volume_sectors.attr,
    &attr_remapped_blocks.attr,
    &attr_lost_sectors.attr,
    &attr_weak_blocks.attr,
    &attr_runs.attr,
    &attr_index_bytes.attr,
    &attr_spare_total.attr,
    &attr_spare_used.attr,
    &attr_spare_free.attr,
    &attr_spare_bad.attr,
    &attr_reads.attr,
    &attr_writes.attr,
    &attr_flushes.attr,
    &attr_discards.attr,
    &attr_write_zeroes.attr,
    &attr_read_sectors.attr,
    &attr_written_sectors.attr,
    &attr_fast_requests.attr,
    &attr_slow_requests.attr,
    &attr_held_requests.attr,
    &attr_recovered_reads.attr,
    &attr_failed_reads.attr,
    &attr_redirected_writes.attr,
    &attr_retried_writes.attr,
    &attr_failed_writes.attr,
    &attr_relocated_blocks.attr,
    &attr_returned_blocks.attr,
    &attr_commits.attr,
    &attr_commit_records.attr,
    &attr_commit_flushes.attr,
    &attr_checkpoints.attr,
    &attr_read_errors_medium.attr,
    &attr_read_errors_unspecified.attr,
    &attr_read_errors_device.attr,
    &attr_read_errors_not_disk.attr,
    &attr_write_errors_medium.attr,
    &attr_write_errors_unspecified.attr,
    &attr_write_errors_device.attr,
    &attr_write_errors_not_disk.attr,
    POOL_ATTRS(pool_health),
    POOL_ATTRS(pool_io),
    POOL_ATTRS(pool_work),
    POOL_ATTRS(pool_buffers),
    &attr_events_total.attr,
    &attr_read_latency.attr,
    &attr_write_latency.attr,
    NULL,
};
ATTRIBUTE_GROUPS(dmr);

// Room for the counters of the engine and of the CPUs.
struct dmr_figures {
  struct dmr_stats stats;
  struct dmr_cpu* cpu;
};

static int dmr_get_figures(struct dmr_target* t, struct dmr_figures* figures) {
  int r = dmr_get_stats(t, &figures->stats);

  if (r) return r;
  figures->cpu = dmr_sum_cpus(t);
  return figures->cpu ? 0 : -ENOMEM;
}

static ssize_t dmr_attr_show(struct kobject* kobj, struct attribute* attr, char* buf) {
  struct dmr_target* t = container_of(kobj, struct dmr_target, kobj);
  struct dmr_attr* own = container_of(attr, struct dmr_attr, attr);
  struct dmr_figures* figures;
  ssize_t r;

  if (own->show) return own->show(t, buf);
  figures = kzalloc(sizeof(*figures), GFP_KERNEL);
  if (!figures) return -ENOMEM;
  r = dmr_get_figures(t, figures);
  if (!r) r = sysfs_emit(buf, "%llu\n", own->get(&figures->stats, figures->cpu));
  kfree(figures->cpu);
  kfree(figures);
  return r;
}

int dmr_print_figures(struct dmr_target* t, char* result, unsigned int maxlen) {
  struct dmr_figures* figures = kzalloc(sizeof(*figures), GFP_NOIO);
  struct attribute** at;
  unsigned int sz = 0;
  int r;

  if (!figures) return -ENOMEM;
  r = dmr_get_figures(t, figures);
  for (at = dmr_attrs; !r && *at; at++) {
    struct dmr_attr* own = container_of(*at, struct dmr_attr, attr);

    if (own->get) DMEMIT("%s %llu\n", own->attr.name, own->get(&figures->stats, figures->cpu));
  }
  kfree(figures->cpu);
  kfree(figures);
  return r;
}

static void dmr_kobj_release(struct kobject* kobj) {
  struct dmr_target* t = container_of(kobj, struct dmr_target, kobj);

  complete(&t->kobj_gone);
}

static const struct sysfs_ops dmr_sysfs_ops = {.show = dmr_attr_show};
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

// SPDX-License-Identifier: GPL-2.0-or-later
// The figures of a volume: each is a file of sysfs and a line of the message `stats`.
// docs/sysfs.md describes each.
#include <linux/slab.h>

#include "kernel/dmr.h"

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

DMR_FIGURE(health_score, s->health_score);
DMR_FIGURE(writable, s->writable);
DMR_FIGURE(block_sectors, s->block_sectors);
DMR_FIGURE(volume_sectors, s->volume_sectors);
DMR_FIGURE(logical_block_bytes, s->logical_block_bytes);
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
DMR_FIGURE(failed_requests, c->failed[DMR_READ] + c->failed[DMR_WRITE] + c->failed[DMR_FLUSH] +
                                c->failed[DMR_DISCARD] + c->failed[DMR_WRITE_ZEROES]);
DMR_FIGURE(failed_read_requests, c->failed[DMR_READ]);
DMR_FIGURE(failed_write_requests, c->failed[DMR_WRITE] + c->failed[DMR_WRITE_ZEROES]);
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
DMR_FIGURE(scrub_position, s->scrub.position);
DMR_FIGURE(scrub_passes, s->scrub.passes);
DMR_FIGURE(scrub_read_sectors, s->scrub.read_sectors);
DMR_FIGURE(scrub_skipped_sectors, s->scrub.skipped_sectors);
DMR_FIGURE(scrub_failed_reads, s->scrub.failed_reads);
DMR_FIGURE(scrub_unreadable_blocks, s->scrub.unreadable_blocks);
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

#define POOL_ATTRS(name)                                                                \
  &attr_##name##_size.attr, &attr_##name##_in_use.attr, &attr_##name##_high_water.attr, \
      &attr_##name##_exhausted.attr

static struct attribute* number_attrs[] = {
    &attr_health_score.attr,
    &attr_writable.attr,
    &attr_block_sectors.attr,
    &attr_volume_sectors.attr,
    &attr_logical_block_bytes.attr,
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
    &attr_failed_requests.attr,
    &attr_failed_read_requests.attr,
    &attr_failed_write_requests.attr,
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
    &attr_scrub_position.attr,
    &attr_scrub_passes.attr,
    &attr_scrub_read_sectors.attr,
    &attr_scrub_skipped_sectors.attr,
    &attr_scrub_failed_reads.attr,
    &attr_scrub_unreadable_blocks.attr,
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
    NULL,
};

const struct attribute_group dmr_number_group = {.attrs = number_attrs};

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

static void dmr_free_figures(struct dmr_figures* figures) {
  kfree(figures->cpu);
  kfree(figures);
}

ssize_t dmr_show_number(struct dmr_target* t, const struct dmr_attr* attr, char* buf) {
  struct dmr_figures* figures = kzalloc(sizeof(*figures), GFP_NOIO);
  ssize_t r;

  if (!figures) return -ENOMEM;
  r = dmr_get_figures(t, figures);
  if (!r) r = sysfs_emit(buf, "%llu\n", attr->get(&figures->stats, figures->cpu));
  dmr_free_figures(figures);
  return r;
}

static const char* const error_names[DMR_ERROR_CLASSES] = {
    "none", "medium", "unspecified", "device", "not_disk",
};

static unsigned int dmr_print_member(struct dmr_target* t, const struct dmr_stats* stats,
                                     unsigned int m, char* result, unsigned int maxlen,
                                     unsigned int sz) {
  const struct dmr_member_stats* member = &stats->member[m];
  struct block_device* bdev = t->place[m];
  unsigned int i;

  DMEMIT("member_%u_state %s\n", m, dmr_member_state_name(member->state));
  if (bdev)
    DMEMIT("member_%u_device %u:%u\n", m, MAJOR(bdev->bd_dev), MINOR(bdev->bd_dev));
  else
    DMEMIT("member_%u_device -\n", m);
  DMEMIT("member_%u_sectors %llu\n", m, member->sectors);
  DMEMIT("member_%u_breaker_open %u\n", m, member->breaker_open);
  for (i = 1; i < DMR_ERROR_CLASSES; i++)
    DMEMIT("member_%u_read_errors_%s %llu\nmember_%u_write_errors_%s %llu\n", m, error_names[i],
           member->errors[0][i], m, error_names[i], member->errors[1][i]);
  if (m)
    DMEMIT(
        "member_%u_data_blocks %llu\nmember_%u_used_blocks %llu\n"
        "member_%u_free_blocks %llu\nmember_%u_bad_blocks %llu\n",
        m, member->data_blocks, m, member->used_blocks, m, member->free_blocks, m,
        member->bad_blocks);
  return sz;
}

// One `<key> <value>` a line; the name last of all, because anything may be in it.
int dmr_print_stats(struct dmr_target* t, char* result, unsigned int maxlen) {
  struct dmr_figures* figures = kzalloc(sizeof(*figures), GFP_NOIO);
  struct attribute** at;
  unsigned int sz = 0, m;
  int r;

  if (!figures) return -ENOMEM;
  r = dmr_get_figures(t, figures);
  if (r) goto out;
  DMEMIT("set %pUb\n", figures->stats.set);
  DMEMIT("state %s\n", dmr_state_name(t, &figures->stats));
  DMEMIT("read_only %u\n", t->read_only);
  DMEMIT("degraded %u\n", t->degraded);
  DMEMIT("read_only_by_failure %u\n", figures->stats.read_only_by_failure);
  DMEMIT("restored_older %u\n", figures->stats.restored_older);
  DMEMIT("events_total %llu\n", READ_ONCE(t->events_total));
  DMEMIT("scrub_state %s\n", dmr_scrub_state_name(t, &figures->stats));
  DMEMIT("scrub_kib_per_s %u\n", READ_ONCE(t->tunable[DMR_SCRUB_KIB_PER_S]));
  for (at = number_attrs; *at; at++) {
    struct dmr_attr* own = container_of(*at, struct dmr_attr, attr);

    DMEMIT("%s %llu\n", own->attr.name, own->get(&figures->stats, figures->cpu));
  }
  DMEMIT("members %u\n", figures->stats.members);
  for (m = 0; m < figures->stats.members; m++)
    sz = dmr_print_member(t, &figures->stats, m, result, maxlen, sz);
  DMEMIT("name %s\n", figures->stats.name);
out:
  dmr_free_figures(figures);
  return r;
}

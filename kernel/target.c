// SPDX-License-Identifier: GPL-2.0-or-later
// The target `remap`: its table line, its limits, its registration.
//   <start> <sectors> remap <main> <n> <spare 1> ... <spare n> [<#features> <feature>...]
// The constructor looks at devices only; the metadata is read when the device is resumed.
#include <linux/module.h>
#include <linux/slab.h>

#include "kernel/dmr.h"

static int dmr_get_devices(struct dmr_target* t, struct dm_arg_set* args) {
  static const struct dm_arg spares_arg = {
      1,
      DMR_MAX_MEMBERS - 1,
      "From 1 to 8 spares are possible",
  };
  struct dm_target* ti = t->ti;
  const char* main_path = dm_shift_arg(args);
  unsigned int spares, i;
  int r;

  if (!main_path) {
    ti->error = "Main device missing";
    return -EINVAL;
  }
  r = dm_read_arg_group(&spares_arg, args, &spares, &ti->error);
  if (r) return r;
  t->devices = spares + 1;
  for (i = 0; i < t->devices; i++) {
    const char* path = i ? dm_shift_arg(args) : main_path;

    if (!strcmp(path, "-")) continue;  // missing; the engine wants `degraded` for that
    r = dm_get_device(ti, path, dm_table_get_mode(ti->table), &t->dev[i]);
    if (r) {
      ti->error = "Device cannot be opened";
      return r;
    }
    if (bdev_is_zoned(t->dev[i]->bdev)) {
      ti->error = "Zoned devices cannot be members";
      return -EINVAL;
    }
  }
  return 0;
}

static int dmr_get_features(struct dmr_target* t, struct dm_arg_set* args) {
  static const struct dm_arg features_arg = {0, 2, "Too many features"};
  unsigned int features, i;
  int r;

  if (!args->argc) return 0;
  r = dm_read_arg_group(&features_arg, args, &features, &t->ti->error);
  if (r) return r;
  for (i = 0; i < features; i++) {
    const char* feature = dm_shift_arg(args);

    if (!strcmp(feature, "read_only"))
      t->read_only = true;
    else if (!strcmp(feature, "degraded"))
      t->degraded = true;
    else
      goto unknown;
  }
  if (!args->argc) return 0;
unknown:
  t->ti->error = "Unknown feature";
  return -EINVAL;
}

static void dmr_free(struct dmr_target* t) {
  unsigned int i;

  for (i = 0; i < DMR_MAX_MEMBERS; i++)
    if (t->dev[i]) dm_put_device(t->ti, t->dev[i]);
  if (t->wq) dmr_executor_exit(t);
  bioset_exit(&t->bios_set);
  free_percpu(t->cpu);
  mutex_destroy(&t->lock);
  kvfree(t);
}

static void dmr_announce(struct dm_target* ti, struct dmr_target* t) {
  struct block_device* main_bdev = t->dev[0] ? t->dev[0]->bdev : NULL;

  ti->num_flush_bios = t->devices;
  ti->flush_supported = true;
  ti->num_discard_bios = 1;
  ti->discards_supported = main_bdev && bdev_max_discard_sectors(main_bdev);
  ti->num_write_zeroes_bios = 1;
  ti->per_io_data_size = sizeof(struct dmr_bio);
}

static int dmr_ctr(struct dm_target* ti, unsigned int argc, char** argv) {
  struct dm_arg_set args = {.argc = argc, .argv = argv};
  struct dmr_target* t = kvzalloc(sizeof(*t), GFP_KERNEL);
  unsigned int i;
  int r = -ENOMEM;

  ti->error = "Not enough memory";
  if (!t) return r;
  t->ti = ti;
  mutex_init(&t->lock);
  INIT_LIST_HEAD(&t->registered);
  dmr_events_init(t);
  for (i = 0; i < DMR_TUNABLES; i++) t->tunable[i] = dmr_tunable_default(i);
  t->cpu = alloc_percpu(struct dmr_cpu);
  if (!t->cpu || bioset_init(&t->bios_set, 64, 0, BIOSET_NEED_BVECS) || dmr_executor_init(t))
    goto bad;
  r = dmr_get_devices(t, &args);
  if (!r) r = dmr_get_features(t, &args);
  if (r) goto bad;
  r = -EINVAL;
  ti->error = "The main device is smaller than the volume";
  if (t->dev[0] && bdev_nr_sectors(t->dev[0]->bdev) < ti->len) goto bad;
  ti->error = NULL;
  dmr_announce(ti, t);
  dmr_tables_add(t);
  ti->private = t;
  return 0;
bad:
  dmr_free(t);
  return r;
}

static void dmr_dtr(struct dm_target* ti) {
  struct dmr_target* t = ti->private;

  // Open still when another target of the table failed to resume.
  dmr_shut(t);
  dmr_events_stop(t);
  dmr_tables_remove(t);
  dmr_free(t);
}

static int dmr_iterate_devices(struct dm_target* ti, iterate_devices_callout_fn fn, void* data) {
  struct dmr_target* t = ti->private;
  unsigned int i;
  int r = t->dev[0] ? fn(ti, t->dev[0], 0, ti->len, data) : 0;

  for (i = 1; i < t->devices && !r; i++)
    if (t->dev[i]) r = fn(ti, t->dev[i], 0, bdev_nr_sectors(t->dev[i]->bdev), data);
  return r;
}

// A discard goes to main only, whatever the spares can do.
static void dmr_io_hints(struct dm_target* ti, struct queue_limits* limits) {
  struct dmr_target* t = ti->private;
  struct block_device* bdev = t->dev[0] ? t->dev[0]->bdev : NULL;

  if (!bdev || !bdev_max_discard_sectors(bdev)) return;
  limits->max_discard_sectors = bdev_max_discard_sectors(bdev);
  limits->max_hw_discard_sectors = bdev_max_discard_sectors(bdev);
  limits->discard_granularity = bdev_discard_granularity(bdev);
}

static struct target_type dmr_target_type = {
    .name = "remap",
    .version = {1, 0, 0},
    .features = DM_TARGET_NOWAIT,
    .module = THIS_MODULE,
    .ctr = dmr_ctr,
    .dtr = dmr_dtr,
    .map = dmr_map,
    .end_io = dmr_end_io,
    .presuspend = dmr_presuspend,
    .presuspend_undo = dmr_presuspend_undo,
    .postsuspend = dmr_postsuspend,
    .preresume = dmr_preresume,
    .resume = dmr_resume,
    .status = dmr_status,
    .message = dmr_message,
    .iterate_devices = dmr_iterate_devices,
    .io_hints = dmr_io_hints,
};

static int __init dmr_module_init(void) {
  int r = dmr_events_module_init();

  if (r) return r;
  dmr_sysfs_module_init();
  r = dm_register_target(&dmr_target_type);
  if (r) dmr_events_module_exit();
  return r;
}

static void __exit dmr_module_exit(void) {
  dm_unregister_target(&dmr_target_type);
  // Callbacks of ended grace periods lie in this module.
  rcu_barrier();
  dmr_events_module_exit();
}

module_init(dmr_module_init);
module_exit(dmr_module_exit);

MODULE_DESCRIPTION("Device mapper target that keeps bad sectors out of sight");
MODULE_AUTHOR("dm-remap");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1.0");

// SPDX-License-Identifier: GPL-2.0-or-later
// The shim's own types: one struct dmr_target for each target of a table, one struct dmr_bio in the
// per-bio data of each clone, one struct dmr_cpu for each CPU and target.
#pragma once

#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/completion.h>
#include <linux/device-mapper.h>
#include <linux/kobject.h>
#include <linux/llist.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/timer.h>
#include <linux/workqueue.h>

#include "kernel/compat.h"
#include "kernel/dmr_shim.h"

#define DM_MSG_PREFIX "remap"

// Flushes and held bios are counted behind the engine's slots, so that a close can wait for them.
#define DMR_OTHER_SLOT DMR_EPOCH_SLOTS
#define DMR_LATENCY_BUCKETS 20  // bucket i: below 2^i microseconds; the last: everything else
#define DMR_LATENCY_SAMPLE 64   // one request of so many is timed
#define DMR_EVENTS 256          // kept for the message `events`

enum dmr_path { DMR_PATH_FAST, DMR_PATH_SLOW, DMR_PATHS };

struct dmr_cpu {
  // The engine's epochs: requests of each slot that are on their devices.
  long in_flight[DMR_EPOCH_SLOTS + 1];
  unsigned int tick;
  u64 requests[5];  // by enum dmr_op
  u64 sectors[5];
  u64 path[DMR_PATHS];
  u64 failed[5];
  u64 latency[2][DMR_LATENCY_BUCKETS];
} ____cacheline_aligned;

enum dmr_bio_state {
  DMR_BIO_IDLE,    // nothing to do at its end
  DMR_BIO_DEVICE,  // on a member, counted in its epoch slot
  DMR_BIO_FLUSH,   // a flush of `member`
  DMR_BIO_HELD,    // the engine has it
};

struct dmr_bio {
  // As it was when it was sent to its member: a driver advances the bio's own.
  struct bvec_iter iter;
  u8 state;
  u8 member;
  u8 slot;
  unsigned long start_jiffies;
  u64 start_ns;  // 0: not one of the sample
  u64 sector;    // of the volume
  struct dmr_flush_ticket flush;
  struct llist_node node;
  struct dmr_target* target;
  struct dmr_request request;
};

struct dmr_logged_event {
  struct dmr_event event;
  u64 number;
  u64 time_ms;
};

struct dmr_target {
  // Hot path: written at open and close only.
  void* volume;  // the engine's, null while closed
  struct dmr_cpu __percpu* cpu;
  struct block_device* place[DMR_MAX_MEMBERS];  // by member number; null: missing
  bool running;
  bool suspending;     // commands of users end with their turn
  bool flush_latched;  // a member refused a flush: no write before the next resume
  u64 flush_refusals;  // the engine's count at the last resume

  struct dm_target* ti;
  struct dm_dev* dev[DMR_MAX_MEMBERS];  // as in the table: main, then spares; null for "-"
  unsigned int devices;
  bool read_only;
  bool degraded;
  u32 tunable[DMR_TUNABLES];
  unsigned int index;       // among the remap targets of its table
  struct list_head tables;  // all targets of the module

  // The executor.
  struct workqueue_struct* wq;
  struct work_struct work;
  struct llist_head ended_io;     // struct dmr_io_words
  struct llist_head ended_grace;  // struct dmr_grace
  struct llist_head bios;         // struct dmr_bio
  struct llist_head calls;        // struct dmr_call
  unsigned long wanted;           // DMR_WANT_* bits
  atomic_t flush_failures;        // bit m: spare m refused a flush
  u8 flush_status[DMR_MAX_MEMBERS];
  unsigned int pages_wanted;  // executor only
  struct timer_list timer;
  struct bio_set bios_set;

  struct dmr_scrub scrub;  // while the volume is closed: what it goes on with

  struct mutex lock;  // open, close, and whoever asks the engine
  struct list_head registered;
  u8 set[16];
  u64 volume_sectors;

  spinlock_t event_lock;
  struct dmr_logged_event events[DMR_EVENTS];
  u64 events_total;  // and number of the newest one: they count from 1
  u64 event_count[DMR_EVENT_KINDS];
  u64 events_sent;  // number of the last one that user space was told of
  struct work_struct event_work;

  struct kobject kobj;
  struct completion kobj_gone;
  bool kobj_there;
  struct dmr_folder* folder;
};

#define DMR_WANT_TIMER 0
#define DMR_WANT_DRAINS 1

// A function that runs on the executor while its caller waits.
struct dmr_call {
  struct llist_node node;
  void (*fn)(struct dmr_target* t, void* arg);
  void* arg;
  struct completion done;
};

// executor.c
int dmr_executor_init(struct dmr_target* t);
void dmr_executor_exit(struct dmr_target* t);
void dmr_kick(struct dmr_target* t);
void dmr_post(struct dmr_target* t, struct llist_node* node, struct llist_head* list);
void dmr_call(struct dmr_target* t, void (*fn)(struct dmr_target* t, void* arg), void* arg);

// host.c
#define DMR_IO_CONTINUE 0xff  // in dmr_io_words.status: the next bio of the same I/O
void dmr_host_continue(struct dmr_target* t, struct dmr_io_words* words);

// life.c
void dmr_presuspend(struct dm_target* ti);
void dmr_presuspend_undo(struct dm_target* ti);
int dmr_preresume(struct dm_target* ti);
void dmr_resume(struct dm_target* ti);
void dmr_postsuspend(struct dm_target* ti);
void dmr_shut(struct dmr_target* t);

// map.c
int dmr_map(struct dm_target* ti, struct bio* bio);
int dmr_end_io(struct dm_target* ti, struct bio* bio, blk_status_t* error);
bool dmr_flush_latched(struct dmr_target* t);  // while the volume is open
u8 dmr_io_status_of(blk_status_t status);

// registry.c
int dmr_registry_add(struct dmr_target* t, const char** why);
void dmr_registry_remove(struct dmr_target* t);
void dmr_tables_add(struct dmr_target* t);
void dmr_tables_remove(struct dmr_target* t);

// query.c: what users are shown, and may set
int dmr_get_stats(struct dmr_target* t, struct dmr_stats* stats);
int dmr_run_command(struct dmr_target* t, struct dmr_command* command);
int dmr_tune(struct dmr_target* t, unsigned int which, u64 value);
struct dmr_cpu* dmr_sum_cpus(struct dmr_target* t);

// scrub.c
void dmr_hold_scrub(struct dmr_target* t);
void dmr_release_scrub(struct dmr_target* t);
void dmr_keep_scrub(struct dmr_target* t);
void dmr_restore_scrub(struct dmr_target* t);
int dmr_scrub_message(struct dmr_target* t, unsigned int argc, char** argv, char* result,
                      unsigned int maxlen);
const char* dmr_scrub_state_name(const struct dmr_target* t, const struct dmr_stats* stats);

// message.c, status.c
int dmr_message(struct dm_target* ti, unsigned int argc, char** argv, char* result,
                unsigned int maxlen);
void dmr_status(struct dm_target* ti, status_type_t type, unsigned int flags, char* result,
                unsigned int maxlen);
const char* dmr_state_name(const struct dmr_target* t, const struct dmr_stats* stats);
const char* dmr_member_state_name(unsigned int state);

// events.c
int dmr_events_module_init(void);
void dmr_events_module_exit(void);
void dmr_events_init(struct dmr_target* t);
void dmr_events_stop(struct dmr_target* t);
const char* dmr_event_name(unsigned int kind);
const char* dmr_io_status_name(unsigned int status);

// figures.c
struct dmr_attr {
  struct attribute attr;
  u64 (*get)(const struct dmr_stats* s, const struct dmr_cpu* c);
  ssize_t (*show)(struct dmr_target* t, char* buf);
};
extern const struct attribute_group dmr_number_group;
ssize_t dmr_show_number(struct dmr_target* t, const struct dmr_attr* attr, char* buf);
int dmr_print_stats(struct dmr_target* t, char* result, unsigned int maxlen);

// sysfs.c
void dmr_sysfs_module_init(void);
void dmr_sysfs_add(struct dmr_target* t);
void dmr_sysfs_remove(struct dmr_target* t);

// SPDX-License-Identifier: GPL-2.0-or-later
// dmsetup message NAME SECTOR ...; each answers with text.
//   mark SECTOR[+COUNT]     moves what lies there to a spare
//   forget SECTOR[+COUNT]   brings it home to main; both tell where they left a rest, if any
//   checkpoint              writes the map in full
//   map [BLOCK]             the runs that are not plain, from BLOCK on
//   scrub start [SECTOR]    reads the whole volume in the background; also pause, stop, rate KIB
//   events [NUMBER]         the events that are kept and newer than NUMBER
//   stats                   all that is known of the volume and its members, one figure a line
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "kernel/dmr.h"

#define DMR_MAP_RUNS 256  // of one answer; the last line says where to go on

static int dmr_parse_range(const char* text, struct dmr_command* command) {
  char copy[48], *plus;

  if (strscpy(copy, text, sizeof(copy)) < 0) return -EINVAL;
  plus = strchr(copy, '+');
  command->sectors = 1;
  if (plus) {
    *plus = '\0';
    if (kstrtou64(plus + 1, 10, &command->sectors)) return -EINVAL;
  }
  return kstrtou64(copy, 10, &command->begin) || !command->sectors ? -EINVAL : 0;
}

// Turn by turn: a suspend, which waits for this message, or a signal leaves a rest.
static int dmr_run_turns(struct dmr_target* t, struct dmr_command* command) {
  u64 end = command->begin + command->sectors, changed = 0, unchanged = 0, lost = 0, bad_sector = 0;
  bool begun = false;
  int error = 0, r;

  do {
    r = dmr_run_command(t, command);
    if (begun && r == -EAGAIN) break;
    begun = true;
    if (r && !error) {
      error = r;
      bad_sector = command->bad_sector;
    }
    changed += command->changed;
    unchanged += command->unchanged;
    lost += command->lost;
    command->begin = command->rest;
    command->sectors = end - command->rest;
  } while (command->has_rest && !READ_ONCE(t->suspending) && !signal_pending(current));
  command->changed = changed;
  command->unchanged = unchanged;
  command->lost = lost;
  command->bad_sector = bad_sector;
  return error;
}

static int dmr_command_message(struct dmr_target* t, u8 kind, const char* range, char* result,
                               unsigned int maxlen) {
  struct dmr_command* command = kzalloc(sizeof(*command), GFP_NOIO);
  unsigned int sz = 0;
  int r = 0;

  if (!command) return -ENOMEM;
  command->kind = kind;
  if (range) r = dmr_parse_range(range, command);
  if (!r) r = range ? dmr_run_turns(t, command) : dmr_run_command(t, command);
  // What was done before a block failed stays done: the answer tells of both.
  if (range && r != -EINVAL && r != -EAGAIN) {
    DMEMIT("changed %llu unchanged %llu lost %llu", command->changed, command->unchanged,
           command->lost);
    if (r) DMEMIT(" failed %d at %llu", -r, command->bad_sector);
    if (command->has_rest) DMEMIT(" rest %llu", command->rest);
    r = 0;
  } else if (!r) {
    DMEMIT("ok");
  }
  kfree(command);
  return r < 0 ? r : 1;
}

struct dmr_map_query {
  u64 cursor;
  unsigned int count;
  bool more;
  struct dmr_run run[DMR_MAP_RUNS];
};

static void dmr_read_map(struct dmr_target* t, void* arg) {
  struct dmr_map_query* query = arg;

  while (query->count < DMR_MAP_RUNS &&
         dmr_volume_next_run(t->volume, &query->cursor, &query->run[query->count]))
    query->count++;
  query->more = query->count == DMR_MAP_RUNS;
}

// <block> <length> <member> <spare block> <lost: none, all, or the mask>
static void dmr_print_map(const struct dmr_map_query* query, char* result, unsigned int maxlen) {
  unsigned int sz = 0, i;

  for (i = 0; i < query->count; i++) {
    const struct dmr_run* run = &query->run[i];

    DMEMIT("%llu %llu %u %llu ", run->block, run->length, run->member, run->home);
    if (run->lost == 2)
      DMEMIT("%016llx%016llx\n", run->lost_high, run->lost_low);
    else
      DMEMIT("%s\n", run->lost ? "all" : "none");
  }
  if (query->more)
    DMEMIT("more %llu\n", query->cursor);
  else
    DMEMIT("end\n");
}

static int dmr_map_message(struct dmr_target* t, u64 from, char* result, unsigned int maxlen) {
  struct dmr_map_query* query = kvzalloc(sizeof(*query), GFP_NOIO);
  int r = -EAGAIN;

  if (!query) return -ENOMEM;
  query->cursor = from;
  mutex_lock(&t->lock);
  if (t->running) {
    dmr_call(t, dmr_read_map, query);
    r = 1;
  }
  mutex_unlock(&t->lock);
  if (r == 1) dmr_print_map(query, result, maxlen);
  kvfree(query);
  return r;
}

// <number> <unix milliseconds> <kind> <member> <sector> <sectors> <status>
static int dmr_events_message(struct dmr_target* t, u64 after, char* result, unsigned int maxlen) {
  struct dmr_logged_event logged;
  unsigned int sz = 0;
  u64 newest = READ_ONCE(t->events_total);
  u64 number = newest > DMR_EVENTS ? newest - DMR_EVENTS : 0;

  number = max(after, number);
  while (number < newest) {
    number++;
    spin_lock_irq(&t->event_lock);
    logged = t->events[number % DMR_EVENTS];
    spin_unlock_irq(&t->event_lock);
    if (logged.number != number) continue;  // overwritten meanwhile
    DMEMIT("%llu %llu %s %u %llu %llu %s\n", logged.number, logged.time_ms,
           dmr_event_name(logged.event.kind), logged.event.member, logged.event.sector,
           logged.event.sectors, dmr_io_status_name(logged.event.status));
  }
  DMEMIT("newest %llu\n", newest);
  return 1;
}

int dmr_message(struct dm_target* ti, unsigned int argc, char** argv, char* result,
                unsigned int maxlen) {
  struct dmr_target* t = ti->private;
  u64 number = 0;
  int r;

  if (argc == 2 && !strcmp(argv[0], "mark"))
    return dmr_command_message(t, DMR_MARK, argv[1], result, maxlen);
  if (argc == 2 && !strcmp(argv[0], "forget"))
    return dmr_command_message(t, DMR_FORGET, argv[1], result, maxlen);
  if (argc == 1 && !strcmp(argv[0], "checkpoint"))
    return dmr_command_message(t, DMR_CHECKPOINT, NULL, result, maxlen);
  if (argc && !strcmp(argv[0], "scrub")) return dmr_scrub_message(t, argc, argv, result, maxlen);
  if (argc == 1 && !strcmp(argv[0], "stats")) {
    r = dmr_print_stats(t, result, maxlen);
    return r ? r : 1;
  }
  if (argc < 1 || argc > 2 || (argc == 2 && kstrtou64(argv[1], 10, &number))) return -EINVAL;
  if (!strcmp(argv[0], "map")) return dmr_map_message(t, number, result, maxlen);
  if (!strcmp(argv[0], "events")) return dmr_events_message(t, number, result, maxlen);
  return -EINVAL;
}

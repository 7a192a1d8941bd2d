// SPDX-License-Identifier: GPL-2.0-or-later
// The border between the C shim, which knows the kernel, and the C++ glue, which knows the engine:
// fixed-width types and C functions only, because kernel headers do not compile as C++.
// dmr_volume_*, dmr_io_*, dmr_bio_*, dmr_grace_* are the glue's, dmr_host_* the shim's. `target` is
// always the shim's struct dmr_target, `volume` the glue's object.
#pragma once

#ifdef __cplusplus
#include <cstddef>
#include <cstdint>
extern "C" {
#else
#include <linux/types.h>
#endif

#define DMR_MAX_MEMBERS 9
#define DMR_EPOCH_SLOTS 32
#define DMR_MAX_REQUEST_SECTORS 8192
#define DMR_ERROR_CLASSES 5
#define DMR_STATUS_COUNT 11
#define DMR_EVENT_KINDS 19
#define DMR_MEMBER_STATES 5
#define DMR_TUNABLES 8
#define DMR_SCRUB_KIB_PER_S 7  // the number of that one
#define DMR_MAP_SLICES 64

// Values of the engine's enums; the glue asserts that they are the same.
enum dmr_op { DMR_READ, DMR_WRITE, DMR_FLUSH, DMR_DISCARD, DMR_WRITE_ZEROES };

enum dmr_io_status {
  DMR_IO_OK,
  DMR_IO_MEDIUM,
  DMR_IO_UNSPECIFIED,
  DMR_IO_TRANSPORT,
  DMR_IO_TIMEOUT,
  DMR_IO_OFFLINE,
  DMR_IO_NO_SPACE,
  DMR_IO_READ_ONLY,
  DMR_IO_UNSUPPORTED,
  DMR_IO_AGAIN,
  DMR_IO_RESOURCE,
};

enum dmr_route_kind {
  DMR_ROUTE_DEVICE,
  DMR_ROUTE_LOST,
  DMR_ROUTE_HELD,
  DMR_ROUTE_GONE,
  DMR_ROUTE_SLOW,
};

enum dmr_command_kind { DMR_MARK, DMR_FORGET, DMR_CHECKPOINT };
enum dmr_scrub_action { DMR_SCRUB_START, DMR_SCRUB_PAUSE, DMR_SCRUB_STOP };
enum dmr_scrub_state {
  DMR_SCRUB_IDLE,
  DMR_SCRUB_RUNNING,
  DMR_SCRUB_PAUSED,
  DMR_SCRUB_HELD,
  DMR_SCRUB_STATES,
};

struct dmr_route {
  uint8_t kind;
  uint8_t member;
  uint8_t direct;  // the host sends it to the member
  uint32_t sectors;
  uint64_t sector;
};

// The host's words in one device I/O of the engine.
struct dmr_io_words {
  void* link;  // struct llist_node
  void* target;
  uint64_t time_ns;  // of submission, then: how long it took
  uint32_t done_sectors;
  uint32_t status;
};

// What such an I/O is to do.
struct dmr_io_params {
  uint64_t sector;
  uint32_t sectors;
  uint8_t member;
  uint8_t op;
  uint8_t fua;
  void* buffer;
  void* payload;  // the bio's data as given to dmr_volume_submit, or null
  uint64_t payload_offset;
};

// The engine's GraceWork, seen from here: the host owns `link` and `words`.
struct dmr_grace {
  void* link;  // the target, then struct llist_node
  void* done;
  void* context;
  void* words[2];  // struct rcu_head
};

// A bio that the engine has to finish, in the bio's own per-bio data.
#define DMR_REQUEST_WORDS 20
struct dmr_request {
  uint64_t engine[DMR_REQUEST_WORDS];  // the glue's
  uint64_t sector;
  uint64_t elapsed_ns;
  uint32_t sectors;
  uint8_t op;
  uint8_t fua;
  uint8_t error;   // how the device I/O failed, DMR_IO_OK when none was tried
  uint8_t status;  // result: an errno, 0 for success
  uint8_t member;  // of a flush
};

struct dmr_member_config {
  uint64_t sectors;
  uint32_t logical_block_bytes;
  uint8_t present;
  uint8_t native_fua;  // a FUA write is one command to it
  uint8_t has_cache;
};

struct dmr_open {
  struct dmr_member_config member[DMR_MAX_MEMBERS];
  uint32_t members;
  uint8_t read_only;
  uint8_t allow_degraded;
  uint32_t tunable[DMR_TUNABLES];
  void* waiter;             // dmr_host_wake() is called with it at the end
  int error;                // result: negative errno
  uint64_t volume_sectors;  // result
  char message[128];        // result: what was wrong, or ""
  uint64_t engine[6];
};

struct dmr_close {
  void* waiter;
  int error;
  uint64_t engine[6];
};

#define DMR_COMMAND_WORDS 16
struct dmr_command {
  uint64_t begin;
  uint64_t sectors;
  uint8_t kind;
  void* waiter;
  int error;  // results
  uint64_t changed;
  uint64_t unchanged;
  uint64_t lost;
  uint64_t bad_sector;
  uint64_t rest;  // all before it has been dealt with
  uint8_t has_rest;
  uint64_t engine[DMR_COMMAND_WORDS];
};

struct dmr_run {
  uint64_t block;
  uint64_t length;
  uint64_t home;  // spare block, 0 with member 0
  uint64_t lost_low;
  uint64_t lost_high;
  uint8_t member;
  uint8_t lost;  // 0 none, 1 all, 2 some
};

struct dmr_pool_stats {
  uint64_t size;
  uint64_t in_use;
  uint64_t high_water;
  uint64_t exhausted;
};

enum dmr_pool { DMR_POOL_HEALTH, DMR_POOL_IO, DMR_POOL_WORK, DMR_POOL_BUFFERS, DMR_POOLS };

struct dmr_member_stats {
  uint8_t state;  // as on disk: the superblock's member state
  uint8_t breaker_open;
  uint64_t sectors;
  uint64_t data_blocks;
  uint64_t used_blocks;
  uint64_t free_blocks;
  uint64_t bad_blocks;
  uint64_t errors[2][DMR_ERROR_CLASSES];
};

// The engine's ScrubStats.
struct dmr_scrub {
  uint8_t state;
  uint64_t position;
  uint64_t passes;
  uint64_t read_sectors;
  uint64_t skipped_sectors;
  uint64_t failed_reads;
  uint64_t unreadable_blocks;
};

struct dmr_stats {
  uint8_t writable;
  uint8_t read_only_by_failure;
  uint8_t restored_older;
  uint32_t members;
  uint32_t block_sectors;
  uint32_t logical_block_bytes;
  uint32_t health_score;
  uint64_t volume_sectors;
  uint64_t remapped_blocks;
  uint64_t lost_sectors;
  uint64_t runs;
  uint64_t weak_blocks;
  uint64_t index_bytes;
  uint64_t recovered_reads;
  uint64_t failed_reads;
  uint64_t redirected_writes;
  uint64_t retried_writes;
  uint64_t failed_writes;
  uint64_t relocated_blocks;
  uint64_t returned_blocks;
  uint64_t held_requests;
  uint64_t commits;
  uint64_t commit_records;
  uint64_t commit_flushes;
  uint64_t checkpoints;
  struct dmr_scrub scrub;
  struct dmr_pool_stats pool[DMR_POOLS];
  struct dmr_member_stats member[DMR_MAX_MEMBERS];
  uint8_t set[16];
  char name[64];
};

// Main in DMR_MAP_SLICES equal parts: `.` nothing, `r` remapped blocks, `l` lost sectors.
struct dmr_slices {
  uint64_t cursor;  // block to go on with
  uint8_t done;
  char kind[DMR_MAP_SLICES];
};

struct dmr_event {
  uint8_t kind;
  uint8_t member;
  uint8_t status;
  uint64_t sector;
  uint64_t sectors;
};

// ---- glue: any context, between open and close; route inside an RCU read section ----
uint32_t dmr_volume_slot(const void* volume, uint64_t sector);
struct dmr_route dmr_volume_route(const void* volume, uint64_t sector, uint32_t sectors, uint8_t op,
                                  uint8_t fua);
uint8_t dmr_volume_writable(const void* volume);
uint8_t dmr_volume_drain_pending(const void* volume, uint32_t slot);
// Whether this member has to be flushed. If so, the ticket goes to exactly one of the next two.
struct dmr_flush_ticket {
  uint64_t token;
  uint8_t lane;
};
uint8_t dmr_volume_flush_begin(void* volume, uint8_t member, struct dmr_flush_ticket* ticket);
// It succeeded. 0: beside another flush whose outcome is not known yet; submit a request with
// DMR_FLUSH and this member, and answer when that is done.
uint8_t dmr_volume_flushed(void* volume, uint8_t member, const struct dmr_flush_ticket* ticket);
void dmr_volume_flush_refused(void* volume, uint8_t member, const struct dmr_flush_ticket* ticket);
// After either: whether the executor has to call dmr_volume_check_drains().
uint8_t dmr_volume_flush_awaited(const void* volume, uint8_t member);
// Flushes that any member refused, the engine's own included. To be compared when a user's flush
// has completed, also where no member had to be flushed.
uint64_t dmr_volume_flush_refusals(const void* volume);
void dmr_volume_spare_written(void* volume, uint8_t member);
// A write there failed; before it leaves its slot.
void dmr_volume_spare_write_failed(void* volume, uint8_t member, uint64_t sector, uint32_t sectors,
                                   uint8_t status);

// ---- glue: executor only ----
size_t dmr_volume_bytes(void);
void dmr_volume_construct(void* memory, void* target);
void dmr_volume_destroy(void* volume);
void dmr_volume_open(void* volume, struct dmr_open* open);
void dmr_volume_close(void* volume, struct dmr_close* close);
uint8_t dmr_volume_run(void* volume);
void dmr_volume_submit(void* volume, struct dmr_request* request);
void dmr_volume_command(void* volume, struct dmr_command* command);
// Negative errno: nothing to pause, or `from` lies outside.
int dmr_volume_scrub(void* volume, uint8_t action, uint64_t from);
// Also when the volume is closed, to be restored after the next open.
void dmr_volume_keep_scrub(const void* volume, struct dmr_scrub* scrub);
void dmr_volume_restore_scrub(void* volume, const struct dmr_scrub* scrub);
// 1: begins no read any more; 0: goes on with what users have ordered.
void dmr_volume_hold_scrub(void* volume, uint8_t on);
void dmr_volume_timer(void* volume);
void dmr_volume_check_drains(void* volume);
void dmr_volume_flush_failed(void* volume, uint8_t member, uint8_t status);
void dmr_volume_give_page(void* volume, void* page);
// After a refused flush the shim takes no writes: that is part of how the volume is.
void dmr_volume_stats(const void* volume, uint8_t flush_refused, struct dmr_stats* stats);
uint8_t dmr_volume_next_run(const void* volume, uint64_t* cursor, struct dmr_run* run);
// Looks at a bounded part of the map; to be called until it is done.
void dmr_volume_slices(const void* volume, struct dmr_slices* slices);
void dmr_volume_tune(void* volume, uint32_t tunable, uint32_t value);
void dmr_io_describe(const struct dmr_io_words* words, struct dmr_io_params* params);
void dmr_io_done(struct dmr_io_words* words);
void dmr_grace_done(struct dmr_grace* grace);

// ---- glue: any context ----
const char* dmr_tunable_name(uint32_t tunable);
uint32_t dmr_tunable_default(uint32_t tunable);
uint8_t dmr_tunable_allows(uint32_t tunable, uint64_t value);

// ---- glue: before open, any sleeping context ----
// Where the newest superblock found on a spare says that it belongs. 0: nothing of ours, -errno.
int dmr_find_member(void* target, uint32_t device, uint64_t sectors, void* block, uint8_t* member,
                    uint8_t set[16]);

// ---- shim ----
void dmr_host_submit(void* target, struct dmr_io_words* words);
uint64_t dmr_host_now_ns(void);
void dmr_host_wake_at(void* target, uint64_t deadline_ns);
void dmr_host_after_grace(void* target, struct dmr_grace* grace);
int64_t dmr_host_in_flight(void* target, uint32_t slot);
void* dmr_host_allocate(size_t bytes, size_t alignment);
void dmr_host_release(void* memory);
void dmr_host_request_pages(void* target, uint32_t count);
void dmr_host_random(void* out, size_t bytes);
void dmr_host_event(void* target, const struct dmr_event* event);
void dmr_host_copy_out(struct dmr_request* request, uint64_t offset, void* to, size_t bytes);
void dmr_host_copy_in(struct dmr_request* request, uint64_t offset, const void* from, size_t bytes);
void dmr_host_request_done(struct dmr_request* request);
void dmr_host_wake(void* waiter);
int dmr_host_read_sync(void* target, uint32_t device, uint64_t sector, void* block);
void dmr_assertion_failed(const char* file, int line, const char* text);

#ifdef __cplusplus
}
#endif

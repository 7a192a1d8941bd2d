// SPDX-License-Identifier: GPL-2.0-or-later
// The hot path: a bio is routed, pointed at its member, and counted in its epoch until it comes
// back. No lock, no allocation. What cannot be finished like this goes to the executor; the bio is
// held meanwhile, and everything that recovery needs lies in its per-bio data.
#include "kernel/dmr.h"

static bool dmr_is_write(enum req_op op) { return op == REQ_OP_WRITE || op == REQ_OP_WRITE_ZEROES; }

static u8 dmr_op_of(enum req_op op) {
  switch (op) {
    case REQ_OP_READ:
      return DMR_READ;
    case REQ_OP_DISCARD:
      return DMR_DISCARD;
    case REQ_OP_WRITE_ZEROES:
      return DMR_WRITE_ZEROES;
    default:
      return DMR_WRITE;
  }
}

// What drivers mean by their BLK_STS_*; the engine decides which of these may mark a block.
u8 dmr_io_status_of(blk_status_t status) {
  switch (status) {
    case BLK_STS_OK:
      return DMR_IO_OK;
    case BLK_STS_MEDIUM:
      return DMR_IO_MEDIUM;
    case BLK_STS_TARGET:
    case BLK_STS_IOERR:
      return DMR_IO_UNSPECIFIED;
    case BLK_STS_TIMEOUT:
      return DMR_IO_TIMEOUT;
    case BLK_STS_OFFLINE:
      return DMR_IO_OFFLINE;
    case BLK_STS_NOSPC:
      return DMR_IO_NO_SPACE;
    case BLK_STS_NOTSUPP:
      return DMR_IO_UNSUPPORTED;
    case BLK_STS_AGAIN:
      return DMR_IO_AGAIN;
    case BLK_STS_RESOURCE:
    case BLK_STS_DEV_RESOURCE:
      return DMR_IO_RESOURCE;
    default:  // transport, reservations, and what no kernel of today returns: marks nothing
      return DMR_IO_TRANSPORT;
  }
}

static void dmr_enter(struct dmr_target* t, unsigned int slot) {
  this_cpu_inc(t->cpu->in_flight[slot]);
}

// Ends with the device I/O, before a failed bio queues for recovery: else it would wait for itself.
static void dmr_leave(struct dmr_target* t, unsigned int slot) {
  bool drain;

  rcu_read_lock();
  // What the I/O did is seen by whoever sees the counter.
  smp_wmb();
  this_cpu_dec(t->cpu->in_flight[slot]);
  drain = dmr_volume_drain_pending(t->volume, slot);
  if (unlikely(drain) && !test_and_set_bit(DMR_WANT_DRAINS, &t->wanted)) dmr_kick(t);
  rcu_read_unlock();
}

// Whether a flush was refused since the last resume, the engine's own ones included: what such a
// one has lost belongs to users, too, and is flushed by nobody any more. It holds from the refusal
// on, not only from the next flush: a FUA write would else be acknowledged on top of the loss.
bool dmr_flush_latched(struct dmr_target* t) {
  if (unlikely(READ_ONCE(t->flush_latched))) return true;
  if (likely(dmr_volume_flush_refusals(t->volume) == t->flush_refusals)) return false;
  WRITE_ONCE(t->flush_latched, true);
  return true;
}

static void dmr_count(struct dmr_target* t, struct dmr_bio* b, struct bio* bio, u8 op) {
  struct dmr_cpu* cpu = get_cpu_ptr(t->cpu);

  cpu->requests[op]++;
  cpu->sectors[op] += bio_sectors(bio);
  b->start_ns = 0;
  if (unlikely(++cpu->tick % DMR_LATENCY_SAMPLE == 0) && op <= DMR_WRITE)
    b->start_ns = ktime_get_ns();
  put_cpu_ptr(t->cpu);
  b->start_jiffies = jiffies;
}

static void dmr_sample(struct dmr_target* t, struct dmr_bio* b, bool write) {
  u64 us = (ktime_get_ns() - b->start_ns) / 1000;
  unsigned int bucket = min_t(unsigned int, fls64(us), DMR_LATENCY_BUCKETS - 1);

  this_cpu_inc(t->cpu->latency[write][bucket]);
}

// To the engine; counted in DMR_OTHER_SLOT already. `error` is how its device I/O failed.
static void dmr_hold(struct dmr_target* t, struct dmr_bio* b, struct bio* bio, u8 error) {
  struct dmr_request* request = &b->request;

  this_cpu_inc(t->cpu->path[DMR_PATH_SLOW]);
  b->state = DMR_BIO_HELD;
  b->target = t;
  request->sector = b->sector;
  request->sectors = b->iter.bi_size >> SECTOR_SHIFT;
  request->op = dmr_op_of(bio_op(bio));
  request->fua = !!(bio->bi_opf & REQ_FUA);
  request->error = error;
  request->elapsed_ns = error == DMR_IO_OK ? 0 : jiffies_to_nsecs(jiffies - b->start_jiffies);
  dmr_post(t, &b->node, &t->bios);
}

// What users may do something about: no spare block is left. All else is an I/O error to them.
static blk_status_t dmr_blk_status_of(u8 error) {
  if (likely(!error)) return BLK_STS_OK;
  return error == ENOSPC ? BLK_STS_NOSPC : BLK_STS_IOERR;
}

// The engine is done: the bio ends, and comes by dmr_end_io() once more.
void dmr_host_request_done(struct dmr_request* request) {
  struct dmr_bio* b = container_of(request, struct dmr_bio, request);
  struct bio* bio = dm_bio_from_per_bio_data(b, sizeof(*b));
  struct dmr_target* t = b->target;

  b->state = DMR_BIO_IDLE;
  bio->bi_status = dmr_blk_status_of(request->status);
  // It waited for the outcome of another flush, and that one was refused.
  if (request->op == DMR_FLUSH && dmr_flush_latched(t)) bio->bi_status = BLK_STS_IOERR;
  if (unlikely(bio->bi_status)) this_cpu_inc(t->cpu->failed[request->op]);
  bio_clear_flag(bio, BIO_QOS_THROTTLED);
  bio_clear_flag(bio, BIO_QOS_MERGED);
  bio_endio(bio);
  this_cpu_dec(t->cpu->in_flight[DMR_OTHER_SLOT]);
}

// A flush reaches every member that may hold something new: one clone for each.
static int dmr_map_flush(struct dmr_target* t, struct dmr_bio* b, struct bio* bio) {
  unsigned int member = dm_bio_get_target_bio_nr(bio);

  if (member == 0) this_cpu_inc(t->cpu->requests[DMR_FLUSH]);
  if (unlikely(READ_ONCE(t->flush_latched))) return DM_MAPIO_KILL;
  if (!t->place[member] || !dmr_volume_flush_begin(t->volume, member, &b->flush)) {
    // Looked at after the engine has said that nothing is to be flushed: a refusal is counted
    // before it lets that be said.
    if (unlikely(dmr_flush_latched(t))) return DM_MAPIO_KILL;
    bio_endio(bio);
    return DM_MAPIO_SUBMITTED;
  }
  dmr_enter(t, DMR_OTHER_SLOT);
  b->state = DMR_BIO_FLUSH;
  b->member = member;
  bio_set_dev(bio, t->place[member]);
  return DM_MAPIO_REMAPPED;
}

static int dmr_map_slow(struct dmr_target* t, struct dmr_bio* b, struct bio* bio,
                        struct dmr_route route) {
  enum req_op op = bio_op(bio);

  if (op == REQ_OP_READ && route.kind != DMR_ROUTE_HELD)
    return DM_MAPIO_KILL;  // lost, or its member is gone
  if (op == REQ_OP_DISCARD && route.kind != DMR_ROUTE_HELD) {
    bio_endio(bio);  // a hint; what lies on a spare stays
    return DM_MAPIO_SUBMITTED;
  }
  if (bio->bi_opf & REQ_NOWAIT) {
    bio_wouldblock_error(bio);
    return DM_MAPIO_SUBMITTED;
  }
  if (bio_sectors(bio) > DMR_MAX_REQUEST_SECTORS)
    dm_accept_partial_bio(bio, DMR_MAX_REQUEST_SECTORS);
  b->iter = bio->bi_iter;
  dmr_enter(t, DMR_OTHER_SLOT);
  dmr_hold(t, b, bio, DMR_IO_OK);
  return DM_MAPIO_SUBMITTED;
}

static int dmr_map_bio(struct dmr_target* t, struct dm_target* ti, struct bio* bio) {
  struct dmr_bio* b = dm_per_bio_data(bio, sizeof(*b));
  enum req_op op = bio_op(bio);
  struct dmr_route route;
  u32 sectors;

  b->state = DMR_BIO_IDLE;
  if (unlikely(!READ_ONCE(t->running))) return DM_MAPIO_KILL;
  if (unlikely(bio->bi_opf & REQ_PREFLUSH)) return dmr_map_flush(t, b, bio);
  if (op != REQ_OP_READ && unlikely(dmr_flush_latched(t) || !dmr_volume_writable(t->volume)))
    return DM_MAPIO_KILL;

  b->sector = dm_target_offset(ti, bio->bi_iter.bi_sector);
  sectors = bio_sectors(bio);
  // Larger ones could not be recovered in one piece.
  if (op != REQ_OP_DISCARD) sectors = min_t(u32, sectors, DMR_MAX_REQUEST_SECTORS);

  rcu_read_lock();
  b->slot = dmr_volume_slot(t->volume, b->sector);
  dmr_enter(t, b->slot);
  route = dmr_volume_route(t->volume, b->sector, sectors, dmr_op_of(op), !!(bio->bi_opf & REQ_FUA));
  rcu_read_unlock();

  if (unlikely(route.sectors < bio_sectors(bio))) dm_accept_partial_bio(bio, route.sectors);
  dmr_count(t, b, bio, dmr_op_of(op));
  if (unlikely(!route.direct)) {
    dmr_leave(t, b->slot);
    return dmr_map_slow(t, b, bio, route);
  }
  this_cpu_inc(t->cpu->path[DMR_PATH_FAST]);
  b->state = DMR_BIO_DEVICE;
  b->member = route.member;
  bio_set_dev(bio, t->place[route.member]);
  bio->bi_iter.bi_sector = route.sector;
  b->iter = bio->bi_iter;
  return DM_MAPIO_REMAPPED;
}

static u8 dmr_failing_op(const struct bio* bio) {
  return bio->bi_opf & REQ_PREFLUSH ? DMR_FLUSH : dmr_op_of(bio_op(bio));
}

int dmr_map(struct dm_target* ti, struct bio* bio) {
  struct dmr_target* t = ti->private;
  int r = dmr_map_bio(t, ti, bio);

  if (unlikely(r == DM_MAPIO_KILL)) this_cpu_inc(t->cpu->failed[dmr_failing_op(bio)]);
  return r;
}

// A flush that went well beside one whose outcome is not known yet: the other one, when refused,
// may have dropped what this one was to make durable. It is held until the engine knows.
static void dmr_hold_flush(struct dmr_target* t, struct dmr_bio* b) {
  struct dmr_request* request = &b->request;

  b->state = DMR_BIO_HELD;
  b->target = t;
  request->sector = 0;
  request->sectors = 0;
  request->op = DMR_FLUSH;
  request->fua = 0;
  request->member = b->member;
  request->error = DMR_IO_OK;
  request->elapsed_ns = 0;
  dmr_post(t, &b->node, &t->bios);
}

// The device mapper sends the data of a PREFLUSH write whatever became of the flush. So that no
// refused flush is acknowledged after all, writes fail from here on, until the next resume.
static int dmr_flush_ended(struct dmr_target* t, struct dmr_bio* b, blk_status_t* error) {
  bool alone = true;

  if (!*error) {
    alone = dmr_volume_flushed(t->volume, b->member, &b->flush);
    // Refused before, or at the same time, for somebody else: this one's data may be gone, too.
    if (alone && dmr_flush_latched(t)) *error = BLK_STS_IOERR;
  } else {
    WRITE_ONCE(t->flush_latched, true);
    WRITE_ONCE(t->flush_status[b->member], dmr_io_status_of(*error));
    smp_mb__before_atomic();
    atomic_or(1 << b->member, &t->flush_failures);
    dmr_volume_flush_refused(t->volume, b->member, &b->flush);
    dmr_kick(t);
  }
  if (unlikely(dmr_volume_flush_awaited(t->volume, b->member)) &&
      !test_and_set_bit(DMR_WANT_DRAINS, &t->wanted))
    dmr_kick(t);
  if (unlikely(!alone)) {
    dmr_hold_flush(t, b);  // stays counted; the bio may be gone after this
    return DM_ENDIO_INCOMPLETE;
  }
  if (unlikely(*error)) this_cpu_inc(t->cpu->failed[DMR_FLUSH]);
  smp_wmb();
  this_cpu_dec(t->cpu->in_flight[DMR_OTHER_SLOT]);
  return DM_ENDIO_DONE;
}

static int dmr_device_failed(struct dmr_target* t, struct dmr_bio* b, struct bio* bio,
                             blk_status_t* error) {
  u8 status = dmr_io_status_of(*error);

  if (b->member != 0 && dmr_is_write(bio_op(bio)))
    dmr_volume_spare_write_failed(t->volume, b->member, b->iter.bi_sector,
                                  b->iter.bi_size >> SECTOR_SHIFT, status);
  if (bio_op(bio) == REQ_OP_DISCARD) {
    *error = BLK_STS_OK;  // a hint
    dmr_leave(t, b->slot);
    return DM_ENDIO_DONE;
  }
  // Made to fail fast: read-ahead is read again by whoever needs it, AGAIN is the answer that
  // a request with NOWAIT wants, and a command that the device does not know is no error.
  if (status == DMR_IO_UNSUPPORTED || (bio->bi_opf & REQ_RAHEAD) ||
      (status == DMR_IO_AGAIN && (bio->bi_opf & REQ_NOWAIT))) {
    this_cpu_inc(t->cpu->failed[dmr_op_of(bio_op(bio))]);
    dmr_leave(t, b->slot);
    return DM_ENDIO_DONE;
  }
  // The other fast ones are first tried again as ordinary requests.
  if (bio->bi_opf & REQ_FAILFAST_MASK) status = DMR_IO_OK;
  dmr_enter(t, DMR_OTHER_SLOT);
  dmr_leave(t, b->slot);
  dmr_hold(t, b, bio, status);
  return DM_ENDIO_INCOMPLETE;
}

static int dmr_bio_ended(struct dmr_target* t, struct bio* bio, blk_status_t* error) {
  struct dmr_bio* b = dm_per_bio_data(bio, sizeof(*b));
  bool write;

  switch (b->state) {
    case DMR_BIO_DEVICE:
      write = dmr_is_write(bio_op(bio));
      if (unlikely(b->member != 0) && write && !*error)
        dmr_volume_spare_written(t->volume, b->member);
      if (unlikely(b->start_ns)) dmr_sample(t, b, write);
      b->state = DMR_BIO_IDLE;
      if (unlikely(*error)) return dmr_device_failed(t, b, bio, error);
      dmr_leave(t, b->slot);
      return DM_ENDIO_DONE;
    case DMR_BIO_FLUSH:
      b->state = DMR_BIO_IDLE;
      return dmr_flush_ended(t, b, error);
    default:
      return DM_ENDIO_DONE;
  }
}

// Its last step lets go of the target, which a suspend may wait for: see dmr_wait_for_bios(). A
// device that ends its bios in the context of a process is no read section of its own.
int dmr_end_io(struct dm_target* ti, struct bio* bio, blk_status_t* error) {
  int r;

  rcu_read_lock();
  r = dmr_bio_ended(ti->private, bio, error);
  rcu_read_unlock();
  return r;
}
